"""Cached entries as another version of Sojourn may have written them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

import sojourn
from planting import DAMAGED, ENCODED, FIELDS, NEWER, RAW, ROWS_OF_SERVERS, Planter, planters
from sojourn import CorruptRecord, NewerFormat
from sojourn.cache.keys import CacheRoomKeys
from sojourn.cache.operations.reads import ReadCached
from sojourn.cache.store import EntryKey


@pytest.fixture(scope="module", params=ROWS_OF_SERVERS)
def planter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planter]:
    yield from planters(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
async def store(planter: Planter) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(planter.url) as store:
        yield store


@pytest.fixture
def name() -> str:
    return f"sum-{secrets.token_hex(4)}"


def entry_of(name: str) -> str:
    return CacheRoomKeys().cache("", name).entry


async def one() -> int:
    return 1


async def test_fields_that_are_not_known_are_passed_over_and_kept(
    store: sojourn.Sojourn, planter: Planter, name: str
) -> None:
    await store.cache.put(name, 0, tags=["t"])
    planted = FIELDS | {"format": "1.9"}
    planter.plant(entry_of(name), planted)
    assert await store.cache.get(name) == 0
    assert await store.cache.fetch(name, one) == 0
    await store.cache.put(name, 2, ttl=0.02, stale=1000)
    planter.assert_kept(entry_of(name), planted)
    await asyncio.sleep(0.03)
    assert await store.cache.fetch(name, one, stale=1000) == 2
    async with asyncio.timeout(10):
        while await store.cache.get(name, stale=True) != 1:
            await asyncio.sleep(0.01)
    planter.assert_kept(entry_of(name), planted)
    assert await store.cache.delete(name)
    await store.cache.put(name, 3)
    assert planter.client.hget(entry_of(name), "mood") is None
    planter.assert_nothing_in_quarantine()


async def test_an_export_gets_what_is_not_known(
    store: sojourn.Sojourn, planter: Planter, name: str
) -> None:
    await store.cache.put(name, 0)
    planter.plant(entry_of(name))
    kept = await store.cache._store.run(ReadCached(EntryKey("", name)))
    assert kept is not None
    assert kept.more == {"mood": b"good", "raw": RAW}


async def test_tags_may_be_missing(store: sojourn.Sojourn, planter: Planter, name: str) -> None:
    await store.cache.put(name, 0)
    planter.client.hdel(entry_of(name), "tags")
    assert await store.cache.get(name) == 0


NEWER_ONES: dict[str, dict[bytes | str, bytes | str]] = {
    "format 2": {"format": "2"},
    "format 2.1 of another shape": {"format": "2.1", "fresh": "long", "value": "?"},
    "an encoding": {"value": ENCODED},
    "a newer encoding": {"value": NEWER},
}


@pytest.mark.parametrize("planted", NEWER_ONES.values(), ids=NEWER_ONES.keys())
@pytest.mark.parametrize("ttl", [1000.0, 0.001])
async def test_what_is_newer_stays_and_is_computed_for_each_call(
    store: sojourn.Sojourn,
    planter: Planter,
    name: str,
    planted: dict[bytes | str, bytes | str],
    ttl: float,
) -> None:
    await store.cache.put(name, 0, ttl=ttl, stale=1000)
    planter.plant(entry_of(name), planted)
    before = planter.client.hgetall(entry_of(name))
    with pytest.raises(NewerFormat):
        await store.cache.get(name, stale=True)
    for _ in range(2):
        assert await store.cache.fetch(name, one, stale=1000) == 1
    with pytest.raises(NewerFormat):
        await store.cache.put(name, 2)
    assert planter.client.hgetall(entry_of(name)) == before
    assert not planter.client.exists(CacheRoomKeys().cache("", name).lease)
    assert await store.cache.delete(name)
    await store.cache.put(name, 3)
    assert await store.cache.get(name) == 3
    planter.assert_nothing_in_quarantine()


async def test_what_was_computed_is_not_stored_over_what_is_newer(
    store: sojourn.Sojourn, planter: Planter, name: str
) -> None:
    async def compute() -> int:
        planter.client.hset(
            entry_of(name), mapping={"format": "2", "value": "new", "fresh": "1", "since": "1"}
        )
        return 1

    assert await store.cache.fetch(name, compute) == 1
    assert planter.client.hget(entry_of(name), "value") == b"new"
    assert not planter.client.exists(CacheRoomKeys().cache("", name).lease)


async def test_what_is_newer_is_invalidated(
    store: sojourn.Sojourn, planter: Planter, name: str
) -> None:
    await store.cache.put(name, 0, tags=["t"])
    planter.plant(entry_of(name), {"value": ENCODED})
    await store.cache.invalidate("t")
    assert await store.cache.get(name, "none") == "none"
    assert await store.cache.fetch(name, one) == 1
    planter.assert_kept(entry_of(name), {"value": ENCODED})


@pytest.mark.parametrize("planted", [{"value": DAMAGED}, {"format": "second"}])
async def test_what_was_damaged_is_corrupt_as_before(
    store: sojourn.Sojourn,
    planter: Planter,
    name: str,
    planted: dict[bytes | str, bytes | str],
) -> None:
    await store.cache.put(name, 0)
    planter.plant(entry_of(name), planted)
    for call in (store.cache.get(name), store.cache.fetch(name, one), store.cache.put(name, 1)):
        with pytest.raises(CorruptRecord):
            await call
    assert await store.cache.delete(name)
