"""Encryption that is switched on process by process, under a fleet at work."""

from __future__ import annotations

import redis

import sojourn
from servers import Server
from sojourn.keys import KeyRing


async def test_a_ring_is_given_to_all_before_the_first_seals(server: Server) -> None:
    inactive = KeyRing.new(migrating=True, active=False)
    (name,) = inactive.ids
    async with (
        sojourn.open(server.url, keys=inactive) as waiting,
        sojourn.open(server.url, keys=inactive.activate(name), compression="zstd") as sealing,
    ):
        key = (await waiting.sessions.create("shop", "ada", title="tea")).key
        calls: list[str] = []
        waiting.on_call(lambda fact: calls.append(fact.name))
        await waiting.sessions.append(key, sojourn.Event(author="user", payload="plain"))
        assert calls == ["sessions.append"]
        await sealing.sessions.append(key, sojourn.Event(author="user", payload="sealed"))
        await sealing.sessions.update(key, title="coffee")
        for store in (waiting, sealing):
            found = await store.sessions.get(key)
            assert found is not None
            assert found.complete
            assert found.title == "coffee"
            assert [event.payload for event in found.events] == ["plain", "sealed"]
    with redis.Redis.from_url(server.url) as client:
        rows = client.lrange(f"session:{{shop:ada}}:{key.session}:events", 0, -1)
        assert [b"plain" in rows[0], b"sealed" in rows[1]] == [True, False]
