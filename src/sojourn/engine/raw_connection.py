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
"""Replies delivered before their callers run, so that their next calls are sent while the rest is
parsed: client and server work at the same time."""

_MORE = object()
"""What hiredis returns while a reply is not complete."""


class RawConnection:
    """Writes to the transport, and delivers replies as their bytes arrive, parsed by hiredis.

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
        """Whether the send buffer holds bytes, so that more should wait."""
        return bool(self._transport.get_write_buffer_size())

    def feed(self, data: bytes = b"") -> None:
        """Take bytes that arrived, and deliver some replies; the others follow in later turns."""
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

    def catch_up(self) -> None:
        """Deliver at once all replies that have arrived."""
        while self._waits:
            self.feed()

    def stop(self) -> None:
        """Deliver no more replies."""
        self._deliver = None

    def fail(self, error: BaseException) -> None:
        """Deliver no more replies; the task that reads from the connection gets the error."""
        self.stop()
        self._stream.set_exception(error)
