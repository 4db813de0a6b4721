"""A cache whose server, entries or callers fail in the middle."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

import sojourn
from servers import Server
from sojourn import CorruptRecord
from sojourn.cache.keys import SHARDS
from sojourn.cache.store import LONGEST


@pytest.fixture
async def store(server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(server.url, operation_timeout=0.5) as store:
        yield store


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


async def test_a_lease_that_cannot_be_renewed_costs_no_value(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    refused = asyncio.Event()
    store.on_call(lambda fact: fact.outcome == "CorruptRecord" and refused.set())

    async def work() -> str:
        (lease,) = client.keys("cache:*:lease:slow")
        client.delete(lease)
        client.rpush(lease, "foreign")
        await refused.wait()
        await asyncio.sleep(0)
        return "value"

    assert await store.cache.fetch("slow", work, lease=0.1) == "value"


async def test_who_computes_is_given_what_the_others_are(
    store: sojourn.Sojourn, server: Server
) -> None:
    """Else a program breaks at the second call, or only while the server is away."""

    async def work() -> object:
        return {1: (2, 3)}

    kept = {"1": [2, 3]}
    assert await store.cache.fetch("value", work) == kept
    assert await store.cache.fetch("value", work) == kept
    server.stop()
    assert await store.cache.fetch("value", work) == kept


async def test_an_invalidation_is_remembered_as_long_as_an_entry_may_live(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    await store.cache.invalidate("tag")
    keys = client.keys("cache:*:tags")
    assert len(keys) == SHARDS
    assert min(map(client.ttl, keys)) > LONGEST - 60


async def test_cancelling_is_never_swallowed() -> None:
    """One turn of the event loop after another, until the call is over before it is cancelled."""

    async def work() -> str:
        await asyncio.sleep(0)
        return "value"

    ended, turns = False, 0
    async with sojourn.open("memory://") as store:
        while not ended:
            turns += 1
            call = asyncio.create_task(store.cache.fetch(str(turns), work))
            for _ in range(turns):
                await asyncio.sleep(0)
            ended = call.done()
            call.cancel()
            await asyncio.wait([call])
            assert ended or call.cancelled()
    assert turns > 3


@pytest.mark.parametrize("damage", [b"{oops", b'"\xff"', b""])
async def test_a_value_that_is_no_json_is_loud(
    store: sojourn.Sojourn, client: redis.Redis, damage: bytes
) -> None:
    async def work() -> str:
        return "value"

    await store.cache.put("x", 1)
    (entry,) = client.keys("cache:*:entry:x")
    client.hset(entry, "value", damage)
    with pytest.raises(CorruptRecord) as caught:
        await store.cache.get("x")
    assert caught.value.raw == damage
    with pytest.raises(CorruptRecord):
        await store.cache.fetch("x", work)
    await store.cache.delete("x")
    assert await store.cache.fetch("x", work) == "value"


async def test_it_is_closed_in_another_event_loop_than_it_was_used_in(server: Server) -> None:
    store = sojourn.open(server.url)
    refreshing = threading.Event()

    async def fast() -> int:
        return 1

    async def endless() -> int:
        refreshing.set()
        return await asyncio.get_running_loop().create_future()

    async def use() -> None:
        await store.cache.fetch("x", fast, ttl=0.001, stale=100)
        while await store.cache.get("x") is not None:
            await asyncio.sleep(0.001)
        await store.cache.fetch("x", endless, ttl=0.001, stale=100)
        (task,) = store.cache._refreshing  # pyright: ignore[reportPrivateUsage]
        await asyncio.wait([task])

    thread = threading.Thread(target=asyncio.run, args=(use(),))
    thread.start()
    assert await asyncio.to_thread(refreshing.wait, 20)
    await store.close()
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()
