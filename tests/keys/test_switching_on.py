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
        ):
            with pytest.raises(KeyMissing, match="keys="):
                await write()
        assert await sealing.sessions.get(key) == before
        assert await sealing.sessions.count("shop", "ada") == 1
        assert await sealing.sessions.count("shop", "eve") == 0
        assert await sealing.admin.quarantined("shop", "ada") == []
        assert await plain.sessions.touch(key)
        assert await plain.sessions.delete(key)


@pytest.mark.parametrize("data", [b"plain", bytes(600_000)])
async def test_a_sealed_artifact_gets_no_plain_version(server: Server, data: bytes) -> None:
    ring = KeyRing.new()
    async with (
        sojourn.open(server.url, keys=ring) as sealing,
        sojourn.open(server.url, keys=ring.migrate(migrating=True)) as migrating,
        sojourn.open(server.url) as plain,
    ):
        owner = sojourn.UserKey("shop", "ada")
        await sealing.artifacts.save(owner, "menu", b"sealed")
        with pytest.raises(KeyMissing, match="keys="):
            await plain.artifacts.save(owner, "menu", data)
        assert [each.version for each in await sealing.artifacts.versions(owner, "menu")] == [0]
        await plain.artifacts.save(owner, "other", data)
        assert await migrating.artifacts.save(owner, "other", b"sealed") == 1
        with pytest.raises(KeyMissing, match="keys="):
            await plain.artifacts.save(owner, "other", data)
