"""Encryption that is switched on process by process, under a fleet at work."""

from __future__ import annotations

import pytest
import redis

import sojourn
from servers import Server
from sojourn.errors import KeyMissing
from sojourn.keys import KeyRing


async def test_a_ring_is_given_to_all_before_the_first_seals(server: Server) -> None:
    inactive = KeyRing.new(migrating=True, active=False)
    (name,) = inactive.ids
    async with (
        sojourn.open(server.url, keys=inactive) as waiting,
        sojourn.open(server.url, keys=inactive.activate(name), compression="zstd") as sealing,
    ):
        key = (await waiting.sessions.create("shop", "ada", title="tea")).key
        await waiting.sessions.append(key, sojourn.Event(author="user", payload="plain"))
        await sealing.sessions.append(key, sojourn.Event(author="user", payload="sealed"))
        await sealing.sessions.update(key, title="coffee")
        for store in (waiting, sealing):
            found = await store.sessions.get(key)
            assert found is not None
            assert found.complete
            assert found.title == "coffee"
            assert [event.payload for event in found.events] == ["plain", "sealed"]
        await waiting.sessions.append(key, sojourn.Event(author="user", payload="hidden"))
    with redis.Redis.from_url(server.url) as client:
        rows = client.lrange(f"session:{{shop:ada}}:{key.session}:events", 0, -1)
        assert b"plain" in rows[0]
        assert not [row for row in rows[1:] if b"sealed" in row or b"hidden" in row]


async def test_a_process_without_keys_puts_no_plain_text_beside_what_is_sealed(
    server: Server,
) -> None:
    async with (
        sojourn.open(server.url, keys=KeyRing.new()) as sealing,
        sojourn.open(server.url) as plain,
    ):
        first = {"a": 1, "user:u": 1, "app:p": 1}
        key = (await sealing.sessions.create("shop", "ada", title="tea", state=first)).key
        said = sojourn.Event(author="user", payload="plain")
        await sealing.sessions.append(key, sojourn.Event(author="user", payload="sealed"))
        await sealing.artifacts.save(key, "list", b"tea")
        memory = sealing.memory.user("ada", app="shop")
        await memory.put("likes", "tea")
        await sealing.cache.put("answer", 42, tenant="shop")
        before = await sealing.sessions.get(key)
        for write in (
            lambda: plain.sessions.append(key, said),
            lambda: plain.sessions.update(key, title="coffee"),
            lambda: plain.sessions.save(key, state={"a": 2}, events=[said]),
            lambda: plain.sessions.create("shop", "ada", state={"user:u": 2}),
            lambda: plain.sessions.create("shop", "bob", state={"app:p": 2}),
            lambda: plain.sessions.create("shop", "ada", title="plain"),
            lambda: plain.sessions.create("shop", "eve", title="plain"),
            lambda: plain.sessions.get(key),
            lambda: plain.artifacts.save(key, "list", b"coffee"),
            lambda: plain.artifacts.load(key, "list"),
            lambda: plain.memory.user("ada", app="shop").put("likes", "coffee"),
            lambda: plain.memory.user("ada", app="shop").get("likes"),
            lambda: plain.cache.put("answer", 43, tenant="shop"),
            lambda: plain.cache.get("answer", tenant="shop"),
        ):
            with pytest.raises(KeyMissing, match="keys="):
                await write()
        assert await sealing.sessions.get(key) == before
        assert await sealing.sessions.count("shop", "ada") == 1
        assert await sealing.sessions.count("shop", "eve") == 0
        artifact = await sealing.artifacts.load(key, "list")
        assert artifact is not None
        assert (artifact.data, artifact.version) == (b"tea", 0)
        assert await memory.get("likes") == "tea"
        assert await sealing.cache.get("answer", tenant="shop") == 42
        assert await sealing.admin.quarantined("shop", "ada") == []
        assert await plain.sessions.touch(key)
        assert await plain.sessions.delete(key)
