"""What a store tells of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import sojourn
from cluster import ClusterSet
from servers import Server, any_binary, free_port


async def test_a_server_that_answers(shared_server: Server) -> None:
    async with sojourn.open(shared_server.url) as store:
        health = await store.health()
        assert health.available
        (node,) = health.nodes
        assert (node.where, node.problem) == (store.where, "")
        assert node.latency is not None
        assert 0 < node.latency < 2
        stats = store.stats()
        assert (stats.kind, stats.connections, stats.lost_connections, stats.retries) == (
            "redis",
            1,
            0,
            0,
        )


async def test_a_server_out_of_reach_is_told_and_not_raised() -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}"
    async with sojourn.open(url, operation_timeout=0.1) as store:
        health = await store.health()
        assert not health.available
        assert health.nodes[0].latency is None
        assert "127.0.0.1" in health.nodes[0].problem
        assert "secret" not in str(health)
        assert store.stats().lost_connections > 0


async def test_every_topology_tells_its_kind_and_its_nodes(url: str) -> None:
    async with sojourn.open(url) as store:
        health = await store.health()
        assert health.available
        assert not any(node.problem for node in health.nodes)
        kind = store.stats().kind
        assert kind == url.partition(":")[0]
        assert len({node.where for node in health.nodes}) == (3 if "cluster" in kind else 1)


async def test_a_node_that_is_frozen_hides_no_other(tmp_path: Path) -> None:
    cluster = ClusterSet(tmp_path, any_binary(), node_timeout=60_000).start()
    try:
        async with sojourn.open(cluster.url, operation_timeout=0.5) as store:
            for frozen in cluster.nodes[:3]:
                assert (await store.health()).available
                frozen.pause()
                health = await store.health()
                frozen.resume()
                assert not health.available
                down = [node.where for node in health.nodes if node.latency is None]
                assert (len(health.nodes), down) == (3, [f"redis://127.0.0.1:{frozen.port}"])
    finally:
        cluster.close()


async def test_memory_is_always_there() -> None:
    async with sojourn.open("memory://") as store:
        assert (await store.health()).available
        assert store.stats().kind == "memory"
    with pytest.raises(sojourn.Closed):
        await store.health()


async def test_what_is_sent_again_is_counted(server: Server) -> None:
    async with sojourn.open(server.url) as store:
        await store.ping()
        server.stop(9)
        server.start()
        await store.ping()
        assert store.stats().lost_connections >= 1
        assert store.stats().connections >= 2
