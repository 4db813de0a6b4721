"""A Cluster that announces an address at which nobody answers: not stormed, and named as such."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import sojourn
from servers import Server, any_binary, free_port, until
from sojourn import Unavailable

SECONDS = 3


def asked(server: Server) -> int:
    stats = server.client().info("commandstats")
    return int(stats.get("cmdstat_cluster|slots", {"calls": 0})["calls"])


async def test_it_is_asked_ever_less_often_and_the_error_says_who_announced_it(
    tmp_path: Path,
) -> None:
    nowhere = free_port()
    options = ("--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1")
    options += ("--cluster-announce-port", str(nowhere), "--cluster-announce-bus-port", "1")
    server = Server(tmp_path, any_binary(), options).start()
    try:
        server.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        until("it is well", lambda: "cluster_state:ok" in str(server.ask("CLUSTER", "INFO")))
        url = f"redis+cluster://127.0.0.1:{server.port}"
        async with sojourn.open(url, operation_timeout=0.5, connect_timeout=0.5) as store:
            await store.health()  # asks for the map
            for _ in range(2):
                with pytest.raises(Unavailable) as caught:
                    await store.sessions.create("shop", "ada")
                text = str(caught.value)
                assert f"127.0.0.1:{nowhere}" in text
                assert f"an address that {url} announces" in text
            before, losses = await asyncio.to_thread(asked, server), store.stats().lost_connections
            await asyncio.sleep(SECONDS)
            assert await asyncio.to_thread(asked, server) - before <= 2 * SECONDS
            assert store.stats().lost_connections - losses <= 3 * SECONDS
    finally:
        server.close()
