"""The clock of a loop, and what waits by it."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
import weakref

import pytest

from sojourn.resilience.deadline import (
    Alarm,
    Deadline,
    IdleTimer,
    end_of_operation,
    from_now,
    half_of_remaining,
    running_clock,
    until,
)


async def test_a_clock_stands_while_its_loop_is_late() -> None:
    clock = running_clock()
    began = clock.time()
    for _ in range(3):
        time.sleep(0.5)  # noqa: ASYNC251 - that is the fault
        await asyncio.sleep(0)
    assert 0 < clock.time() - began < 0.5


async def test_a_clock_goes_with_time_while_its_loop_is_on_time() -> None:
    clock = running_clock()
    for _ in range(10):  # a busy machine may be late for itself
        began, real = clock.time(), time.monotonic()
        await asyncio.sleep(0.3)
        if clock.time() - began == pytest.approx(time.monotonic() - real, abs=0.05):
            return
    pytest.fail("it has lost time each time")


async def test_a_clock_that_nobody_looks_at_rests_and_never_goes_back() -> None:
    clock = running_clock()
    began = clock.time()
    await asyncio.sleep(1.5)
    assert not clock._beats  # pyright: ignore[reportPrivateUsage]
    assert began <= clock.time()
    assert clock._beats  # pyright: ignore[reportPrivateUsage]


def test_a_loop_that_has_ended_keeps_no_clock() -> None:
    async def use() -> weakref.ref[asyncio.AbstractEventLoop]:
        Alarm(running_clock(), from_now(60), lambda _: None)
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(use())
    gc.collect()
    assert loop() is None


async def test_an_alarm_looks_once_more_before_it_rings() -> None:
    heard = list[str]()
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, lambda: heard.append(ours.recv(9).decode()))
    done = asyncio.Event()
    Alarm(running_clock(), from_now(0.05), lambda _: (heard.append("rings"), done.set()))
    threading.Timer(0.1, theirs.send, [b"arrives"]).start()
    time.sleep(0.3)  # noqa: ASYNC251
    await done.wait()
    assert heard == ["arrives", "rings"]
    loop.remove_reader(ours)
    ours.close()
    theirs.close()


async def test_a_time_limit_reads_what_has_arrived() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    threading.Timer(0.1, theirs.send, [b"hello"]).start()
    async with until(from_now(0.05)):
        time.sleep(0.3)  # noqa: ASYNC251
        assert await reader.readexactly(5) == b"hello"
    with pytest.raises(TimeoutError):
        async with until(from_now(0.05)):
            await reader.readexactly(1)
    writer.close()
    theirs.close()


async def test_the_sooner_end_holds() -> None:
    with Deadline(10.0):
        with Deadline(20.0):
            assert end_of_operation() == 10.0
        with Deadline(5.0):
            assert end_of_operation() == 5.0
            assert half_of_remaining() < 5.0
        assert end_of_operation() == 10.0
    assert end_of_operation() == float("inf")


def test_an_idle_time_is_as_long_as_the_clock_that_says_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    idle = IdleTimer()
    assert idle.seconds < 10
    now = time.time
    for offset, least in ((20.0, 20.0), (-20.0, 0.0)):
        monkeypatch.setattr("sojourn.resilience.deadline.time.time", lambda by=offset: now() + by)
        assert idle.seconds >= least
    idle.restart()
    assert idle.seconds < 10
