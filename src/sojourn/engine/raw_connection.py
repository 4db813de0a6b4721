"""A connection without the tasks of redis-py: writes and replies take no turns of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from redis import exceptions as driver
from redis.asyncio.connection import AbstractConnection

REPLY_ERRORS = (
    driver.ResponseError,
    driver.BusyLoadingError,
    driver.ClusterDownError,
    driver.AuthenticationError,
    driver.AuthorizationError,
)
"""What redis-py raises for an error reply; anything else means the connection is gone."""

TURN = 16
"""Replies handed out before those who got them have their turn, so that their next calls are on the
way to the server while the rest is read: both work at the same time."""

_MORE = object()
"""What hiredis gives when the bytes so far do not complete a reply."""


class RawConnection:
    """Writes to the transport, and hands out replies as their bytes arrive, parsed by hiredis.

    Without hiredis, redis-py parses in a task that reads from a stream: more steps for each reply.

    Args:
        connection: ready for commands, with no reply outstanding.
        deliver: called with each reply; an error reply is an exception.

    Attributes:
        write: sends bytes, without waiting.

    Raises:
        ImportError: there is no hiredis.
        AttributeError: a connection of another make.
    """

    __slots__ = ("_deliver", "_get", "_loop", "_put", "_stream", "_transport", "_waits", "write")

    def __init__(self, connection: AbstractConnection, deliver: Callable[[Any], object]) -> None:
        inside = cast("Any", connection)
        self._stream = inside._reader  # noqa: SLF001 - redis-py gives whole replies only
        self._transport = inside._writer.transport  # noqa: SLF001
        reader = import_module("hiredis").Reader(
            protocolError=driver.InvalidResponse,
            replyError=inside._parser.parse_error,  # noqa: SLF001 - the same classes of errors
            notEnoughData=_MORE,
        )
        self._put, self._get = reader.feed, reader.gets
        self._deliver: Callable[[Any], object] | None = deliver
        self.write: Callable[[bytes], object] = self._transport.write
        self._loop = asyncio.get_running_loop()
        self._waits = False

    @property
    def is_full(self) -> bool:
        """Whether bytes wait to be sent, so that more should wait, too."""
        return bool(self._transport.get_write_buffer_size())

    def feed(self, data: bytes = b"") -> None:
        """Take bytes that arrived, and hand out some replies; the others have their turn later."""
        if data:
            self._put(data)
            if self._waits:
                return
        self._waits = False
        try:
            for _ in range(TURN):
                if (deliver := self._deliver) is None or (reply := self._get()) is _MORE:
                    return
                first: Any = reply
                if type(reply) is list and reply:
                    first = reply[0]  # pyright: ignore[reportUnknownVariableType]
                if not isinstance(first, driver.ConnectionError):
                    deliver(reply)
                elif isinstance(first, REPLY_ERRORS):  # "loading" is one
                    deliver(first)
                else:
                    self.fail(first)
        except BaseException as error:
            self.fail(error)
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            return
        self._waits = True
        self._loop.call_soon(self.feed)

    def stop(self) -> None:
        """Hand out no more replies."""
        self._deliver = None

    def fail(self, error: BaseException) -> None:
        """Hand out no more replies; who reads from the connection gets the error."""
        self.stop()
        self._stream.set_exception(error)
