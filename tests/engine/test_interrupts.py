"""What a signal handler throws into the engine reaches the caller: it is no broken connection.

pytest-timeout does so, and everything else that stops a function by `signal.setitimer`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import sojourn
from servers import Server
from sojourn.engine import multiplexer
from sojourn.engine.multiplexer import Multiplexer
from sojourn.engine.raw_connection import RawConnection


class Stop(BaseException):
    """No `Exception`, as pytest's own."""


def store_in_which(server: Server, method: str, monkeypatch: pytest.MonkeyPatch) -> sojourn.Sojourn:
    """A store whose connections are stopped when they are used for the second time."""
    store = sojourn.open(server.url)
    inner: Any = store._engine._server  # type: ignore[union-attr]
    connect = inner.connect

    async def connected() -> Any:
        connection: Any = await connect()
        real, calls = getattr(connection, method), 0

        async def stopped(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > 1:
                raise Stop
            return await real(*args, **kwargs)

        setattr(connection, method, stopped)
        return connection

    monkeypatch.setattr(inner, "connect", connected)
    return store


async def until_stopped(store: sojourn.Sojourn) -> None:
    """A reader may be waiting for a reply already."""
    async with asyncio.timeout(5):
        while True:
            await store.ping()


@pytest.mark.parametrize("method", ["read_response", "send_packed_command"])
async def test_it_reaches_the_caller_where_redis_py_reads(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def no_hiredis(*_: object) -> RawConnection:
        raise ImportError

    monkeypatch.setattr(multiplexer, "RawConnection", no_hiredis)
    async with store_in_which(shared_server, method, monkeypatch) as store:
        await store.ping()
        with pytest.raises(Stop):
            await until_stopped(store)
        assert store.stats().outages == 0
        await store.ping()


@pytest.mark.parametrize("method", ["_received", "_take"])
async def test_it_reaches_the_caller(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    pytest.importorskip("hiredis")
    real, calls = getattr(Multiplexer, method), 0

    def stopped(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Stop
        return real(*args)

    monkeypatch.setattr(Multiplexer, method, stopped)
    async with sojourn.open(shared_server.url) as store:
        await store.ping()
        with pytest.raises(Stop):
            await until_stopped(store)
        assert store.stats().outages == 0
        await store.ping()


async def test_it_reaches_the_caller_while_connecting(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sojourn.open(shared_server.url) as store:
        inner: Any = store._engine._server  # type: ignore[union-attr]
        real, stops = inner.connect, [Stop()]

        async def stopped() -> Any:
            if stops:
                raise stops.pop()
            return await real()

        monkeypatch.setattr(inner, "connect", stopped)
        with pytest.raises(Stop):
            await store.ping()
        await store.ping()


async def test_it_reaches_who_listens(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with store_in_which(shared_server, "read_response", monkeypatch) as store:
        watch = store._engine.watch("interrupts")  # type: ignore[union-attr]
        await watch.wait(5)  # it listens
        with pytest.raises(Stop):
            await watch.wait(5)
        watch.close()
