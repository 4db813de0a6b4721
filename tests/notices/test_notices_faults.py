"""What goes wrong on the way to a subscriber, and that nothing is lost by it.

Where subscribers would look for themselves only after an hour, it is the wake-ups that are tested.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from notices_kit import heard, said, until, versions, write

import sojourn
from cluster import ClusterSet
from proxy import Proxy
from sentinel import SentinelSet
from servers import Server, any_binary, redis_binary, valkey_binary
from sojourn.notices import Notice

HOUR = 3600.0
SAVED = ["--appendonly", "yes", "--appendfsync", "always"]


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[Server]:
    """A server that loses nothing."""
    server = Server(tmp_path / "saved", any_binary(), SAVED).start()
    yield server
    server.close()


async def test_a_subscriber_that_is_cut_off_again_and_again(server: Server) -> None:
    async with (
        Proxy(server.port) as proxy,
        sojourn.open(server.url, notices=True) as store,
        sojourn.open(proxy.url, notices=True, health_check_interval=HOUR) as far,
    ):
        key = (await store.sessions.create("shop", "ada", "s")).key
        told: list[Notice] = []
        after = await far.notices.latest("shop", "ada")
        listening = asyncio.create_task(heard(far, key, after, 501, told))
        for cut in range(1, 6):
            await write(store, key, 50)
            await until(lambda cut=cut: len(told) >= 50 * cut)
            connections = proxy.connections
            for task in list(proxy._tasks):
                task.cancel()
            await write(store, key, 50)
            await until(lambda before=connections: proxy.connections > before)
        assert versions(await listening) == [*range(2, 502)]
        assert {each.kind for each in told} == {"appended"}


async def test_a_server_that_is_killed_and_comes_back(saved: Server) -> None:
    async with (
        sojourn.open(saved.url, notices=True, operation_timeout=0.5) as store,
        sojourn.open(
            saved.url, notices=True, operation_timeout=0.5, health_check_interval=HOUR
        ) as far,
    ):
        key = (await store.sessions.create("shop", "ada", "s")).key
        told: list[Notice] = []
        after = await far.notices.latest("shop", "ada")
        listening = asyncio.create_task(heard(far, key, after, 301, told))
        writing = asyncio.create_task(write(store, key, 300))
        for seen in (50, 150):
            await until(lambda seen=seen: len(told) > seen)
            await asyncio.to_thread(saved.stop, 9)
            await asyncio.sleep(0.7)  # longer than a call waits
            await asyncio.to_thread(saved.start)
        await writing
        assert versions(await listening) == [*range(2, 302)]


async def test_another_process_goes_on_behind_a_cursor(server: Server) -> None:
    code = f"""
import asyncio, sojourn
async def main(after):
    async with sojourn.open({server.url!r}, notices=True) as store:
        async for notice in store.notices.subscribe("shop", "ada", after=after):
            print(notice.version)
            if notice.version == 9:
                break
import sys; asyncio.run(main(sys.argv[1]))
"""
    async with sojourn.open(server.url, notices=True) as store:
        key = (await store.sessions.create("shop", "ada", "s")).key
        await write(store, key, 8)
        cursor = (await store.notices.read("shop", "ada", limit=4))[-1].id
    command = [sys.executable, "-c", code, cursor]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert done.stdout.split() == ["5", "6", "7", "8", "9"], done.stderr


async def test_notices_of_buffered_writes_come_with_their_replay(saved: Server) -> None:
    options = {"notices": True, "operation_timeout": 0.3}
    async with sojourn.open(saved.url, on_outage="buffer", **options) as store:
        key = (await store.sessions.create("shop", "ada", "s")).key
        await store.sessions.append(key, said())
        replayed = asyncio.Event()
        store.on_replay(lambda _: replayed.set())
        saved.stop(9)
        for _ in range(3):
            assert not (await store.sessions.append(key, said())).durable
        saved.start()
        await store.sessions.get(key)
        async with asyncio.timeout(20):
            await replayed.wait()
        assert versions(await store.notices.read("shop", "ada")) == [1, 2, 3, 4, 5]


def in_order(told: list[Notice]) -> bool:
    """Whether each change is told once, and a gap or a repetition is announced."""
    for before, notice in pairwise(told):
        if "missed" not in (before.kind, notice.kind) and notice.version != before.version + 1:
            return False
    return True


async def test_a_failover(tmp_path: Path) -> None:
    sentinels = SentinelSet(tmp_path, any_binary()).start()
    try:
        async with (
            sojourn.open(sentinels.url, notices=True, durability="replicas", replicas=2) as store,
            sojourn.open(sentinels.url, notices=True, health_check_interval=HOUR) as far,
        ):
            key = (await store.sessions.create("shop", "ada", "s")).key
            told: list[Notice] = []
            after = await far.notices.latest("shop", "ada")
            listening = asyncio.create_task(heard(far, key, after, 201, told))
            await write(store, key, 100)
            old = await asyncio.to_thread(sentinels.failover)
            await asyncio.to_thread(sentinels.await_new_primary, old)
            await asyncio.to_thread(sentinels.settle)
            await write(store, key, 100)
            await listening
            assert set(range(2, 202)) <= set(versions(told))
            assert in_order(told)
    finally:
        sentinels.close()


async def test_a_primary_that_freezes(tmp_path: Path) -> None:
    """Nothing says that the connection to it is dead but what is met on the others."""
    sentinels = SentinelSet(tmp_path, any_binary()).start()
    try:
        async with sojourn.open(
            sentinels.url, notices=True, operation_timeout=0.5, health_check_interval=HOUR
        ) as store:
            key = (await store.sessions.create("shop", "ada", "s")).key
            told: list[Notice] = []
            listening = asyncio.create_task(heard(store, key, "0", 41, told))
            stream, primary = "notices:{shop:ada}", sentinels.primary
            await until(lambda: primary.ask("PUBSUB", "SHARDNUMSUB", stream) == [stream, 1])
            for number in range(20):
                await write(store, key, 1)
                await until(lambda seen=number + 2: len(told) == seen)
            await asyncio.sleep(0.1)  # it has looked once more, and waits for a wake-up
            old = sentinels.pause_primary()
            await asyncio.to_thread(sentinels.await_new_primary, old)
            await write(store, key, 20)
            await listening
            assert set(range(1, 42)) <= set(versions(told))
            assert in_order(told)
    finally:
        sentinels.close()


@pytest.mark.parametrize("binary", [redis_binary, valkey_binary])
async def test_a_slot_that_moves(tmp_path: Path, binary) -> None:
    cluster = ClusterSet(tmp_path, binary()).start()
    try:
        async with (
            sojourn.open(cluster.url, notices=True) as store,
            sojourn.open(cluster.url, notices=True, health_check_interval=HOUR) as far,
        ):
            key = (await store.sessions.create("shop", "ada", "s")).key
            told: list[Notice] = []
            after = await far.notices.latest("shop", "ada")
            listening = asyncio.create_task(heard(far, key, after, 61, told))
            await write(store, key, 20)
            await until(lambda: len(told) == 20)
            stream = "notices:{shop:ada}"
            source = cluster.owner_of(stream)
            target = next(node for node in cluster.nodes[:3] if node is not source)
            moving = asyncio.to_thread(cluster.move_slot, cluster.slot_of(stream), source, target)
            await asyncio.gather(moving, write(store, key, 20))
            await until(lambda: len(told) == 40)
            await until(lambda: target.ask("PUBSUB", "SHARDNUMSUB", stream) == [stream, 1])
            await write(store, key, 20)
            assert versions(await listening) == [*range(2, 62)]
    finally:
        cluster.close()


async def test_a_node_that_is_lost(tmp_path: Path) -> None:
    cluster = ClusterSet(tmp_path, any_binary()).start()
    try:
        async with (
            sojourn.open(cluster.url, notices=True, durability="replicas") as store,
            sojourn.open(cluster.url, notices=True, health_check_interval=HOUR) as far,
        ):
            key = (await store.sessions.create("shop", "ada", "s")).key
            told: list[Notice] = []
            after = await far.notices.latest("shop", "ada")
            listening = asyncio.create_task(heard(far, key, after, 41, told))
            await write(store, key, 20)
            await until(lambda: len(told) == 20)
            stream = "notices:{shop:ada}"
            owner, slot = cluster.owner_of(stream), cluster.slot_of(stream)
            cluster.kill(owner)
            new = await asyncio.to_thread(cluster.await_promoted, owner, slot)
            await until(lambda: new.ask("PUBSUB", "SHARDNUMSUB", stream) == [stream, 1])
            async with sojourn.open(cluster.url, notices=True) as plain:
                await write(plain, key, 20)
            assert versions(await listening) == [*range(2, 42)]
    finally:
        cluster.close()
