"""The cache over sealed content."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis

import extent
import sojourn
from sealing import TestKeys, open_sealed
from servers import Server
from sojourn import Erased, KeyMissing, Tampered, Unavailable
from sojourn.cache.fingerprint import fingerprint
from sojourn.cache.keys import CacheRoomKeys
from sojourn.keys import KeyRing
from sojourn.testing import CacheContract

if extent.FULL:  # else a handful is enough

    class TestSealedCache(CacheContract):
        @pytest.fixture
        async def store(self, shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
            async with open_sealed(shared_server.url) as store:
                yield store


@pytest.fixture
def keys() -> TestKeys:
    return TestKeys()


@pytest.fixture
def name() -> str:
    return f"sum-{secrets.token_hex(6)}"


@pytest.fixture(params=["server", "memory"])
async def store(
    request: pytest.FixtureRequest, shared_server: Server, keys: TestKeys
) -> AsyncIterator[sojourn.Sojourn]:
    url = shared_server.url if request.param == "server" else "memory://"
    async with open_sealed(url, keys) as store:
        yield store


@pytest.fixture
async def sealed(shared_server: Server, keys: TestKeys) -> AsyncIterator[sojourn.Sojourn]:
    async with open_sealed(shared_server.url, keys) as store:
        yield store


@pytest.fixture
async def plain(shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(shared_server.url) as store:
        yield store


@pytest.fixture
def client(shared_server: Server) -> Iterator[redis.Redis]:
    """Plain redis-py; what it reads are bytes."""
    with redis.Redis.from_url(shared_server.url) as client:
        yield client


def value_at(client: redis.Redis, name: str, tenant: str = "") -> Any:
    return client.hget(CacheRoomKeys().cache(tenant, name).entry, "value")


def lease_at(client: redis.Redis, name: str, tenant: str = "") -> Any:
    return client.get(CacheRoomKeys().cache(tenant, name).lease)


class Computing:
    """A computation that counts its runs."""

    def __init__(self) -> None:
        self.runs = 0

    async def __call__(self) -> int:
        self.runs += 1
        return 7


# ── fingerprints ───────────────────────────────────────────────────────────────────────────────


async def test_nobody_can_guess_the_arguments_of_a_fingerprint(
    store: sojourn.Sojourn, keys: TestKeys
) -> None:
    ssn, tenants = {"number": "078-05-1120"}, ("", "acme", "shop:ada", "shop:bob")
    made = [await store.cache.fingerprint("credit", ssn, tenant=each) for each in tenants]
    assert len({*made, fingerprint("credit", ssn)}) == len(made) + 1
    assert made == [await store.cache.fingerprint("credit", ssn, tenant=each) for each in tenants]
    assert made[0] != await store.cache.fingerprint("credit", {"number": "078-05-1121"})
    async with open_sealed("memory://", keys) as other:  # as another process makes it
        assert await other.cache.fingerprint("credit", ssn, tenant="shop:ada") == made[2]
    assert set(keys.active) == {("cache", None), ("acme", None), ("shop", "ada"), ("shop", "bob")}
    async with sojourn.open("memory://") as without:
        assert await without.cache.fingerprint("credit", ssn) == fingerprint("credit", ssn)


async def test_a_decorated_function_has_keyed_names(store: sojourn.Sojourn) -> None:
    runs: list[int] = []
    tenant = f"t{secrets.token_hex(6)}"

    @store.cache.cached(tenant=tenant)
    async def double(number: int) -> int:
        runs.append(number)
        return 2 * number

    assert [await double(2), await double(number=2)] == [4, 4]
    assert runs == [2]
    (name,) = await store.admin.cache.names(tenant=tenant)
    called = f"{double.__module__}.{double.__qualname__}"
    assert name == await store.cache.fingerprint(called, {"number": 2}, tenant=tenant)
    assert name != fingerprint(called, {"number": 2})


async def test_a_half_switched_fleet_computes_once_on_either_side(
    plain: sojourn.Sojourn, shared_server: Server, name: str
) -> None:
    runs: list[str] = []
    async with open_sealed(shared_server.url, TestKeys(migrating=True)) as sealing:

        def decorated(store: sojourn.Sojourn) -> Any:
            @store.cache.cached()
            async def length(text: str) -> int:
                runs.append(text)
                return len(text)

            return length

        sides = [decorated(plain), decorated(sealing)]
        for _ in range(3):
            assert [await side(name) for side in sides] == [len(name)] * 2
        assert len(runs) == 2


# ── entries of one name ────────────────────────────────────────────────────────────────────────


async def test_without_the_key_a_value_is_computed_and_not_stored(
    sealed: sojourn.Sojourn, plain: sojourn.Sojourn, client: redis.Redis, name: str
) -> None:
    await sealed.cache.put(name, "secret", ttl=0.001, stale=1000)
    before, computing = value_at(client, name), Computing()
    async with open_sealed(client_url(client)) as wrong:
        for cache in (plain.cache, wrong.cache):
            with pytest.raises(KeyMissing):
                await cache.get(name, stale=True)
            assert await cache.fetch(name, computing, stale=1000) == 7
            assert lease_at(client, name) is None  # who can decode it may compute it
        assert computing.runs == 2
        with pytest.raises(KeyMissing, match="keys="):
            await plain.cache.put(name, 7)
        assert value_at(client, name) == before
        assert await plain.cache.delete(name)


async def test_what_was_computed_without_keys_does_not_replace_what_was_sealed(
    sealed: sojourn.Sojourn, plain: sojourn.Sojourn, client: redis.Redis, name: str
) -> None:
    async def compute() -> int:
        lease = lease_at(client, name)
        await sealed.cache.put(name, "secret")
        client.set(CacheRoomKeys().cache("", name).lease, lease)
        return 7

    assert await plain.cache.fetch(name, compute) == 7
    assert lease_at(client, name) is None
    assert await sealed.cache.get(name) == "secret"


async def test_plain_values_are_refused_unless_a_migration_is_under_way(
    plain: sojourn.Sojourn, sealed: sojourn.Sojourn, client: redis.Redis, name: str
) -> None:
    await plain.cache.put(name, "old")
    computing = Computing()
    for call in (sealed.cache.get(name), sealed.cache.fetch(name, computing)):
        with pytest.raises(Tampered):
            await call
    assert computing.runs == 0
    async with open_sealed(client_url(client), TestKeys(migrating=True)) as sealing:
        assert await sealing.cache.get(name) == "old"
    await sealed.cache.put(name, "new")
    assert b"new" not in value_at(client, name)
    assert await sealed.cache.get(name) == "new"


async def test_what_was_tampered_with_raises_and_is_deleted(
    sealed: sojourn.Sojourn, client: redis.Redis, name: str
) -> None:
    await sealed.cache.put(name, 1, ttl=0.001, stale=1000)
    await sealed.cache.put(f"{name} too", 2)
    planted = value_at(client, f"{name} too")
    client.hset(CacheRoomKeys().cache("", name).entry, "value", planted)
    computing = Computing()
    for call in (sealed.cache.get(name, stale=True), sealed.cache.fetch(name, computing, stale=9)):
        with pytest.raises(Tampered):
            await call
    assert computing.runs == 0
    assert lease_at(client, name) is None
    assert await sealed.cache.delete(name)
    assert await sealed.cache.fetch(name, computing) == 7


# ── keys that are not at hand ──────────────────────────────────────────────────────────────────


async def test_without_its_keys_a_store_computes(
    store: sojourn.Sojourn, keys: TestKeys, name: str
) -> None:
    computing = Computing()
    cached = store.cache.cached()(computing.__call__)
    keys.failure = Unavailable("The keys cannot be asked for.")
    assert await store.cache.fetch(name, computing) == 7
    assert await cached() == 7
    assert computing.runs == 2
    with pytest.raises(Unavailable):
        await store.cache.put(name, 1)
    keys.failure = None
    async with asyncio.timeout(5):  # less than the lease: it was given back
        assert await store.cache.fetch(name, computing) == 7
    assert await store.cache.get(name) == 7
    assert computing.runs == 3


async def test_after_an_erasure(store: sojourn.Sojourn, keys: TestKeys, name: str) -> None:
    await store.cache.put(name, "secret")
    computing = Computing()
    keys.destroy()
    for call in (
        *(store.cache.get(name), store.cache.put(name, 1), store.cache.fetch(name, computing)),
        store.cache.cached()(computing.__call__)(),
    ):
        with pytest.raises(Erased):
            await call
    assert computing.runs == 0
    assert await store.cache.delete(name)


def client_url(client: redis.Redis) -> str:
    where = client.connection_pool.connection_kwargs
    return f"redis://{where['host']}:{where['port']}"


async def test_a_closed_store_lets_decorated_functions_compute(shared_server: Server) -> None:
    """As `fetch` does, also where the key of a fingerprint is not cached."""
    async with sojourn.open(shared_server.url, keys=KeyRing.new()) as store:

        @store.cache.cached()
        async def double(number: int) -> int:
            return 2 * number

    assert await double(21) == 42
