"""A node of a Cluster that is killed, frozen or told to go, under load."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis

from cluster import ClusterSet
from faults.client import Ways
from faults.load import Load
from servers import Server, any_binary

WAYS = Ways(timeout=2.0, pause=0.02)
MAY_LOSE = WAYS._replace(lossy=True)
TAG = "{shop:ada}"


@pytest.fixture(scope="module")
def one_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSet]:
    started = ClusterSet(tmp_path_factory.mktemp("cluster"), any_binary()).start()
    yield started
    started.close()


@pytest.fixture
def cluster(one_set: ClusterSet) -> ClusterSet:
    """They have agreed after whatever was done to them before, and have no data."""
    one_set.settle()
    for client in primaries(one_set):
        client.flushall()
    return one_set


def primaries(cluster: ClusterSet) -> list[redis.Redis]:
    return [node.client() for node in cluster.nodes if node.ask("ROLE")[0] == "master"]


async def written(*loads: Load) -> None:
    await asyncio.gather(*(load.written(150) for load in loads))


async def promoted(cluster: ClusterSet, old: Server) -> Server:
    return await asyncio.to_thread(cluster.await_promoted, old, cluster.slot_of(TAG))


@pytest.mark.parametrize("fault", ["killed", "frozen", "told to go"])
async def test_a_primary_that_is(cluster: ClusterSet, fault: str) -> None:
    """What a replica had confirmed is there; the rest may be lost, but is never there twice.

    A node whose only replica has taken its place has none itself until the old one is back: what
    must be confirmed waits for that.
    """
    url = cluster.url
    async with (
        Load(url, url, ways=WAYS, namespace="sure", durability="replicas") as sure,
        Load(url, url, ways=MAY_LOSE, namespace="quick") as quick,
    ):
        await written(sure, quick)
        old = cluster.owner_of(TAG)
        if fault == "told to go":
            cluster.failover(cluster.replica_of(old))
            await promoted(cluster, old)
        elif fault == "killed":
            await asyncio.to_thread(cluster.kill, old)
            await promoted(cluster, old)
            await written(quick)
            await asyncio.to_thread(cluster.restart, old)
        else:
            old.pause()
            await promoted(cluster, old)
            await written(quick)
            old.resume()
            await asyncio.to_thread(cluster.settle)
        await written(sure, quick)
        await asyncio.to_thread(cluster.settle)
    assert cluster.owner_of(TAG) is not old
    assert sure.report(primaries(cluster)).problems() == []
    report = quick.report(primaries(cluster))
    assert report.problems(lossy=fault != "told to go") == []
