"""LangChain's stores over sealed content."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
from langchain_core.outputs import Generation

import sojourn
from sealing import TestKeys, open_sealed, words_stored
from servers import Server
from sojourn import KeyMissing
from sojourn.cache.fingerprint import fingerprint
from sojourn.integrations.langchain import KeyValueStore, LLMCache


@pytest.fixture
def keys() -> TestKeys:
    return TestKeys()


@pytest.fixture
async def sealed(shared_server: Server, keys: TestKeys) -> AsyncIterator[sojourn.Sojourn]:
    async with open_sealed(shared_server.url, keys) as store:
        yield store


async def test_model_calls_are_cached_sealed(
    shared_server: Server, sealed: sojourn.Sojourn, keys: TestKeys
) -> None:
    tenant, word = f"t{secrets.token_hex(6)}", f"w{secrets.token_hex(8)}"
    prompt, answer = f"{word} prompt", f"{word} answer"
    cache = LLMCache(sealed, tenant=tenant)
    await cache.aupdate(prompt, "model", [Generation(text=answer)])
    (found,) = await cache.alookup(prompt, "model") or ()
    assert found.text == answer
    (name,) = await sealed.admin.cache.names(tenant=tenant)
    assert name != "llm:" + fingerprint("langchain", {"prompt": prompt, "llm": "model"})
    assert not words_stored(shared_server, [word.encode()])
    async with sojourn.open(shared_server.url) as plain:
        without = LLMCache(plain, tenant=tenant)
        assert await without.alookup(prompt, "model") is None
        await without.aupdate(prompt, "model", [Generation(text="of its own")])
        (found,) = await without.alookup(prompt, "model") or ()
        assert found.text == "of its own"
    (found,) = await cache.alookup(prompt, "model") or ()
    assert found.text == answer
    keys.destroy()
    assert await cache.alookup(prompt, "model") is None
    await cache.aupdate(prompt, "model", [Generation(text="late")])
    assert (cache.stats().unreadable, cache.stats().refused) == (1, 1)


async def test_values_are_kept_sealed(shared_server: Server, sealed: sojourn.Sojourn) -> None:
    name = f"name-{secrets.token_hex(4)}"
    values: KeyValueStore[object] = KeyValueStore(name, sealed)
    given = {"json": {"a": ["quite a secret"]}, "bytes": b"quite a secret \xff", "empty": b""}
    await values.amset(list(given.items()))
    assert await values.amget([*given, "none"]) == [*given.values(), None]
    assert sorted([key async for key in values.ayield_keys()]) == sorted(given)
    assert not words_stored(shared_server, [b"quite a secret", b"cXVpdGUgYSBzZWNyZXQ"])
    async with sojourn.open(shared_server.url) as plain:
        without: KeyValueStore[object] = KeyValueStore(name, plain)
        with pytest.raises(KeyMissing):
            await without.amget(["json"])
        assert sorted([key async for key in without.ayield_keys()]) == sorted(given)
        await without.amdelete(["json"])
    assert await values.amget(["json", "empty"]) == [None, b""]
