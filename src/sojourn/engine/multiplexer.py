"""One connection that every task of an event loop shares.

Calls that wait at the same moment leave in one write; replies come back in the same order and are
handed to their callers. redis-py makes the connection (AUTH, HELLO, TLS) and parses replies.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple, Protocol, cast

from redis import exceptions as driver
from redis.asyncio.connection import AbstractConnection

from sojourn.calls.call import Call, pack
from sojourn.engine.credentials import Deferred
from sojourn.engine.faults import (
    Redirect,
    is_foreign,
    is_hopeless,
    is_passing,
    leads_elsewhere,
    redirect_of,
)
from sojourn.engine.pending import LARGE, Pending, Wait
from sojourn.engine.raw_connection import REPLY_ERRORS, TURN, RawConnection
from sojourn.engine.tasks import hang_up, is_interrupt, start
from sojourn.engine.traffic import Traffic
from sojourn.errors import Closed, Unavailable
from sojourn.resilience.backoff import backoff
from sojourn.resilience.breaker import Breaker
from sojourn.resilience.deadline import Alarm, IdleTimer, from_now, running_clock, until

_MOMENT = 0.02
"""Seconds until a task that other code has cancelled starts again."""
_LATE = 0.02
"""Seconds at most until what nobody waits for leaves: many of a kind come together."""

_LONGEST_BACKOFF = 2.0
"""Longest extra delay, in seconds, before a lost node of a Cluster is tried again."""

CHECK = 0.25
"""The share of a call's time in which a connection that was idle for long must answer a ping; the
rest is left for another connection."""

_PING: Call[Any] = Call("health.ping", (), bool, commands=[("PING",)], retry_when_busy=False)


class Timeouts(NamedTuple):
    """How long to wait, in seconds, and for how many replicas.

    Attributes:
        operation: for a reply, while none of its bytes move; without any connection for that long,
            calls fail at once.
        health_check_interval: when nothing came for that long, the server is pinged.
        replicas: how many replicas must confirm a write before it is acknowledged.
        transfer: for a reply whose bytes move.
    """

    operation: float
    health_check_interval: float = 15.0
    replicas: int = 0
    transfer: float = 60.0


@dataclass(slots=True)
class ConnectionStats:
    """Counts of what happened to the connections of an engine since it started.

    Attributes:
        connections: how many were made.
        losses: how many have ended, or could not be made.
        broken: how many have ended: what the server behind has may be another since.
        resends: how often a call was sent again.
    """

    connections: int = 0
    losses: int = 0
    broken: int = 0
    resends: int = 0


class MultiplexerEvents(Protocol):
    """Receives what a multiplexer notices and cannot decide."""

    tally: ConnectionStats

    @property
    def several(self) -> bool:
        """Whether other nodes may have the keys of a call."""
        ...

    def lost(self) -> None:
        """A connection has ended, or could not be made."""
        ...

    def changed(self, down: bool, /) -> None:
        """The server cannot be reached (True), or can be reached again (False)."""
        ...

    def redirect(self, pending: Pending, to: Redirect) -> bool:
        """Hand a call to the node that has its slot; False if it must back off first."""
        ...

    def submit(self, pending: Pending) -> None:
        """Take a call that has backed off and may be tried again."""
        ...


class Multiplexer:
    """A connection that is opened when needed, and opened again when lost.

    Args:
        connect: makes a connection that is ready for commands.
        where: the server's address for messages, without secrets.
        timeouts: how long to wait.
        events: receives what it cannot decide.
        alone: carry one call at a time, and end one with which a connection broke.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[AbstractConnection]],
        where: str,
        timeouts: Timeouts,
        events: MultiplexerEvents,
        *,
        alone: bool = False,
    ) -> None:
        self._alone = alone
        self._condemned: list[Pending] = []
        self._connect = connect
        self._events = events
        self._where = where
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._clock = running_clock()
        self._breaker = Breaker(timeouts.operation, self._clock.time, events.changed)
        self._waiting: deque[Pending] = deque()
        self._in_flight: deque[Pending | Wait | None] = deque()
        self._backing_off: dict[Pending, asyncio.TimerHandle] = {}
        self._loaded: set[bytes] = set()
        self._loads = True
        self._ready = True
        self._is_stale = False
        self._flushes = False
        self._raw: RawConnection | None = None
        self._wake: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._alarm: Alarm | None = None
        self._pulse: asyncio.TimerHandle | None = None
        self._idle = IdleTimer()
        self._late: asyncio.TimerHandle | None = None
        self._traffic = Traffic(self._idle, self._carried)
        self._last_error: BaseException | None = None
        self._connection: AbstractConnection | None = None
        self._heard = False
        self._left_behind = False
        self._closed = False

    @property
    def is_down(self) -> bool:
        """Whether calls fail at once."""
        return self._breaker.is_open

    @property
    def is_idle(self) -> bool:
        """Whether no call is waiting or in flight."""
        return not (self._in_flight or self._waiting or self._backing_off or self._condemned)

    def submit(self, pending: Pending) -> None:
        """Take a call; it leaves with all others of this turn of the loop.

        Raises:
            Closed: the multiplexer is closed.
        """
        if self._closed:
            raise Closed("This store is closed: open a new one.")
        if (
            self._breaker.is_open
            or pending.given <= 0  # what has no time left is not sent
            or (pending.attempts and pending.deadline <= self._clock.time())
        ):
            self._end_late(pending)
            return
        pending.moved = self._traffic.seconds  # as `enter`, without a call
        pending.came = self._traffic.size
        self._waiting.append(pending)
        if pending.urgent and not self._in_flight:
            self._flush()
        elif pending.unawaited:
            self._rouse_soon()
        elif not self._flushes:
            self._rouse()
        if self._alarm is None or self._alarm.when > pending.deadline:
            self._watch(pending.deadline)
        if self._reader is None and (self._task is None or self._task.done()):
            self._start()

    def _rouse(self) -> None:
        """Schedule `_flush` for the next turn of the loop: calls of this turn leave together."""
        if not self._flushes:
            self._flushes = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send the waiting calls now, or wake the writer if sending must wait."""
        self._flushes = False
        wake, raw = self._wake, self._raw
        if wake is None:  # the writer has not started, or is at work
            self._ready = True
            return
        if self._idle.restart() >= self._timeouts.health_check_interval:
            self._is_stale = True
        if raw is None or self._is_stale or (self._in_flight and raw.is_full):
            self._ready, self._wake = True, None
            if not wake.done():
                wake.set_result(None)
            return
        try:
            if packets := self._take():
                raw.write(b"".join(packets))
        except BaseException as error:
            raw.fail(error)
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise

    def _rouse_soon(self) -> None:
        if self._late is None:
            self._late = self._loop.call_later(_LATE, self._rouse_late)

    def _rouse_late(self) -> None:
        self._late = None
        if self._waiting:
            self._rouse()

    def withdraw(self) -> list[Pending]:
        """Return the waiting calls if there is no connection."""
        if self._reader is not None:
            return []
        given = list(self._waiting)
        self._waiting.clear()
        for pending in given:
            pending.stand(self._traffic)
        return given

    def leave(self) -> None:
        """Give up the connection, if there is one: the next may reach another server."""
        if self._reader is not None:
            self._reader.cancel()
        self._stop_raw()

    def _stop_raw(self) -> None:
        if self._raw is not None:
            self._raw.stop()
            self._raw = None

    def hang_up(self) -> None:
        """Close the connection of a stopped loop, which may run again and open another."""
        self._left_behind = True
        if self._connection is not None:
            hang_up(self._connection, self._loop)

    def reached(self) -> None:
        """Stop failing calls at once: another multiplexer has reached the server."""
        self._breaker.succeeded()

    async def close(self) -> None:
        """Close the connection. Calls in progress end with `Closed`."""
        self._closed = True
        self._breaker.succeeded()  # nobody waits for it any more
        for timer in (self._alarm, self._pulse, self._late):
            if timer is not None:
                timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._end_all(lambda each: each.abandon(self._where))

    # ── the connection's life ──────────────────────────────────────────────────────────────────

    def _start(self) -> None:
        self._task = start(self._loop, self._serve(), name=f"sojourn {self._where}")
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Start again if other code cancelled the task while calls wait.

        A moment later: a loop that is being shut down cancels all tasks, and wants no new one.
        What else has ended it (a time-out that a signal handler throws) was not for us.
        """
        if task.cancelled():
            if not self._closed:
                self._loop.call_later(_MOMENT, self._go_on)
        elif (error := task.exception()) is not None:
            self._end_all(lambda each: each.interrupt(error))

    def _go_on(self) -> None:
        if self._task is not None and self._task.done() and not self._closed and self._has_work():
            self._start()

    async def _serve(self) -> None:
        """Connect, carry calls until the connection is lost, and connect again.

        It goes on until it has a connection, though nobody waits: so an outage is noticed, the
        circuit opens in time, and that is its probe.
        """
        failures = 0
        while self._has_work() or self._breaker.is_trying:
            self._breaker.attempt()
            try:
                connection = await self._connect()
            except Deferred as deferred:  # the server has no part in it
                failures += 1
                self._last_error = deferred.error
                self._breaker.deferred()
                await asyncio.sleep(backoff(min(failures, 3)))
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, callers must hear of it
                if not self._loop.is_running():  # it was thrown away, and this task with it
                    return
                self._last_error = error
                if is_hopeless(error):
                    self._breaker.succeeded()  # it can be reached, and that is the end of it
                    self._end_all(lambda each, why=error: each.refuse(why, self._where))  # type: ignore[misc]
                    return
                failures += 1
                self._breaker.failed()
                if self._breaker.is_open:
                    self._end_all(self._end_late)
                self._events.lost()
                delay = backoff(failures)
                if self._events.several and self._breaker.is_open:  # others may replace it
                    delay += min(failures / 10, _LONGEST_BACKOFF)
                await asyncio.sleep(delay)
                continue
            self._last_error = None
            self._breaker.succeeded()
            self._heard = False
            if self._condemned:
                await self._condemn(connection)
            await self._carry(connection)
            failures = 0 if self._heard else failures + 1
            if failures:  # it lets us in and says nothing: do not storm it
                await asyncio.sleep(backoff(failures))

    def _has_work(self) -> bool:
        return any(not each.future.done() for each in (*self._waiting, *self._condemned))

    async def _condemn(self, connection: AbstractConnection) -> None:
        """Fail the calls that broke their connections, and name the limits of the server."""
        limits = "client-query-buffer-limit, or client-output-buffer-limit"
        with suppress(Exception):  # a server may not tell, and what broke it may break this one
            async with until(from_now(self._timeouts.operation * CHECK)):
                words = ("CONFIG", "GET", "client-*-buffer-limit")
                await connection.send_command(*words, check_health=False)
                reply = cast("Any", await connection.read_response(disable_decoding=True))
                pairs = zip(reply[::2], reply[1::2], strict=True)
                found = {
                    name.decode(): value.decode().partition(" slave")[0] for name, value in pairs
                }
                limits = " or ".join(f"{name} {value}" for name, value in found.items()) or limits
        for pending in self._condemned:
            pending.condemn(self._where, limits)
        self._condemned.clear()

    async def _carry(self, connection: AbstractConnection) -> None:
        """Write and read until either fails, or a deadline shows that the connection is dead."""
        self._loaded.clear()
        self._loads = not getattr(connection, "is_wordless", False)
        self._reader = start(self._loop, self._read(connection))
        writer = start(self._loop, self._write(connection))
        both = (self._reader, writer)
        with suppress(ImportError, AttributeError, TypeError):  # else redis-py reads and writes
            self._raw = RawConnection(connection, self._received)
        self._traffic.attach(connection, None if self._raw is None else self._raw.feed)
        self._idle.restart()
        self._listen()
        self._connection = connection
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except GeneratorExit:  # the loop was thrown away with all that was under way in it
            hang_up(connection, self._loop)
            for task in both:  # one that never ran would be warned of
                cast("Coroutine[Any, Any, None]", task.get_coro()).close()
            raise
        except BaseException:
            await self._left(connection, *both, broken=False)
            raise
        await self._left(connection, *both, broken=not self._reader.cancelled())

    async def _left(
        self,
        connection: AbstractConnection,
        reader: asyncio.Task[None],
        writer: asyncio.Task[None],
        *,
        broken: bool,
    ) -> None:
        """Leave a connection."""
        reader.cancel()
        writer.cancel()
        if self._pulse is not None:
            self._pulse.cancel()
        if self._raw is not None:
            self._raw.catch_up()  # what has arrived is not asked for again
        self._connection = self._reader = self._wake = None
        self._stop_raw()
        self._requeue(broken)  # before anything is awaited: no reply may meet another's call
        if not (self._closed or self._left_behind):
            self._breaker.attempt()  # connect again at once: the next call need not wait
            self._events.tally.broken += 1
            self._events.lost()
        await connection.disconnect(nowait=True)
        for outcome in await asyncio.gather(reader, writer, return_exceptions=True):
            if is_interrupt(outcome):
                raise cast("BaseException", outcome)
            if isinstance(outcome, Exception):
                self._last_error = outcome

    async def _write(self, connection: AbstractConnection) -> None:
        while True:
            if not self._ready:
                self._wake = self._loop.create_future()
                await self._wake
            self._ready = False
            if self._idle.restart() >= self._timeouts.health_check_interval or self._is_stale:
                self._is_stale = False
                await self._check(connection)
            if packets := self._take():
                await connection.send_packed_command(packets, check_health=False)

    async def _check(self, connection: AbstractConnection) -> None:
        """Ping the server before anything is sent whose fate could be unknown.

        Raises:
            ConnectionError: there is no answer, and the connection is left.
        """
        deadline = self._clock.time() + self._timeouts.operation * CHECK
        ping = Pending(_PING, deadline, self._loop.create_future())
        ping.forget()
        ping.enter(self._traffic)
        self._in_flight.append(ping)
        self._watch(deadline)
        await connection.send_packed_command(ping.start(), check_health=False)
        await asyncio.wait([ping.future])
        if ping.missing:
            raise driver.ConnectionError("the connection died without notice")
        self._idle.restart()

    def _listen(self) -> None:
        """When nothing came for `health_check_interval`, let the writer ping the server.

        One timer for all calls: one for each would cost too much.
        """
        left = self._timeouts.health_check_interval - self._idle.seconds
        if left <= 0:
            self._rouse()
            left = self._timeouts.health_check_interval
        self._pulse = self._loop.call_later(left, self._listen)

    def _take(self) -> list[bytes]:
        """Take all waiting calls as bytes, except those that nobody waits for any more."""
        packets: list[bytes] = []
        writes: list[Pending] = []
        replicas = self._timeouts.replicas
        while self._waiting and not (self._alone and self._in_flight):
            pending = self._least() if self._alone else self._waiting.popleft()
            if pending.future.done():
                continue
            script = pending.call.script
            if script is not None and self._loads and script.digest not in self._loaded:
                self._loaded.add(script.digest)
                self._in_flight.append(None)
                packets.append(pack((b"SCRIPT", b"LOAD", script.body)))
            packets.append(pending.start())
            pending.where = self._where
            self._events.tally.resends += pending.attempts > 1
            self._in_flight.append(pending)
            if replicas and pending.call.operation_id is not None:
                pending.held = True
                writes.append(pending)
        if writes:
            left = min(each.end(self._traffic) for each in writes) - self._clock.time()
            milliseconds = max(1, int(left * 800))  # its reply must come before the deadline
            self._in_flight.append(Wait(writes, replicas))
            packets.append(pack((b"WAIT", replicas, milliseconds)))
        return packets

    def _least(self) -> Pending:
        """Take the smallest waiting call: it is the least suspect."""
        least = min(self._waiting, key=lambda each: len(each.packet))
        self._waiting.remove(least)
        return least

    async def _read(self, connection: AbstractConnection) -> None:
        """Wait for the end of a connection; without hiredis, read its replies too."""
        read = cast("Callable[..., Awaitable[Any]]", connection.read_response)
        for turn in count(1):
            try:
                reply = await read(disable_decoding=True, disconnect_on_error=False)
            except REPLY_ERRORS as error:
                reply = error
            self._received(reply)
            if turn % TURN == 0:
                await asyncio.sleep(0)

    def _received(self, reply: Any) -> None:
        """Take one reply.

        Raises:
            InvalidResponse: it is not the reply to anything.
        """
        self._heard = True
        in_flight, traffic = self._in_flight, self._traffic
        if not in_flight:
            raise driver.InvalidResponse("the server sent a reply that nobody asked for")
        pending = in_flight[0]
        if pending is None:  # SCRIPT LOAD: if it failed, the script itself will say so
            in_flight.popleft()
            traffic.mid_reply = False
            return
        if isinstance(pending, Wait):
            in_flight.popleft()
            traffic.mid_reply = False
            self._confirm(pending, reply)
        else:
            pending.replies.append(reply)
            pending.missing -= 1
            if pending.missing:
                return
            traffic.mid_reply = False
            in_flight.popleft()
            if not pending.held:
                self._settle(pending)
        if self._alone and not in_flight and self._waiting:
            self._rouse()

    def _confirm(self, wait: Wait, reply: Any) -> None:
        """Complete the writes before a WAIT, if enough replicas have them."""
        shortfall = wait.shortfall(reply)
        for pending in wait.writes:
            pending.held = False
            refused = any(isinstance(each, Exception) for each in pending.replies)
            if shortfall and not refused:
                unknown = pending.unknown(self._where, shortfall)
                pending.fail(unknown or Unavailable(f"{self._where}: {shortfall}."))
            else:
                self._settle(pending)

    def _settle(self, pending: Pending) -> None:
        if pending.future.done():
            return
        pending.stand(self._traffic)
        replies = pending.replies
        if len(replies) == 1 and not isinstance(replies[0], Exception):
            pending.future.set_result(replies)
            return
        replies = pending.take_replies()
        refusals = [reply for reply in replies if isinstance(reply, Exception)]
        if refusals and pending.call.allow_wrong_type:
            refusals = [refusal for refusal in refusals if not is_foreign(refusal)]
        if not refusals:
            pending.future.set_result(replies)
        elif _is_parted(replies):
            self._refused(pending, driver.TryAgainError("its keys are being moved to another node"))
        else:
            self._refused(pending, refusals[0])

    # ── refusals ───────────────────────────────────────────────────────────────────────────────

    def _refused(self, pending: Pending, reply: Exception) -> None:
        """Send a refused call elsewhere, send it again, or fail it. It had no effect."""
        if isinstance(reply, driver.NoScriptError):
            pending.send_whole()
            self._loaded.clear()
            self._waiting.append(pending)
            self._rouse()
        elif self._events.several and (to := redirect_of(reply)) is not None:
            if not self._events.redirect(pending, to):
                self._refused(pending, driver.TryAgainError("its nodes disagree on who has it"))
        elif pending.call.retry_when_busy and is_passing(reply):
            pending.refusal = reply
            pending.refusals += 1
            delay = backoff(pending.refusals)
            self._backing_off[pending] = self._loop.call_later(delay, self._try_again, pending)
            if leads_elsewhere(reply):
                self.leave()
        else:
            pending.refuse(reply, self._where)

    def _try_again(self, pending: Pending) -> None:
        del self._backing_off[pending]
        if not pending.future.done():
            self._events.submit(pending)

    def _requeue(self, broken: bool) -> None:
        """Put repeatable calls first in line for the next connection, as this one is lost.

        But what may have broken it goes alone, and what broke one alone ends.
        """
        in_flight = list(self._under_way())
        self._in_flight.clear()
        for pending in reversed(in_flight):
            if pending.future.done():
                continue
            pending.lose(broken=broken)
            pending.held = False
            if not pending.call.repeatable:
                self._end_late(pending)
            elif self._closed or not (broken and pending.is_suspect):
                self._waiting.appendleft(pending)
            elif self._alone:
                self._condemned.append(pending)
            else:
                pending.stand(self._traffic)
                self._events.submit(pending)
        if self._waiting:
            self._rouse()

    def _under_way(self) -> Iterator[Pending]:
        """The calls that were sent and are not complete, in order."""
        for each in self._in_flight:
            if isinstance(each, Wait):
                yield from each.writes
            elif each is not None and not each.held:
                yield each

    # ── deadlines ──────────────────────────────────────────────────────────────────────────────

    def _watch(self, deadline: float) -> None:
        """Set the alarm for a deadline, unless it is set for an earlier one."""
        if self._alarm is not None:
            if self._alarm.when <= deadline:
                return
            self._alarm.cancel()
        self._alarm = Alarm(self._clock, deadline, self._expire, self._look)

    def _look(self) -> None:
        """Look at the traffic from time to time while calls are in flight."""
        if self._in_flight:
            self._traffic.look()
        else:
            self._traffic.rest()

    def _carried(self) -> int:
        """Bytes of large requests that are in flight."""
        sizes = (len(each.packet) for each in self._under_way())
        return sum(size for size in sizes if size > LARGE)

    def _expire(self, now: float) -> None:
        """Fail overdue calls. An overdue reply means that the connection cannot be trusted.

        That holds when its caller has gone, too: a shorter time-out of a caller's own must not
        keep a dead connection.
        """
        self._alarm = None
        if self._raw is not None:
            self._raw.catch_up()
        moving = (*self._under_way(), *self._waiting)
        for pending in moving:
            pending.stand(self._traffic)
        more = self._traffic.on_the_way()
        ends = {each: min(each.deadline + more, each.limit) for each in moving}
        ends.update({each: each.deadline for each in (*self._backing_off, *self._condemned)})
        overdue = [each for each, end in ends.items() if end <= now]
        broken = any(ends[each] <= now for each in self._under_way())
        for pending in overdue:
            if pending.limit <= now:
                pending.outlast(self._where, self._traffic)
            else:
                self._end_late(pending)
            if timer := self._backing_off.pop(pending, None):
                timer.cancel()
        self._waiting = deque(each for each in self._waiting if not each.future.done())
        self._condemned = [each for each in self._condemned if not each.future.done()]
        if broken:
            self.leave()
        if later := [end for end in ends.values() if end > now]:
            self._watch(min(later))

    def _end_late(self, pending: Pending) -> None:
        pending.expire(self._where, self._last_error, self._timeouts.operation)

    def _end_all(self, end: Callable[[Pending], None]) -> None:
        everything = (*self._under_way(), *self._waiting, *self._backing_off, *self._condemned)
        for timer in self._backing_off.values():
            timer.cancel()
        self._in_flight.clear()
        self._waiting.clear()
        self._backing_off.clear()
        self._condemned.clear()
        for pending in everything:
            end(pending)


def _is_parted(replies: list[Any]) -> bool:
    """Whether a node has some keys of a call and redirects to another node for the rest.

    There those that it has would be taken for keys that do not exist.
    """
    redirects = [redirect_of(reply) for reply in replies if isinstance(reply, Exception)]
    asked = sum(redirect is not None and redirect.asking for redirect in redirects)
    return 0 < asked < len(replies)
