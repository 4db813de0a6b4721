"""The one door to a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from sojourn.engine.call import Call, pack_call
from sojourn.engine.server import Server
from sojourn.engine.wire import Pending, Wire
from sojourn.errors import Closed
from sojourn.telemetry import CallFact, Hooks

T = TypeVar("T")


_LARGE = 64 * 1024
"""Bytes from which a request travels apart from small ones."""


class _Lanes(NamedTuple):
    """The two connections of one event loop: megabytes never stand before a small call."""

    small: Wire
    bulk: Wire

    def submit(self, call: Call[Any], deadline: float) -> Pending:
        packet = pack_call(call)
        large = call.bulk or len(packet) > _LARGE
        return (self.bulk if large else self.small).submit(call, packet, deadline)

    async def close(self) -> None:
        await asyncio.gather(self.small.close(), self.bulk.close())


class Engine:
    """Sends calls to one server and reads their replies.

    An engine may be used from several event loops; each gets connections of its own.

    Args:
        server: where to send.
        operation_timeout: seconds until a call that got no reply ends with an error.
        hooks: who is told of each call.

    Attributes:
        losses: how many connections have ended; the server behind the next may be another.
    """

    def __init__(self, server: Server, *, operation_timeout: float, hooks: Hooks) -> None:
        self._server = server
        self._timeout = operation_timeout
        self._hooks = hooks
        self._lanes: dict[asyncio.AbstractEventLoop, _Lanes] = {}
        self._closed = False
        self.losses = 0

    @property
    def where(self) -> str:
        """The server's address, without secrets."""
        return self._server.where

    async def run(self, call: Call[T], *, timeout: float | None = None) -> T:  # noqa: ASYNC109
        """Send one call. One round trip.

        Args:
            call: what to send.
            timeout: seconds, instead of the engine's own.

        Raises:
            OutcomeUnknown: a write was sent and no reply came in time.
            Unavailable: no server could be reached in time.
            SojournError: what else the server refused, by its class.
        """
        return call.read(await self._submit(call, timeout).future)

    async def run_all(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Send several calls at once: one round trip, in order but for those that may be large.

        Every call has run its course when this returns or raises.

        Raises:
            SojournError: the first error among them, as `run` would raise it.
        """
        futures = [self._submit(call).future for call in calls]
        await asyncio.gather(*futures, return_exceptions=True)
        return [call.read(future.result()) for call, future in zip(calls, futures, strict=True)]

    def post(self, call: Call[Any]) -> None:
        """Send a call that nobody waits for: one that is harmless to lose and to repeat."""
        self._submit(call).future.add_done_callback(_heard)

    def _submit(self, call: Call[Any], timeout: float | None = None) -> Pending:
        loop = asyncio.get_running_loop()
        lanes = self._lanes.get(loop) or self._open(loop)
        started = loop.time()
        pending = lanes.submit(call, started + (timeout or self._timeout))
        if self._hooks.wanted:
            pending.future.add_done_callback(
                lambda future: self._hooks.tell(
                    CallFact(
                        call.name,
                        _outcome(future),
                        loop.time() - started,
                        pending.attempts,
                        len(pending.packet),
                    )
                )
            )
        return pending

    async def disconnect(self) -> None:
        """Close the connections of the running loop; the next call makes new ones."""
        lanes = self._lanes.pop(asyncio.get_running_loop(), None)
        if lanes is not None:
            await lanes.close()

    async def close(self) -> None:
        """Close all connections, for good, and leave an embedded server. Idempotent."""
        self._closed = True
        await self.disconnect()
        for loop, lanes in list(self._lanes.items()):
            del self._lanes[loop]
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(lanes.close(), loop)
        await self._server.release()

    def _lost(self) -> None:
        self.losses += 1

    def _open(self, loop: asyncio.AbstractEventLoop) -> _Lanes:
        if self._closed:
            raise Closed("This store is closed: open a new one.")
        for ended in [each for each in self._lanes if each.is_closed()]:
            del self._lanes[ended]
        small, bulk = (Wire(self._server.connect, self.where, self._lost) for _ in range(2))
        lanes = self._lanes[loop] = _Lanes(small, bulk)
        return lanes


def _heard(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def _outcome(future: asyncio.Future[Any]) -> str:
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    return "ok" if error is None else type(error).__name__
