"""A connection without the tasks of redis-py: few steps, the same replies and errors."""

from __future__ import annotations

import asyncio
import gc
import secrets
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis import exceptions as driver
from redis.asyncio.connection import AbstractConnection, Connection

import sojourn
from servers import Server
from sojourn import Event
from sojourn.engine.raw_connection import TURN, RawConnection

pytest.importorskip("hiredis")

MOST = 180
"""Python and C calls that an append may take, with those of the event loop: 136 on Python 3.11."""


async def test_an_append_takes_few_steps(shared_server: Server) -> None:
    times, calls = 100, 0

    def called(_frame: object, what: str, _argument: object) -> None:
        nonlocal calls
        calls += what in ("call", "c_call")

    async with sojourn.open(shared_server.url) as store:
        made = await store.sessions.create("steps", secrets.token_hex(4))
        events = [Event(author="user", payload={"text": "x" * 1000}) for _ in range(times + 1)]
        await store.sessions.append(made.key, events.pop())
        gc.collect()
        sys.setprofile(called)
        try:
            for event in events:
                await store.sessions.append(made.key, event)
        finally:
            sys.setprofile(None)
    assert calls / times < MOST


async def test_a_reply_that_nobody_asked_for_shifts_no_other(shared_server: Server) -> None:
    async with sojourn.open(shared_server.url) as store:
        made = await store.sessions.create("steps", secrets.token_hex(4))
        (pair,) = cast("Any", store._engine)._connections.values()
        before = pair.small._connection
        before._reader.feed_data(b"+EXTRA\r\n")
        done = await store.sessions.append(made.key, Event(author="user", payload="x"))
        assert done.version == 2
        assert pair.small._connection is not before


class Fed:
    """What a connection without a server hands out, and raises to who reads from it."""

    def __init__(self) -> None:
        self.stream = asyncio.StreamReader()
        self.replies: list[Any] = []
        inside = SimpleNamespace(
            _reader=self.stream,
            _writer=SimpleNamespace(transport=SimpleNamespace(write=None)),
            _parser=cast("Any", Connection())._parser,
        )
        self.raw = RawConnection(cast("AbstractConnection", inside), self.replies.append)


async def test_of_many_replies_callers_have_their_turn_in_between() -> None:
    fed = Fed()
    fed.raw.feed(b":1\r\n" * (2 * TURN + 1) + b":")
    assert len(fed.replies) == TURN
    fed.raw.feed(b"2\r\n")
    assert len(fed.replies) == TURN  # in order: behind those that wait
    await asyncio.sleep(0)
    assert len(fed.replies) == 2 * TURN
    await asyncio.sleep(0)
    assert fed.replies == [1] * (2 * TURN + 1) + [2]


async def test_errors_are_those_of_redis_py() -> None:
    fed = Fed()
    fed.raw.feed(b"-LOADING wait\r\n-WRONGTYPE no\r\n*2\r\n-LOADING wait\r\n:1\r\n*1\r\n-ERR x\r\n")
    loading, wrong, in_list, listed = fed.replies
    assert isinstance(loading, driver.BusyLoadingError)
    assert isinstance(wrong, driver.ResponseError)
    assert isinstance(in_list, driver.BusyLoadingError)
    assert isinstance(listed[0], driver.ResponseError)
    fed.raw.feed(b"-ERR max number of clients reached\r\n+OK\r\n")
    assert len(fed.replies) == 4
    with pytest.raises(driver.ConnectionError):
        await fed.stream.read(1)


@pytest.mark.parametrize("data", [b"?\r\n", b"*-9\r\n"])
async def test_what_is_no_reply_ends_the_connection(data: bytes) -> None:
    fed = Fed()
    fed.raw.feed(data + b"+OK\r\n")
    with pytest.raises(driver.InvalidResponse):
        await fed.stream.read(1)
    assert fed.replies == []
