"""Slots that move from node to node, key by key, while they are read and written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from time import sleep
from typing import Any

import pytest

import sojourn
from cluster import ClusterSet
from faults.load import Load
from servers import any_binary
from sojourn import Event, ServerBusy, Session, SessionKey

KEY = SessionKey.of("shop", "two", "s")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSet]:
    started = ClusterSet(tmp_path_factory.mktemp("cluster"), any_binary()).start()
    yield started
    started.close()


@pytest.fixture
async def store(cluster: ClusterSet) -> AsyncIterator[sojourn.Sojourn]:
    """It waits long enough for a call to be sent more than five times."""
    async with sojourn.open(cluster.url, operation_timeout=0.7) as store:
        yield store


async def test_slots_that_move_under_load(cluster: ClusterSet) -> None:
    """Sessions, user state and app state move while they are written."""
    async with (
        Load(cluster.url, namespace="sure", durability="replicas", clients=4) as sure,
        Load(cluster.url, namespace="quick", clients=4) as quick,
    ):
        for tag in ("{shop:ada}", "{shop}", "{bank:}", "{shop:ada}"):
            source, slot = cluster.owner_of(tag), cluster.slot_of(tag)
            target = next(node for node in cluster.nodes[:3] if node is not source)
            move = partial(cluster.move_slot, slot, source, target, between=lambda: sleep(0.01))
            await asyncio.to_thread(move)
            await asyncio.gather(sure.written(50), quick.written(50))
    servers = [node.client() for node in cluster.nodes[:3]]
    for load in (sure, quick):
        assert load.report(servers).problems() == []
        assert load.errors <= {"SessionNotFound", "ServerBusy", "OutcomeUnknown"}


async def test_a_session_on_two_nodes_is_busy_and_never_missing_or_torn(
    cluster: ClusterSet, store: sojourn.Sojourn
) -> None:
    loop = asyncio.get_running_loop()
    await store.sessions.create(*KEY, state={"n": 0, "user:n": 0})
    await store.sessions.append(KEY, Event(author="a", payload=1), operation_id="op")
    seen: list[Any] = []
    busy: list[ServerBusy] = []

    async def use() -> None:
        """What is told at any moment is the truth, or that it cannot be told."""
        never = store.sessions.append(KEY, Event(author="a", payload="never"))
        reads = (store.sessions.get(KEY, last=last) for last in (None, 0, 5))
        write, *answers = await asyncio.gather(never, *reads, return_exceptions=True)
        assert isinstance(write, ServerBusy)
        for answer in answers:
            (busy if isinstance(answer, ServerBusy) else seen).append(answer)

    def between() -> None:
        asyncio.run_coroutine_threadsafe(use(), loop).result()

    source, slot = cluster.owner_of("{shop:two}"), cluster.slot_of("{shop:two}")
    target = next(node for node in cluster.nodes[:3] if node is not source)
    await asyncio.to_thread(cluster.move_slot, slot, source, target, between=between)
    assert busy
    assert all(isinstance(found, Session) and found.complete for found in seen)
    found = await store.sessions.get(KEY)
    assert found is not None
    assert [event.payload for event in found.events] == [1]
    assert found.state == {"n": 0, "user:n": 0}
    again = await store.sessions.append(KEY, Event(author="a", payload=1), operation_id="op")
    assert again.repeated
