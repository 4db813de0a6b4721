"""One connection, shared by every task of an event loop.

Calls that wait at the same moment leave in one write; replies come back in the same order and are
handed to whoever asked. redis-py makes the connection (AUTH, HELLO, TLS) and parses replies.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

from redis import exceptions as driver
from redis.asyncio.connection import AbstractConnection
from redis.backoff import FullJitterBackoff

from sojourn.engine.call import Call, pack, pack_call
from sojourn.engine.faults import is_hopeless, translate
from sojourn.errors import AccessDenied, Closed, OutcomeUnknown, SojournError, Unavailable

_REPLY_ERRORS = (
    driver.ResponseError,
    driver.BusyLoadingError,
    driver.AuthenticationError,
    driver.AuthorizationError,
)
"""What redis-py raises for an error reply; anything else means the connection is gone."""


_TURN = 16
"""Replies handed out before those who got them have their turn, so that their next calls are on the
way to the server while the rest is read: both work at the same time."""


class Pending:
    """A call under way: its bytes, its replies so far, and the future of whoever waits."""

    __slots__ = ("attempts", "call", "deadline", "future", "missing", "packet", "replies")

    def __init__(
        self, call: Call[Any], packet: bytes, deadline: float, future: asyncio.Future[Any]
    ) -> None:
        self.call = call
        self.deadline = deadline
        self.future = future
        self.packet = packet
        self.attempts = 0
        self.replies: list[Any] = []
        self.missing = 0

    def start(self) -> None:
        """Expect the replies of one more sending."""
        self.attempts += 1
        self.replies = []
        self.missing = 1 if self.call.script else len(self.call.commands)

    def fail(self, error: SojournError, cause: BaseException | None = None) -> None:
        """End with an error, unless the caller has gone."""
        if not self.future.done():
            error.__cause__ = cause
            self.future.set_exception(error)


class Wire:
    """A connection that is made when needed and made again when lost.

    Args:
        connect: makes a connection that is ready for commands.
        where: the server's address for messages, without secrets.
        lost: told when a connection has ended.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[AbstractConnection]],
        where: str,
        lost: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._lost = lost
        self._where = where
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Pending] = deque()
        self._flying: deque[Pending | None] = deque()
        self._loaded: set[bytes] = set()
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_error: BaseException | None = None
        self._closed = False

    def submit(self, call: Call[Any], packet: bytes, deadline: float) -> Pending:
        """Take a call; it leaves with all others of this turn of the loop.

        Args:
            call: what to send.
            packet: its bytes.
            deadline: on the loop's clock.

        Returns:
            the call under way, whose `future` resolves to the list of raw replies.

        Raises:
            Closed: the wire is closed.
        """
        if self._closed:
            raise Closed("This store is closed: open a new one.")
        pending = Pending(call, packet, deadline, self._loop.create_future())
        self._waiting.append(pending)
        self._ready.set()
        self._watch(deadline)
        if self._task is None or self._task.done():
            self._start()
        return pending

    async def close(self) -> None:
        """Drop the connection. Calls under way end with `Closed`."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._fail_all(lambda _: Closed("The store was closed while this call was under way."))

    # ── the connection's life ──────────────────────────────────────────────────────────────────

    def _start(self) -> None:
        self._task = self._loop.create_task(self._serve(), name=f"sojourn {self._where}")
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Go on when somebody else has cancelled the task while calls wait."""
        if task.cancelled() and not self._closed and self._has_work():
            self._start()

    async def _serve(self) -> None:
        """Connect, carry calls until the connection is lost, and again while any call waits."""
        backoff = FullJitterBackoff(cap=0.5, base=0.02)
        failures = 0
        while self._has_work():
            try:
                connection = await self._connect()
            except Exception as error:  # noqa: BLE001 - whatever it is, callers must hear of it
                self._last_error = error
                if is_hopeless(error):
                    self._fail_all(partial(self._refusal, cause=error), error)
                    return
                failures += 1
                await asyncio.sleep(backoff.compute(failures))
                continue
            failures = 0
            self._last_error = None
            await self._carry(connection)

    def _has_work(self) -> bool:
        return any(not pending.future.done() for pending in self._waiting)

    async def _carry(self, connection: AbstractConnection) -> None:
        """Write and read until either fails, or a deadline says that the connection is dead."""
        self._loaded.clear()
        self._reader = self._loop.create_task(self._read(connection))
        writer = self._loop.create_task(self._write(connection))
        both = (self._reader, writer)
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            self._reader = None
            self._lost()
            self._requeue()  # before anything is awaited: no reply may meet another's call
            await connection.disconnect(nowait=True)
            for outcome in await asyncio.gather(*both, return_exceptions=True):
                if isinstance(outcome, Exception):
                    self._last_error = outcome

    async def _write(self, connection: AbstractConnection) -> None:
        while True:
            await self._ready.wait()
            self._ready.clear()
            if packets := self._take():
                await connection.send_packed_command(packets, check_health=False)

    def _take(self) -> list[bytes]:
        """Everything that waits, as bytes; what nobody waits for any more is left out."""
        packets: list[bytes] = []
        while self._waiting:
            pending = self._waiting.popleft()
            if pending.future.done():
                continue
            script = pending.call.script
            if script is not None and script.digest not in self._loaded:
                self._loaded.add(script.digest)
                self._flying.append(None)
                packets.append(pack((b"SCRIPT", b"LOAD", script.body)))
            pending.start()
            self._flying.append(pending)
            packets.append(pending.packet)
        return packets

    async def _read(self, connection: AbstractConnection) -> None:
        flying = self._flying
        settled = 0
        read = cast("Callable[..., Awaitable[Any]]", connection.read_response)
        while True:
            try:
                reply = await read(disable_decoding=True, disconnect_on_error=False)
            except _REPLY_ERRORS as error:
                reply = error
            if not flying:
                raise driver.InvalidResponse("the server sent a reply that nobody asked for")
            pending = flying[0]
            if pending is None:  # SCRIPT LOAD: if it failed, the script itself will say so
                flying.popleft()
                continue
            pending.replies.append(reply)
            pending.missing -= 1
            if pending.missing == 0:
                flying.popleft()
                self._settle(pending)
                settled += 1
                if settled % _TURN == 0:
                    await asyncio.sleep(0)

    def _settle(self, pending: Pending) -> None:
        if pending.future.done():
            return
        for reply in pending.replies:
            if isinstance(reply, driver.NoScriptError):
                self._send_whole(pending)
                return
            if isinstance(reply, Exception):
                pending.fail(self._refusal(pending, reply), reply)
                return
        pending.future.set_result(pending.replies)

    def _send_whole(self, pending: Pending) -> None:
        """The server forgot its scripts: this one did not run, so send it with its source."""
        pending.packet = pack_call(pending.call, by_digest=False)
        self._loaded.clear()
        self._waiting.append(pending)
        self._ready.set()

    def _requeue(self) -> None:
        """The connection is lost: what may be repeated goes first on the next one."""
        flying = [pending for pending in self._flying if pending is not None]
        self._flying.clear()
        for pending in reversed(flying):
            if pending.future.done():
                continue
            if pending.call.repeatable:
                self._waiting.appendleft(pending)
            else:
                pending.fail(self._fate(pending), self._last_error)
        if self._waiting:
            self._ready.set()

    # ── deadlines ──────────────────────────────────────────────────────────────────────────────

    def _watch(self, deadline: float) -> None:
        """Wake at the earliest deadline; a timer that is due sooner stays."""
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        """End what is overdue. A reply overdue means a connection that cannot be trusted.

        That holds when its caller has gone, too: a shorter time-out of a caller's own must not
        keep a dead connection.
        """
        self._timer = None
        now = self._loop.time()
        overdue = [each for each in self._flying if each is not None and each.deadline <= now]
        for pending in (*overdue, *(each for each in self._waiting if each.deadline <= now)):
            pending.fail(self._fate(pending), self._last_error)
        self._waiting = deque(each for each in self._waiting if not each.future.done())
        if overdue and self._reader is not None:
            self._reader.cancel()
        under_way = [each.deadline for each in (*self._flying, *self._waiting) if each is not None]
        if later := [deadline for deadline in under_way if deadline > now]:
            self._watch(min(later))

    def _refusal(self, pending: Pending, cause: BaseException) -> SojournError:
        """The server's refusal; of a write that was sent before, it says nothing of that time."""
        error = translate(cause, self._where)
        sent_before = pending.attempts - (pending.missing == 0)
        if sent_before > 0 and isinstance(error, Unavailable | AccessDenied):
            return self._unknown(pending, error) or error
        return error

    def _fate(self, pending: Pending) -> SojournError:
        """What can be said of a call that got no reply."""
        if not pending.attempts and self._last_error is not None:
            return translate(self._last_error, self._where)
        if pending.attempts and (unknown := self._unknown(pending, self._last_error)) is not None:
            return unknown
        reason = f" ({self._last_error})" if self._last_error else ""
        return Unavailable(
            f"No answer from {self._where} in time for {pending.call.name}{reason}. "
            "Check that the server runs and can be reached."
        )

    def _unknown(self, pending: Pending, cause: BaseException | None) -> OutcomeUnknown | None:
        """That a write was sent and may have happened; None for a read."""
        call = pending.call
        if call.operation_id is None:
            return None
        reason = f" ({cause})" if cause else ""
        return OutcomeUnknown(
            f"{call.name} was sent to {self._where} but no reply came in time{reason}. It may "
            f"have happened: repeat it with operation_id={call.operation_id!r}, it takes "
            "effect once.",
            operation_id=call.operation_id,
        )

    def _fail_all(
        self, error: Callable[[Pending], SojournError], cause: BaseException | None = None
    ) -> None:
        for pending in (*self._flying, *self._waiting):
            if pending is not None:
                pending.fail(error(pending), cause)
        self._flying.clear()
        self._waiting.clear()
