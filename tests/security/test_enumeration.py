"""Peers that fail too often are slowed, then refused; others do not notice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
import redis

import sojourn
from proxy import Proxy
from servers import Server
from sojourn.errors import InvalidInput, Throttled
from sojourn.security import GuessLimiter
from sojourn.security.counters import Bucket, InMemoryCounters, RedisCounters
from sojourn.security.guess_limiter import BUCKETS
from sojourn.security.keys import SecurityRoomKeys

PEER, OTHER = "203.0.113.7", "198.51.100.1"


class Naps:
    """Waits for nothing, and knows for how long."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(round(seconds, 3))


@pytest.fixture
async def store(url: str) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(url, namespace=f"n{uuid4().hex}") as store:
        yield store


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
def enumeration(store: sojourn.Sojourn, naps: Naps) -> GuessLimiter:
    return GuessLimiter(store, limit=3, refused=6, delay=0.1, longest=0.3, sleep=naps)


async def fail(enumeration: GuessLimiter, times: int, peer: str = PEER) -> None:
    for _ in range(times):
        await enumeration.failed(peer, "shop")


async def test_a_peer_is_slowed_more_and_more_and_then_refused(
    enumeration: GuessLimiter, naps: Naps
) -> None:
    for _ in range(6):
        await enumeration.check(PEER, "shop")
        await fail(enumeration, 1)
    assert naps.taken == [0.1, 0.2, 0.3]
    with pytest.raises(Throttled) as refusal:
        await enumeration.check(PEER, "shop")
    assert 590 < refusal.value.retry_after <= 600
    assert PEER not in str(refusal.value)


async def test_others_and_other_apps_do_not_notice(enumeration: GuessLimiter, naps: Naps) -> None:
    await fail(enumeration, 50)
    await enumeration.check(OTHER, "shop")
    await enumeration.check(PEER, "bank")
    assert not naps.taken


async def test_a_window_ends_and_the_peer_may_try_again(store: sojourn.Sojourn, naps: Naps) -> None:
    enumeration = GuessLimiter(store, limit=1, window=1, sleep=naps)
    await fail(enumeration, 2)
    with pytest.raises(Throttled) as refusal:
        await enumeration.check(PEER, "shop")
    await asyncio.sleep(refusal.value.retry_after + 0.05)
    await enumeration.check(PEER, "shop")


async def test_all_processes_count_together(url: str, store: sojourn.Sojourn) -> None:
    if store.where == "memory://":
        pytest.skip("memory:// is one process")
    async with sojourn.open(url, namespace=store.stores.options.namespace) as other:
        await counted_together(store, other)


async def counted_together(first: sojourn.Sojourn, second: sojourn.Sojourn) -> None:
    one, two = (GuessLimiter(store, limit=2, refused=4) for store in (first, second))
    await two.check(PEER, "shop")
    await asyncio.gather(fail(one, 2), fail(two, 2))
    with pytest.raises(Throttled):
        await one.check(PEER, "shop")
    with pytest.raises(Throttled):
        await two.check(PEER, "shop")


async def test_a_peer_that_never_failed_costs_one_round_trip_a_second(
    store: sojourn.Sojourn, enumeration: GuessLimiter
) -> None:
    calls: list[str] = []
    store.on_call(lambda fact: calls.append(fact.name))
    for _ in range(20):
        await enumeration.check(PEER, "shop")
    assert calls == ([] if store.where == "memory://" else ["enumeration.look"])
    await fail(enumeration, 1)
    await enumeration.check(PEER, "shop")
    if store.where != "memory://":
        assert calls == ["enumeration.look", "enumeration.add", "enumeration.look"]


async def test_an_address_of_ipv6_counts_by_its_network(enumeration: GuessLimiter) -> None:
    for number in range(6):
        await enumeration.failed(f"2001:db8:1:2::{number}", "shop")
    with pytest.raises(Throttled):
        await enumeration.check("2001:0db8:0001:0002:ffff::1%eth0", "shop")
    await enumeration.check("2001:db8:1:3::1", "shop")


async def test_an_address_of_ipv4_is_the_same_when_mapped(enumeration: GuessLimiter) -> None:
    await fail(enumeration, 6, f"::ffff:{PEER}")
    with pytest.raises(Throttled):
        await enumeration.check(PEER, "shop")


@pytest.mark.parametrize("peer", ["", "\ud800", 7])
async def test_a_peer_that_is_none_is_refused(enumeration: GuessLimiter, peer: str) -> None:
    with pytest.raises(InvalidInput):
        await enumeration.check(peer, "shop")


@pytest.mark.parametrize(
    "options",
    [{"limit": 0}, {"limit": 3, "refused": 2}, {"window": 0}, {"delay": 9}, {"salt": b"x" * 65}],
)
async def test_numbers_that_make_no_sense_are_refused(
    store: sojourn.Sojourn, options: dict[str, int]
) -> None:
    with pytest.raises(InvalidInput):
        GuessLimiter(store, **options)


async def test_a_salt_moves_peers_to_other_counters(store: sojourn.Sojourn) -> None:
    numbers = {
        GuessLimiter(store, salt=salt)._bucket(PEER, "shop").number for salt in (b"", b"a", b"b")
    }
    assert len(numbers) == 3


async def test_counters_and_their_twin_agree(store: sojourn.Sojourn) -> None:
    kinds = [InMemoryCounters()]
    if store._engine is not None:
        keys = SecurityRoomKeys(store.stores.options.namespace)
        kinds.append(RedisCounters(store._engine, keys))
    for counters in kinds:
        bucket = Bucket("shop", 7)
        assert (await counters.look(bucket)).failures == 0
        assert (await counters.add(bucket, 2, 60)).failures == 2
        found = await counters.add(bucket, 1, 900)
        assert found.failures == 3
        assert 58 < found.left <= 60
        assert await counters.look(Bucket("shop", 8)) == (0, 0)


# ── on one server ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as client:
        yield client


async def test_memory_on_the_server_is_bounded_whatever_is_sent(
    server: Server, client: redis.Redis
) -> None:
    async with sojourn.open(server.url) as store:
        enumeration = GuessLimiter(store)
        app = "a" * 64
        peers = [f"{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}.9" for n in range(20_000)]
        numbers = {enumeration._bucket(peer, app).number for peer in peers}
        assert 0 <= min(numbers) <= max(numbers) < BUCKETS
        for start in range(0, len(peers), 2000):
            await asyncio.gather(
                *(enumeration.failed(peer, app) for peer in peers[start : start + 2000])
            )
        keys = list(client.scan_iter("*", count=5000))
        assert len(keys) == len(numbers)
        assert all(0 < client.pttl(key) <= 600_000 for key in keys[:500])
        assert client.memory_usage(keys[0]) < 200


async def test_what_is_no_counter_is_replaced_or_told(server: Server, client: redis.Redis) -> None:
    async with sojourn.open(server.url) as store:
        keys = SecurityRoomKeys(store.stores.options.namespace)
        counters = RedisCounters(store._engine, keys)
        key = keys.enumeration("shop", 7)
        for value in ("much", "1e3", ""):
            client.set(key, value)
            assert (await counters.add(Bucket("shop", 7), 1, 60)).failures == 1
        client.persist(key)
        assert (await counters.add(Bucket("shop", 7), 1, 60)).failures == 1
        assert client.ttl(key) == 60
        client.delete(key)
        client.rpush(key, "x")
        with pytest.raises(sojourn.CorruptRecord):
            await counters.add(Bucket("shop", 7), 1, 60)


async def test_an_outage_neither_opens_the_gate_nor_locks_anybody_out(
    server: Server, naps: Naps, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sojourn.security")
    async with sojourn.open(server.url, operation_timeout=0.3) as store:
        enumeration = GuessLimiter(store, limit=3, refused=6, sleep=naps)
        await fail(enumeration, 2)
        server.stop()
        await enumeration.check(OTHER, "shop")
        await fail(enumeration, 4)
        with pytest.raises(Throttled):
            await enumeration.check(PEER, "shop")
        server.start()
        while not (await store.health()).available:
            await asyncio.sleep(0.02)
        await enumeration.check(PEER, "shop")  # the server knows of two
    said = [each.getMessage() for each in caplog.records if each.name == "sojourn.security"]
    assert len(said) == 2
    assert "by this process alone" in said[0]
    assert "on the server again" in said[1]


async def test_a_failure_whose_reply_is_lost_counts_once(
    server: Server, client: redis.Redis
) -> None:
    async with (
        Proxy(server.port) as proxy,
        sojourn.open(proxy.url, operation_timeout=2) as store,
    ):
        enumeration = GuessLimiter(store)
        await store.ping()
        proxy.on_request = lambda data: "lose" if b"#" in data else "pass"
        await fail(enumeration, 1)
    (key,) = client.keys("enumeration:*")
    assert client.get(key) == b"1"
