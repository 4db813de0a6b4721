"""Pub/sub: one connection to a server for all channels that the tasks of an event loop listen to.

A message is only a wake-up: the listener reads the data itself elsewhere. So a lost message costs
time and no data, and every listener is woken whenever a message may have been lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple, cast

from redis.asyncio.connection import AbstractConnection

from sojourn.calls.call import Command, pack
from sojourn.engine.credentials import Deferred
from sojourn.engine.faults import Redirect, is_hopeless, is_passing, redirect_of, translate
from sojourn.engine.multiplexer import CHECK, Timeouts
from sojourn.engine.raw_connection import REPLY_ERRORS
from sojourn.engine.tasks import hang_up, is_interrupt, start
from sojourn.errors import Closed, SojournError
from sojourn.resilience.backoff import backoff
from sojourn.resilience.deadline import IdleTimer, from_now, until

_UNKNOWN = "unknown command"
"""Part of the reply of servers before Redis 7 to SSUBSCRIBE."""


class Watch:
    """Wakes one task when there may be news on a channel.

    Args:
        channel: its name; in a Cluster its hash tag says which node has it.
        route: gives the listener for it as things stand.
    """

    def __init__(self, channel: str, route: Callable[[str], Listener]) -> None:
        self.channel = channel
        self._route = route
        self._listener: Listener | None = None
        self._news = asyncio.Event()
        self._error: BaseException | None = None
        self._where = ""
        self._losses = 0

    async def wait(self, seconds: float) -> None:
        """Wait for news, at most that many seconds. The first wait starts to listen.

        Raises:
            AccessDenied: this user may not listen to that channel, or not connect.
            Closed: the store is closed.
            SojournError: any other refusal of the server.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if self._losses > 1:  # nodes disagree, or nobody is there: do not storm them
                    await asyncio.sleep(backoff(self._losses))
                if self._listener is None:
                    self._listener = self._route(self.channel)
                    self._listener.add(self)
                await self._news.wait()
        self._news.clear()
        error, self._error = self._error, None
        if error is not None and (isinstance(error, SojournError) or is_interrupt(error)):
            raise error
        if error is not None:
            raise translate(error, self._where) from error

    def wake(self) -> None:
        """Report that there may be news."""
        self._losses = 0
        self._news.set()

    def lose(self, error: BaseException | None = None, where: str = "") -> None:
        """Report that the listener is gone; the next wait finds another, or raises this error."""
        self._listener = None
        self._losses += 1
        self._error, self._where = error, where
        self._news.set()

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.drop(self)
            self._listener = None


class _Asked(NamedTuple):
    """A command whose reply is on its way."""

    channel: str
    joins: bool


class Listener:
    """The pub/sub connection to one server, open while somebody listens.

    When it ends, all who listen are woken and let go: they look at what they may have missed, and
    listen again, here or wherever their channel is by then.

    Args:
        connect: makes a connection that is ready for commands.
        where: the server's address for messages.
        timeouts: how long to wait.
        lost: called when a connection has ended or could not be made.
        moved: told which node has a channel, said by this one; None where there are no others.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[AbstractConnection]],
        where: str,
        timeouts: Timeouts,
        *,
        lost: Callable[[], None],
        moved: Callable[[Redirect], object] | None,
    ) -> None:
        self._connect = connect
        self._where = where
        self._timeouts = timeouts
        self._lost = lost
        self._moved = moved
        self._loop = asyncio.get_running_loop()
        self._watches: dict[str, set[Watch]] = {}
        self._joined: set[str] = set()
        self._sent: set[str] = set()
        self._asked: deque[_Asked] = deque()
        self._sharded = True
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self._idle = IdleTimer()
        self._failures = 0
        self._connection: AbstractConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._closed = False

    def add(self, watch: Watch) -> None:
        """Start to wake a watch.

        Raises:
            Closed: the store is closed.
        """
        if self._closed:
            raise Closed("This store is closed: open a new one.")
        self._watches.setdefault(watch.channel, set()).add(watch)
        if watch.channel in self._joined:
            watch.wake()
        self._stir()

    def drop(self, watch: Watch) -> None:
        """Stop waking a watch."""
        watches = self._watches.get(watch.channel, set())
        watches.discard(watch)
        if not watches:
            self._watches.pop(watch.channel, None)
        self._stir()

    def leave(self) -> None:
        """Give up the connection, if there is one: the next may reach another server."""
        if self._reader is not None:
            self._reader.cancel()

    def hang_up(self) -> None:
        """Close the connection of a stopped loop."""
        if self._connection is not None:
            hang_up(self._connection, self._loop)

    async def close(self) -> None:
        """Close the connection for good."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._let_go()

    def _stir(self) -> None:
        self._changed.set()
        if self._watches and (self._task is None or self._task.done()):
            self._task = start(self._loop, self._serve(), name=f"sojourn listens {self._where}")
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Wake all watches when the task ended for a reason of other code."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._let_go(error)

    # ── the connection's life ──────────────────────────────────────────────────────────────────

    async def _serve(self) -> None:
        while self._watches:
            if self._failures:
                await asyncio.sleep(backoff(self._failures))
            try:
                connection = await self._connect()
            except Exception as error:  # noqa: BLE001 - whatever it is, who listens must hear of it
                self._failures += 1
                if not isinstance(error, Deferred):
                    self._lost()
                self._let_go(error if is_hopeless(error) else None)
                continue
            await self._carry(connection)

    async def _carry(self, connection: AbstractConnection) -> None:
        """Read and write until nobody listens, or either fails."""
        self._failures += 1  # until a channel is joined
        self._sharded = True  # as long as this server knows it
        self._idle.restart()
        self._reader = start(self._loop, self._read(connection))
        writer = start(self._loop, self._write(connection))
        both = (self._reader, writer)
        self._connection = connection
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except GeneratorExit:  # the loop was thrown away with all that was under way in it
            hang_up(connection, self._loop)
            raise
        except BaseException:
            await self._left(connection, *both)
            raise
        await self._left(connection, *both)

    async def _left(
        self,
        connection: AbstractConnection,
        reader: asyncio.Task[None],
        writer: asyncio.Task[None],
    ) -> None:
        """Leave a connection, and release its watches."""
        both = (reader, writer)
        left = writer.done() and not writer.cancelled() and writer.exception() is None
        for task in both:
            task.cancel()
        self._connection = self._reader = None
        self._joined.clear()
        self._sent.clear()
        self._asked.clear()
        await connection.disconnect(nowait=True)
        outcomes = await asyncio.gather(*both, return_exceptions=True)
        if found := [each for each in outcomes if is_interrupt(each)]:
            raise cast("BaseException", found[0])
        if left:  # nobody listened; who came since has the next connection
            self._failures = 0
        else:
            if self._watches and not self._closed:
                self._lost()
            self._let_go()

    def _let_go(self, error: BaseException | None = None) -> None:
        """Wake all watches, and forget them."""
        for channel in list(self._watches):
            self._release(channel, error)

    def _release(self, channel: str, error: BaseException | None = None) -> None:
        self._joined.discard(channel)
        self._sent.discard(channel)
        for watch in self._watches.pop(channel, ()):
            watch.lose(error, self._where)

    async def _write(self, connection: AbstractConnection) -> None:
        """Subscribe to what is wanted until nothing is; when idle for long, ping."""
        while True:
            self._changed.clear()
            if packets := self._take():
                await connection.send_packed_command(packets, check_health=False)
            if not self._watches:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(
                    self._timeouts.health_check_interval - self._idle.seconds
                ):
                    await self._changed.wait()
            if self._idle.seconds >= self._timeouts.health_check_interval:
                self._answered.clear()
                await connection.send_packed_command([pack((b"PING",))], check_health=False)
                async with until(from_now(self._timeouts.operation * CHECK)):
                    await self._answered.wait()

    def _take(self) -> list[bytes]:
        wanted = set(self._watches)
        letter = b"S" if self._sharded else b""
        packets: list[bytes] = []
        for joins, verb, channels in (
            (False, b"UNSUBSCRIBE", self._sent - wanted),
            (True, b"SUBSCRIBE", wanted - self._sent),
        ):
            for channel in channels:
                command: Command = (letter + verb, channel)
                packets.append(pack(command))
                self._asked.append(_Asked(channel, joins))
        self._joined &= wanted
        self._sent = wanted
        return packets

    # ── what the server says ───────────────────────────────────────────────────────────────────

    async def _read(self, connection: AbstractConnection) -> None:
        read = cast("Callable[..., Awaitable[Any]]", connection.read_response)
        while True:
            reply: Any
            try:
                reply = await read(disable_decoding=True, disconnect_on_error=False)
            except REPLY_ERRORS as error:
                reply = error
            self._idle.restart()
            self._answered.set()
            if isinstance(reply, Exception):
                self._refused(reply)
            elif reply != b"PONG":
                self._told(*reply[:2])

    def _told(self, kind: bytes, named: bytes) -> None:
        channel = named.decode()
        if kind in (b"subscribe", b"ssubscribe"):
            self._asked.popleft()
            self._failures = 0
            if channel in self._sent:
                self._joined.add(channel)
        elif kind in (b"unsubscribe", b"sunsubscribe"):
            if self._asked and self._asked[0] == _Asked(channel, joins=False):
                self._asked.popleft()
            else:  # the slot has moved, and its channels with it
                self._release(channel)
            return
        for watch in self._watches.get(channel, ()):
            watch.wake()

    def _refused(self, error: Exception) -> None:
        """Handle an error reply to the oldest request."""
        if not self._asked:
            raise error  # it says this before it hangs up
        channel, joins = self._asked.popleft()
        if not joins or channel not in self._sent:
            return
        redirect = redirect_of(error)
        if self._sharded and _UNKNOWN in str(error).lower():
            self._sharded = False
            self._sent.discard(channel)
            self._changed.set()
        elif self._moved is not None and redirect is not None:
            self._moved(redirect)
            self._release(channel)
        else:
            self._release(channel, None if is_passing(error) else error)
