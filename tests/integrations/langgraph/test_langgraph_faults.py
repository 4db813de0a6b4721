"""Graphs whose process is killed, whose replies are lost, and whose server fails over."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import pytest
import redis
from langgraph.checkpoint.memory import InMemorySaver

import sojourn
from checkpoints.stored_threads import check
from cluster import ClusterSet
from extent import FULL
from faults.graphs import APP, TURNS, Ledger, at, chat, go_on, problems, said, watched
from faults.mortals import Mortals
from faults.test_killed_client import live, starts
from proxy import Proxy
from sentinel import SentinelSet
from servers import Server, any_binary
from sojourn import SojournError

LOG = ["h0", "t1", "a2", "h1", "t4", "a5"]


@pytest.fixture
async def proxy(shared_server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(shared_server.port) as proxy:
        yield proxy


def check_keys(server: Server, namespace: str) -> None:
    """Values are counted as they are used, and every key expires."""
    with redis.Redis(port=server.port) as client:
        check(client, namespace)


async def test_a_process_that_is_killed_between_any_two_commands(
    shared_server: Server, proxy: Proxy, tmp_path: Path
) -> None:
    space, acknowledged = secrets.token_hex(4), set[int]()
    async with Mortals("faults.graphs") as mortals:
        url = f"{proxy.url}?namespace={space}"
        whole = await live(mortals, proxy, url, tmp_path / "whole", None, "graph")
        assert Ledger.read(tmp_path / "whole").done == TURNS * (4 + 3)
        points = [(k, n) for k, data in enumerate(whole) for n in range(len(starts(data)))]
        assert len(points) > 20
        for number, point in enumerate(points if FULL else points[::5]):
            name, path = f"{space}x{number}", tmp_path / f"{number}"
            await live(mortals, proxy, f"{proxy.url}?namespace={name}", path, point, "graph")
            ledger, heir = Ledger.read(path), Ledger()
            acknowledged.add(ledger.done)
            async with sojourn.open(shared_server.url, namespace=name) as store:
                saver = watched(store, heir)
                assert (point, await problems(saver, ledger)) == (point, [])
                assert (point, await go_on(chat(saver), "one")) == (point, LOG)
                assert (point, await problems(saver, ledger, heir)) == (point, [])
            check_keys(shared_server, name)
    assert len(acknowledged) > 2


@pytest.mark.parametrize("fault", ["lose", "drop", "trim"] if FULL else ["lose"])
async def test_a_reply_that_is_lost(shared_server: Server, proxy: Proxy, fault: str) -> None:
    """Whichever it is, the graph notices nothing, and each step is there once."""
    model = chat(InMemorySaver())
    for turn in range(TURNS):
        await model.ainvoke(said(turn), at("one"))
    wanted = [
        (state.values, state.next, state.metadata["step"])
        async for state in model.aget_state_history(at("one"))
    ]
    number, lost = 0, True
    while lost:
        name = f"{fault}{secrets.token_hex(4)}"
        proxy.requests.clear()
        proxy.on_request = lambda _, number=number: (
            fault if len(proxy.requests) == number else "pass"
        )
        ledger = Ledger()
        async with sojourn.open(proxy.url, namespace=name) as store:
            graph = chat(watched(store, ledger))
            for turn in range(TURNS):
                await graph.ainvoke(said(turn), at("one"), durability="sync")
        lost = len(proxy.requests) > number
        async with sojourn.open(shared_server.url, namespace=name) as store:
            saver = watched(store, Ledger())
            found = [
                (state.values, state.next, state.metadata["step"])
                async for state in chat(saver).aget_state_history(at("one"))
            ]
            assert (number, found) == (number, wanted)
            assert (number, await problems(saver, ledger)) == (number, [])
        check_keys(shared_server, name)
        number += 1 if FULL else 3
    assert number > 12


class Running:
    """Graphs that run on and on, three turns a thread, while faults happen."""

    def __init__(self, url: str, runners: int = 4) -> None:
        self.ledger = Ledger(told=self._tell)
        self.errors = set[str]()
        self._progress = asyncio.Event()
        self._stop = False
        self._store = sojourn.open(
            url, durability="replicas", operation_timeout=2, connect_timeout=2, namespace="running"
        )
        self._runners = runners
        self._names = set[str]()

    async def __aenter__(self) -> Self:
        await self._store.__aenter__()
        self.saver = watched(self._store, self.ledger)
        self._tasks = [asyncio.create_task(self._run(n)) for n in range(self._runners)]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._stop = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._store.__aexit__(None, None, None)

    def _tell(self) -> None:
        self._progress.set()

    async def _run(self, runner: int) -> None:
        graph, turn = chat(self.saver), 0
        while not self._stop:
            thread = self._thread(runner, turn)
            try:
                if (await graph.aget_state(at(thread))).tasks:
                    await graph.ainvoke(None, at(thread), durability="sync")
                else:
                    turn += 1
                    thread = self._thread(runner, turn)
                    await graph.ainvoke(said(turn), at(thread), durability="sync")
            except SojournError as error:
                self.errors.add(type(error).__name__)
                await asyncio.sleep(0.02)  # in an outage calls fail at once

    def _thread(self, runner: int, turn: int) -> str:
        thread = f"{runner}.{turn // 3}"
        self._names.add(thread)
        return thread

    async def written(self, more: int = 60) -> None:
        """Wait until so many more writes were acknowledged."""
        wanted = self.ledger.done + more
        async with asyncio.timeout(40):
            while self.ledger.done < wanted:
                self._progress.clear()
                await self._progress.wait()

    async def ended(self) -> list[str]:
        """What is wrong when all have ended what they do."""
        self._stop = True
        await asyncio.gather(*self._tasks)
        found = await problems(self.saver, self.ledger)
        for name in self._names:
            log = (await chat(self.saver).aget_state(at(name))).values.get("log", [])
            if len(log) != len(set(log)):
                found.append(f"{name}: a step was done twice: {log}")
        return found


@pytest.mark.skipif(not FULL, reason="FULL=1")
@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_sentinel_failover_under_running_graphs(tmp_path: Path, fault: str) -> None:
    sentinels = SentinelSet(tmp_path, any_binary()).start()
    try:
        async with Running(sentinels.url) as running:
            await running.written()
            stop = sentinels.kill_primary if fault == "killed" else sentinels.pause_primary
            old = await asyncio.to_thread(stop)
            await asyncio.to_thread(sentinels.await_new_primary, old)
            await running.written()
            if fault == "killed":
                await asyncio.to_thread(sentinels.restart, old)
            else:
                sentinels.resume()
            await asyncio.to_thread(sentinels.settle)
            await running.written()
            assert await running.ended() == []
        check_keys(sentinels.primary, "running")
    finally:
        sentinels.close()


@pytest.mark.skipif(not FULL, reason="FULL=1")
@pytest.mark.parametrize("fault", ["killed", "told to go"])
async def test_a_cluster_failover_under_running_graphs(tmp_path: Path, fault: str) -> None:
    cluster = ClusterSet(tmp_path, any_binary()).start()
    try:
        async with Running(cluster.url) as running:
            await running.written()
            tag = f"{{{APP}:thread 0}}"
            old = cluster.owner_of(tag)
            if fault == "killed":
                await asyncio.to_thread(cluster.kill, old)
                await asyncio.to_thread(cluster.await_promoted, old, cluster.slot_of(tag))
                await asyncio.to_thread(cluster.restart, old)
            else:
                cluster.failover(cluster.replica_of(old))
                await asyncio.to_thread(cluster.await_promoted, old, cluster.slot_of(tag))
            await running.written()
            await asyncio.to_thread(cluster.settle)
            await running.written()
            assert cluster.owner_of(tag) is not old
            assert await running.ended() == []
        for node in cluster.nodes:
            if node.ask("ROLE")[0] == "master":
                check_keys(node, "running")
    finally:
        cluster.close()
