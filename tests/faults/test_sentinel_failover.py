"""A primary that is killed, frozen or told to go, under load; and what replicas keep."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import sojourn
from faults.client import Ways
from faults.load import Load
from sentinel import SentinelSet
from servers import any_binary
from sojourn import Event, OutcomeUnknown

WAYS = Ways(timeout=2.0, pause=0.02)
MAY_LOSE = WAYS._replace(lossy=True)


@pytest.fixture(scope="module")
def one_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    started = SentinelSet(tmp_path_factory.mktemp("sentinels"), any_binary()).start()
    yield started
    started.close()


@pytest.fixture
def sentinels(one_set: SentinelSet) -> SentinelSet:
    """They have agreed after whatever was done to them before, and have no data."""
    one_set.settle()
    one_set.client().flushall()
    return one_set


async def written(*loads: Load) -> None:
    await asyncio.gather(*(load.written(150) for load in loads))


async def test_a_primary_that_is_killed(sentinels: SentinelSet) -> None:
    """What a replica had confirmed is there; the rest may be lost, but is never there twice."""
    url = sentinels.url
    async with (
        Load(url, url, ways=WAYS, namespace="sure", durability="replicas") as sure,
        Load(url, url, ways=MAY_LOSE, namespace="quick") as quick,
    ):
        await written(sure, quick)
        old = await asyncio.to_thread(sentinels.kill_primary)
        await asyncio.to_thread(sentinels.await_new_primary, old)
        await written(sure, quick)
        await asyncio.to_thread(sentinels.restart, old)
        await written(sure, quick)
    assert sure.report([sentinels.client()]).problems() == []
    assert quick.report([sentinels.client()]).problems(lossy=True) == []


async def test_a_primary_that_is_frozen_and_comes_back(sentinels: SentinelSet) -> None:
    """It comes back with writes that came while it was frozen, and believes to be the primary."""
    url = sentinels.url
    async with (
        Load(url, url, ways=WAYS, namespace="sure", durability="replicas") as sure,
        Load(url, url, ways=MAY_LOSE, namespace="quick") as quick,
    ):
        await written(sure, quick)
        old = await asyncio.to_thread(sentinels.pause_primary)
        await asyncio.to_thread(sentinels.await_new_primary, old)
        await written(sure, quick)
        sentinels.resume()
        await written(sure, quick)
        await asyncio.to_thread(sentinels.settle)
        await written(sure, quick)
    assert sure.report([sentinels.client()]).problems() == []
    assert quick.report([sentinels.client()]).problems(lossy=True) == []


async def test_a_primary_that_is_told_to_go(sentinels: SentinelSet) -> None:
    """It goes on as a primary for a while, and the other replica still follows it.

    So here only what all replicas have confirmed is sure to stay.
    """
    url = sentinels.url
    async with (
        Load(url, url, ways=WAYS, namespace="sure", durability="replicas", replicas=2) as sure,
        Load(url, url, ways=MAY_LOSE, namespace="one", durability="replicas") as one,
        Load(url, url, ways=MAY_LOSE, namespace="quick") as quick,
    ):
        await written(sure, one, quick)
        old = await asyncio.to_thread(sentinels.failover)
        await asyncio.to_thread(sentinels.await_new_primary, old)
        await asyncio.to_thread(sentinels.settle)
        await written(sure, one, quick)
    assert sure.report([sentinels.client()]).problems() == []
    for load in (one, quick):
        assert load.report([sentinels.client()]).problems(lossy=True) == []


async def test_without_waiting_for_replicas_writes_are_lost_and_that_is_seen(
    sentinels: SentinelSet,
) -> None:
    url = sentinels.url
    async with (
        Load(url, ways=WAYS, clients=2, namespace="sure", durability="replicas") as sure,
        Load(url, ways=MAY_LOSE, clients=2, namespace="quick") as quick,
    ):
        await written(sure, quick)
        for replica in sentinels.replicas:
            replica.pause()
        sentinels.client().set("ballast", "x" * 2**25)  # what comes after it waits in the primary
        await quick.written(10)
        old = await asyncio.to_thread(sentinels.kill_primary)
        sentinels.resume()
        await asyncio.to_thread(sentinels.await_new_primary, old)
        await written(sure, quick)
        await asyncio.to_thread(sentinels.restart, old)
    assert sure.report([sentinels.client()]).problems() == []
    report = quick.report([sentinels.client()])
    assert report.problems(lossy=True) == []
    assert report.lost


async def test_what_was_written_after_a_failover_is_never_read_from_the_old_primary(
    sentinels: SentinelSet,
) -> None:
    async with sojourn.open(sentinels.url, operation_timeout=1) as store:
        made = await store.sessions.create("shop", "ada")
        # A failover may lose what only the primary has: this is not about that.
        await asyncio.to_thread(
            sentinels.await_everywhere, "session:{shop:ada}:" + made.key.session
        )
        assert await store.sessions.get(made.key)  # both connections stand,
        assert await store.sessions.count("shop", "ada") == 1  # and nothing is under way on them
        old = sentinels.pause_primary()
        await asyncio.to_thread(sentinels.await_new_primary, old)
        slow = Event(author="a", payload="sent to both")
        with pytest.raises(OutcomeUnknown):
            await store.sessions.append(made.key, slow, operation_id="op")
        await store.sessions.append(made.key, slow, operation_id="op")
        await store.sessions.append(made.key, Event(author="a", payload="new"))
        sentinels.resume()
        found = await store.sessions.get(made.key)
        assert old.ask("ROLE")[0] == "master"
        assert found is not None
        assert [event.payload for event in found.events] == ["sent to both", "new"]
