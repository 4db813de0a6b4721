"""A process that is late: a blocked loop, a held interpreter, a freeze. None is an outage."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys
import threading
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

import sojourn
import sojourn.sync
from cluster import ClusterSet
from proxy import Proxy
from servers import Server, any_binary
from sojourn import Event, Unavailable
from sojourn.engine.engine import Engine
from sojourn.engine.multiplexer import Timeouts
from sojourn.engine.server import Server as Address
from sojourn.telemetry import Hooks, OutageFact

T = TypeVar("T")

TIMEOUT = 0.3
LATE = 0.6
"""Seconds that the process stands still: longer than any call may take."""
TURNS = range(10)
"""Turns of the loop from a call until it is blocked: before it is sent, and after."""


def said() -> Event:
    return Event(author="a", payload="said")


@pytest.fixture
async def store(shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
    url = (
        f"{shared_server.url}?namespace=late&operation_timeout={TIMEOUT}&connect_timeout={TIMEOUT}"
    )
    async with sojourn.open(url) as store:
        await store.ping()
        yield store


async def blocked(call: Coroutine[Any, Any, T], turns: int, seconds: float = LATE) -> T:
    """The result of a call, after so many turns of which the loop stands still."""
    task = asyncio.create_task(call)
    for _ in range(turns):
        await asyncio.sleep(0)
    time.sleep(seconds)  # noqa: ASYNC251 - that is the fault
    return await task


async def busy(block: float) -> None:
    """A task that lets others have a turn now and then."""
    while True:
        time.sleep(block)  # noqa: ASYNC251
        await asyncio.sleep(0)


def unharmed(store: sojourn.Sojourn, connections: int) -> None:
    stats = store.stats()
    assert (stats.lost_connections, stats.retries, stats.outages) == (0, 0, 0)
    assert stats.connections == connections


@pytest.mark.parametrize("turns", TURNS)
async def test_a_loop_blocked_around_a_call_has_the_answer(
    store: sojourn.Sojourn, turns: int
) -> None:
    made = await store.sessions.create("shop", f"block-{turns}")
    connections = store.stats().connections
    done = await blocked(store.sessions.append(made.key, said()), turns)
    assert not done.repeated
    found = await store.sessions.get(made.key, last=3)
    assert found is not None
    assert found.length == 1
    unharmed(store, connections)


async def test_a_blocked_loop_takes_all_of_many_answers(store: sojourn.Sojourn) -> None:
    pytest.importorskip("hiredis")  # without it a task parses, in turn with others

    async def call() -> object:
        found = await store.cache.get("none", "none")
        time.sleep(0.0001)  # noqa: ASYNC251 - so they take longer than a last look
        return found

    await store.cache.get("none")
    connections = store.stats().connections
    found = await blocked(asyncio.wait_for(several(call, 3000), 60), 5)
    assert found == ["none"] * 3000
    unharmed(store, connections)


async def several(call: Callable[[], Awaitable[T]], times: int) -> list[T]:
    return list(await asyncio.gather(*(call() for _ in range(times))))


@pytest.mark.parametrize("turns", [0, 2, 5])
async def test_an_operation_of_several_round_trips(store: sojourn.Sojourn, turns: int) -> None:
    call = store.sessions.create("shop", f"several-{turns}", state={"app:a": 1, "user:b": 2})
    made = await blocked(call, turns)
    found = await store.sessions.get(made.key, last=3)
    assert found is not None
    assert found.state == {"app:a": 1, "user:b": 2}


@pytest.mark.parametrize("turns", [0, 3, 6, 9, 12])
async def test_a_loop_blocked_while_it_connects(shared_server: Server, turns: int) -> None:
    url = f"{shared_server.url}?operation_timeout={TIMEOUT}&connect_timeout={TIMEOUT}"
    async with sojourn.open(url) as store:
        await blocked(store.ping(), turns)
        unharmed(store, connections=1)


async def test_a_loop_with_many_blocks_still_has_its_answers(store: sojourn.Sojourn) -> None:
    made = await store.sessions.create("shop", "busy")
    connections = store.stats().connections
    for block in (0.05, 0.12, 0.35):
        others = asyncio.create_task(busy(block))
        await store.sessions.append(made.key, said())
        others.cancel()
    found = await store.sessions.get(made.key, last=1)
    assert found is not None
    assert found.length == 3
    unharmed(store, connections)


async def test_a_late_loop_still_ends_what_nobody_answers(server: Server) -> None:
    async with sojourn.open(server.url, operation_timeout=TIMEOUT) as store:
        await store.ping()
        server.pause()
        others = asyncio.create_task(busy(0.2))
        with pytest.raises(Unavailable):
            await store.ping()
        others.cancel()
        server.resume()


async def test_a_late_loop_does_not_open_the_circuit(server: Server) -> None:
    async with sojourn.open(server.url, operation_timeout=LATE / 2) as store:
        facts = list[OutageFact]()
        store.on_outage(facts.append)
        await store.ping()
        server.stop(9)
        call = asyncio.create_task(store.ping())
        await asyncio.sleep(0.05)  # it is being connected to
        time.sleep(LATE)  # noqa: ASYNC251
        server.start()
        await call
        assert facts == []


async def test_a_late_probe_closes_the_circuit(server: Server) -> None:
    options = {"operation_timeout": TIMEOUT, "connect_timeout": TIMEOUT}
    async with sojourn.open(server.url, **options) as store:  # type: ignore[arg-type]
        told = asyncio.Queue[OutageFact]()
        store.on_outage(told.put_nowait)
        await store.ping()
        server.stop(9)
        with pytest.raises(Unavailable):
            await store.ping()
        assert (await told.get()).down
        await asyncio.to_thread(server.start)
        others = asyncio.create_task(busy(TIMEOUT + 0.05))
        async with asyncio.timeout(60):
            while (await told.get()).down:  # a slow machine may lose it once more
                pass
        others.cancel()
        async with asyncio.timeout(60):
            while True:  # one call has 0.3 s, in which a loaded machine may not serve it
                with suppress(Unavailable):
                    await store.ping()
                    break


@pytest.mark.parametrize("turns", [1, 3, 5])
async def test_a_late_loop_buffers_nothing(shared_server: Server, turns: int) -> None:
    url = f"{shared_server.url}?namespace=late&operation_timeout={TIMEOUT}"
    async with sojourn.open(url, on_outage="buffer") as store:
        facts, reports = list[OutageFact](), list[object]()
        store.on_outage(facts.append)
        store.on_replay(reports.append)
        made = await store.sessions.create("shop", f"buffer-{turns}")
        done = await blocked(store.sessions.append(made.key, said()), turns)
        assert done.durable
        assert store.stats().buffered == 0
        await store.sessions.append(made.key, said())
        unharmed(store, store.stats().connections)
    assert (facts, reports) == ([], [])


async def test_a_late_loop_keeps_who_listens(shared_server: Server) -> None:
    timeouts = Timeouts(operation=TIMEOUT, health_check_interval=0.1)
    engine = Engine(
        Address.at(shared_server.url, connect_timeout=TIMEOUT), timeouts=timeouts, hooks=Hooks()
    )
    watch = engine.watch("late")
    await watch.wait(10)
    for _ in range(6):  # some of them while a sign of life is waited for
        await watch.wait(0.11)
        time.sleep(LATE)  # noqa: ASYNC251
    assert (engine.tally.losses, engine.tally.connections) == (0, 1)
    await engine.close()


def test_an_interpreter_that_is_held_is_no_outage_for_a_sync_store(shared_server: Server) -> None:
    """As a collection of garbage holds it: no thread of the process runs."""
    hold = ctypes.PyDLL(None).usleep
    url = f"{shared_server.url}?namespace=late&operation_timeout={TIMEOUT}"
    with sojourn.sync.open(url) as store:
        made = store.sessions.create("shop", "sync")
        errors = list[BaseException]()

        def talk() -> None:
            try:
                for _ in range(200):
                    store.sessions.append(made.key, said())
            except BaseException as error:  # noqa: BLE001 - the test shows it
                errors.append(error)

        talking = threading.Thread(target=talk)
        talking.start()
        for _ in range(5):
            hold(int(LATE * 1e6))
            talking.join(0.005)
        talking.join()
        assert errors == []
        assert (store.stats().lost_connections, store.stats().outages) == (0, 0)


# ── a Cluster ──────────────────────────────────────────────────────────────────────────────────


async def test_a_loop_blocked_while_a_call_is_redirected(tmp_path: Path) -> None:
    cluster = ClusterSet(tmp_path, any_binary()).start()
    try:
        async with sojourn.open(cluster.url, operation_timeout=TIMEOUT * 2) as store:
            made = await store.sessions.create("shop", "ada")
            slot = cluster.slot_of("{shop:ada}")
            losses = store.stats().lost_connections
            for turns in (0, 3, 6, 9, 12):
                source = cluster.owner_of("{shop:ada}")
                target = next(node for node in cluster.nodes[:3] if node is not source)
                await asyncio.to_thread(cluster.move_slot, slot, source, target)
                await blocked(store.sessions.append(made.key, said()), turns, TIMEOUT * 3)
            assert (store.stats().lost_connections, store.stats().outages) == (losses, 0)
            found = await store.sessions.get(made.key)
            assert found is not None
            assert found.length == 5
    finally:
        cluster.close()


# ── connections that died meanwhile ────────────────────────────────────────────────────────────


def silent_from_now(proxy: Proxy) -> None:
    """What is connected now has died, and nobody is told."""
    dead = proxy.connections
    proxy.on_request = lambda _: "stall" if proxy.connections == dead else "pass"


@pytest.mark.parametrize("name", ["append", "get"])
async def test_a_suspended_machine_finds_its_dead_connections(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its monotonic clock has stood still, too."""
    async with Proxy(shared_server.port) as proxy:
        url = f"{proxy.url}?namespace=late&operation_timeout=2"
        async with sojourn.open(url) as store:
            facts = list[OutageFact]()
            store.on_outage(facts.append)
            made = await store.sessions.create("shop", f"suspended-{name}")
            await store.sessions.get(made.key)  # both connections stand
            silent_from_now(proxy)
            now = time.time
            monkeypatch.setattr("sojourn.resilience.deadline.time.time", lambda: now() + 20)
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "append": lambda: store.sessions.append(made.key, said()),
                "get": lambda: store.sessions.get(made.key),
            }
            proxy.requests.clear()
            assert await calls[name]()
            assert proxy.requests[0] == b"*1\r\n$4\r\nPING\r\n"
            assert store.stats().lost_connections
            assert store.stats().retries == 0
            assert facts == []


_FREEZES = """
import asyncio, os, signal, sys, sojourn

async def main():
    async with sojourn.open(sys.argv[1], operation_timeout=2, health_check_interval=0.3) as store:
        made = await store.sessions.create("shop", "frozen-" + sys.argv[2])
        event = sojourn.Event(author="a", payload="first try")
        if sys.argv[2] == "sent":
            sent = asyncio.create_task(store.sessions.append(made.key, event))
            for _ in range(4):
                await asyncio.sleep(0)
        print("ready", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        if sys.argv[2] == "sent":
            await sent
        else:
            await store.sessions.append(made.key, event)
        found = await store.sessions.get(made.key, last=1)
        print(found.length, store.stats().outages, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["idle", "sent"])
async def test_a_frozen_process_goes_on_where_its_connections_died(
    shared_server: Server, when: str
) -> None:
    async with Proxy(shared_server.port) as proxy:
        proxy.on_request = lambda data: "stall" if b"first try" in data else "pass"
        url = f"{proxy.url}?namespace=late"
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _FREEZES, url, when, stdout=PIPE
        )
        assert child.stdout is not None
        try:
            assert await child.stdout.readline() == b"ready\n"
            silent_from_now(proxy)
            await asyncio.sleep(0.6)  # twice as long as a connection may be silent
            child.send_signal(signal.SIGCONT)
            assert await child.stdout.readline() == b"1 0\n"
        finally:
            if child.returncode is None:
                child.send_signal(signal.SIGCONT)
                child.terminate()
            await child.wait()
