"""Links over which megabytes take long: what moves is no outage, what is silent is one."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator

import pytest

import extent
import sojourn
from proxy import Proxy
from servers import Server
from sojourn import Event, OutcomeUnknown, SessionKey, Unavailable

TIMEOUT = 0.4
RATE = 2e6
BIG = "x" * 1_800_000
"""Longer on its way than a call may be silent."""
KEY = SessionKey.of("slow", "ada", "s")


@pytest.fixture
async def proxy(shared_server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(shared_server.port) as proxy:
        yield proxy


def opened(proxy: Proxy, **options: object) -> sojourn.Sojourn:
    told = {"operation_timeout": TIMEOUT, "near_cache_bytes": 0, **options}
    return sojourn.open(proxy.url, namespace=secrets.token_hex(4), **told)  # type: ignore[arg-type]


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[sojourn.Sojourn]:
    async with opened(proxy) as store:
        await store.sessions.create(*KEY)
        yield store


def said(payload: object = BIG) -> Event:
    return Event(author="a", payload=payload)


async def test_a_large_reply_that_moves_is_awaited_and_so_is_what_stands_behind_it(
    store: sojourn.Sojourn, proxy: Proxy
) -> None:
    await store.sessions.append(KEY, said())
    proxy.rate = RATE
    whole = asyncio.create_task(store.sessions.get(KEY))
    await asyncio.sleep(0)
    behind = [store.sessions.get(KEY, last=1), store.sessions.user_state("slow", "ada")]
    small = [store.sessions.append(KEY, said(number)) for number in range(3)]
    await asyncio.gather(*behind, *small)
    found = await whole
    assert found is not None
    assert found.events[0].payload == BIG
    stats = store.stats()
    assert (stats.lost_connections, stats.retries, stats.outages) == (0, 0, 0)


async def test_a_large_request_that_moves_is_awaited(store: sojourn.Sojourn, proxy: Proxy) -> None:
    proxy.rate = RATE
    large = asyncio.create_task(store.sessions.append(KEY, said()))
    await asyncio.sleep(0)
    behind = await store.sessions.get(KEY)  # on the same connection
    assert behind is not None
    done = await large
    assert not done.repeated
    assert store.stats().retries == 0


async def test_an_app_delta_beside_much_has_time_of_its_own(
    store: sojourn.Sojourn, proxy: Proxy
) -> None:
    proxy.rate = RATE
    event = Event(author="a", payload=BIG, state_delta={"app:a": 1})
    await store.sessions.append(KEY, event)
    proxy.rate = float("inf")
    found = await store.sessions.get(KEY, last=0)
    assert found is not None
    assert found.state["app:a"] == 1


async def test_artifacts_over_a_slow_link(store: sojourn.Sojourn, proxy: Proxy) -> None:
    data = secrets.token_bytes(2_000_000)
    proxy.rate = RATE
    await store.artifacts.save(KEY, "a", data)
    found = await store.artifacts.load(KEY, "a")
    assert found is not None
    assert found.data == data
    assert store.stats().retries == 0


async def test_a_buffered_write_that_moves_is_replayed(proxy: Proxy) -> None:
    async with opened(proxy, on_outage="buffer", connect_timeout=TIMEOUT) as store:
        await store.sessions.create(*KEY)
        replayed = asyncio.Event()
        store.on_replay(lambda fact: replayed.set() if fact.applied else None)
        proxy.on_request = lambda _: "drop"
        assert not (await store.sessions.append(KEY, said())).durable
        proxy.rate, proxy.on_request = RATE, lambda _: "pass"
        async with asyncio.timeout(30):
            await replayed.wait()
        proxy.rate = float("inf")
        found = await store.sessions.get(KEY)
        assert found is not None
        assert [event.payload == BIG for event in found.events] == [True]


async def test_a_reply_that_stops_in_the_middle_is_silence(
    store: sojourn.Sojourn, proxy: Proxy
) -> None:
    await store.sessions.append(KEY, said())
    proxy.rate = RATE
    whole = asyncio.create_task(store.sessions.get(KEY))
    await asyncio.sleep(2 * TIMEOUT)
    assert not whole.done()
    proxy.rate = 1e-6  # nothing more comes
    began = time.monotonic()
    with pytest.raises(Unavailable, match="No answer"):
        await whole
    assert time.monotonic() - began < 2 * TIMEOUT


@pytest.mark.parametrize("writes", [False, True])
async def test_transfer_timeout_bounds_the_whole_and_says_so(proxy: Proxy, writes: bool) -> None:
    async with opened(proxy, transfer_timeout=0.6) as store:
        await store.sessions.create(*KEY)
        await store.sessions.append(KEY, said())
        proxy.rate = RATE
        began = time.monotonic()
        with pytest.raises((Unavailable, OutcomeUnknown), match="transfer_timeout") as told:
            await (store.sessions.append(KEY, said()) if writes else store.sessions.get(KEY))
        assert time.monotonic() - began < 1.2
        assert "Check that the server runs" not in str(told.value)
        assert "bytes" in str(told.value)
        assert (told.type is OutcomeUnknown) == writes
        proxy.rate = float("inf")
        assert await store.sessions.get(KEY)


@pytest.mark.skipif(not extent.FULL, reason="one row is enough for each change")
async def test_five_events_of_6_mb_at_100_mbit(shared_server: Server) -> None:
    async with Proxy(shared_server.port) as proxy, opened(proxy, operation_timeout=2.0) as store:
        await store.sessions.create(*KEY)
        for _ in range(5):
            await store.sessions.append(KEY, said("x" * 6_000_000))
        proxy.rate = 12.5e6
        found = await store.sessions.get(KEY)
        assert found is not None
        assert len(found.events) == 5
        assert store.stats().lost_connections == 0
