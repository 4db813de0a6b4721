"""Retiring a dictionary: what needs it is written anew, and it goes when nothing does."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from dictionaries_kit import OURS, fill, loaded, said, texts

import sojourn
from servers import Server
from sojourn.calls.call import Call, only
from sojourn.client import Sojourn
from sojourn.codecs.compression import SHIPPED
from sojourn.codecs.growth import encoded, to_member
from sojourn.dictionaries import admin as admins
from sojourn.dictionaries import service
from sojourn.errors import (
    ConfigurationError,
    DictionaryMissing,
)
from sojourn.ids import escape


@pytest.fixture
def app() -> str:
    """An app of the test's own."""
    return f"shop:{secrets.token_hex(6)}"


@pytest.fixture
def opened(shared_server: Server) -> Callable[..., Sojourn]:
    """Opens the store again, as another process does."""
    return partial(sojourn.open, shared_server.url)


@pytest.fixture
async def store(opened: Callable[..., Sojourn]) -> AsyncIterator[Sojourn]:
    async with opened(compression="zstd") as store:
        yield store


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dictionaries are cached for a moment only."""
    monkeypatch.setattr(service, "CACHE_SECONDS", 0.05)
    monkeypatch.setattr(admins, "CACHE_SECONDS", 0.05)


@pytest.mark.usefixtures("soon")
async def test_what_needs_a_retired_dictionary_is_written_anew_before_it_goes(
    store: Sojourn, opened: Callable[..., Sojourn], app: str
) -> None:
    admin = store.admin.dictionaries
    await admin.add(app, OURS)
    await loaded(store, app)
    key = await fill(store, app)
    before = await texts(store, key)
    done = await store.admin.retire_dictionary(app, OURS.id)
    assert (done.complete, done.rewritten > 0) == (True, True), done
    assert [each.id for each in await admin.ls(app)] == [SHIPPED]
    async with opened() as reader:
        assert await texts(reader, key) == before
    with pytest.raises(DictionaryMissing):
        await store.admin.retire_dictionary(app, OURS.id)
    async with opened() as plain:
        with pytest.raises(ConfigurationError, match="compression"):
            await plain.admin.retire_dictionary(app, OURS.id)


@pytest.mark.usefixtures("soon")
async def test_a_dictionary_stays_while_a_record_needs_it(store: Sojourn, app: str) -> None:
    """Also in a place that no job can write anew."""
    await store.admin.dictionaries.add(app, OURS)
    frame = OURS.contexts.compress(said(1).encode() * 3)
    value = encoded(1, (f"zstd:{OURS.id}",), frame[4:])
    tenant = escape(f"{escape(app)}:ada")
    places = {
        f"outbox:{{{escape(app)}:ada}}": b'{"a":%b}' % to_member(value),
        f"cache:{{{tenant}#0}}:entry:e": value,
    }
    engine = store._rooms["dictionaries"].store.engine

    async def send(*command: Any) -> None:
        key = str(command[1])
        await engine.run(Call("test", (key,), only, commands=[command], operation_id="test"))

    for name, stored in places.items():
        await send("HSET", name, "field", stored)
    try:
        done = await store.admin.retire_dictionary(app, OURS.id)
        assert (done.left, [name.partition("}")[0] for name in done.names]) == (
            2,
            sorted(name.partition("}")[0] for name in places),
        )
        assert len(await store.admin.dictionaries.ls(app)) == 2
    finally:
        for name in places:
            await send("DEL", name)
    assert (await store.admin.retire_dictionary(app, OURS.id)).complete
    assert len(await store.admin.dictionaries.ls(app)) == 1
