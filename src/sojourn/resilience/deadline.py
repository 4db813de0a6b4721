"""Deadlines that measure the server and not this process, and one for all calls of an operation.

Times are those of the running loop's clock. It runs while the loop is on time: a task that computes
for seconds, a long garbage collection or a stopped process says nothing about the server.
"""

from __future__ import annotations

import asyncio
import math
import time
from asyncio import current_task, get_running_loop
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from time import monotonic
from typing import Any, Self, TypeVar, cast
from weakref import WeakKeyDictionary, ref

from sojourn.errors import Unavailable

T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., Any])

_BEAT = 0.05
"""Seconds between the beats of a clock."""
_LATE = 0.1
"""Seconds from which on a beat was late."""
_LATE_BEAT = 0.02
"""Seconds that a late beat counts: a loop that is always late has an end of its waiting, too, after
turns enough to make a connection."""
_REST = 20
"""Beats after which a clock rests that nobody has looked at: an idle loop is not woken."""
_LOOK = 0.1
"""Seconds after which an alarm looks at its clock again, so that it does not rest."""
_LAST_LOOK = 0.02
"""Seconds from a deadline until it counts: what has arrived by then is read first."""


class Clock:
    """Seconds in which an event loop was on time; it stands while nobody needs it."""

    __slots__ = ("_at", "_beats", "_passed", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = ref(loop)
        self._passed = 0.0
        self._at = 0.0
        self._beats = 0

    def time(self) -> float:
        """The time as of the last beat, or a little later; it goes on for a second at least."""
        now = monotonic()
        if not self._beats:
            self._at = now
            get_running_loop().call_later(_BEAT, self._beat)
        self._beats = _REST
        passed = now - self._at
        return self._passed + (passed if passed < _LATE_BEAT else _LATE_BEAT)  # noqa: FURB136 - of every call

    def _beat(self) -> None:
        now = monotonic()
        passed = now - self._at
        self._passed += passed if passed < _LATE else _LATE_BEAT
        self._at = now
        self._beats -= 1
        if self._beats:
            get_running_loop().call_later(_BEAT, self._beat)


_clocks: WeakKeyDictionary[asyncio.AbstractEventLoop, Clock] = WeakKeyDictionary()
_recent: Clock | None = None


def running_clock() -> Clock:
    """The clock of the running loop."""
    global _recent  # noqa: PLW0603 - mostly there is one loop, and this is on the way of every call
    loop = get_running_loop()
    clock = _recent
    if clock is None or clock.loop() is not loop:
        clock = _clocks.get(loop)
        if clock is None:
            clock = _clocks[loop] = Clock(loop)
        _recent = clock
    return clock


class Alarm:
    """Calls back when a time has passed, and what had arrived by then has been read.

    Args:
        clock: the running loop's.
        when: that time.
        ring: called with a time at which it had passed, after what arrived by then was read.
        look: called now and then until then.
    """

    __slots__ = ("_clock", "_look", "_passed", "_ring", "_timer", "when")

    def __init__(
        self,
        clock: Clock,
        when: float,
        ring: Callable[[float], object],
        look: Callable[[], object] | None = None,
    ) -> None:
        self._look = look
        self.when = when
        self._clock = clock
        self._ring = ring
        self._passed: float | None = None
        self._wait()

    def cancel(self) -> None:
        """Do not call back."""
        self._timer.cancel()

    def _wait(self) -> None:
        left = max(_LATE_BEAT / 4, self.when - self._clock.time())
        self._timer = get_running_loop().call_later(min(left, _LOOK), self._awake)

    def _awake(self) -> None:
        now = self._clock.time()
        if self._look is not None:
            self._look()
        if self._passed is not None:
            self._ring(self._passed)
        elif now < self.when:
            self._wait()
        else:
            self._passed = now
            self._timer = get_running_loop().call_later(_LAST_LOOK, self._awake)


class IdleTimer:
    """Seconds since something was last heard, by the clock that shows more.

    One clock stops while a machine is suspended, the other may be set.
    """

    __slots__ = ("_monotonic", "_wall")

    def __init__(self) -> None:
        self._monotonic, self._wall = monotonic(), time.time()

    @property
    def seconds(self) -> float:
        """Seconds since the last restart."""
        return max(monotonic() - self._monotonic, time.time() - self._wall)

    def restart(self) -> float:
        """Start again at zero, as something is heard or asked; returns the seconds until now."""
        before, before_wall = self._monotonic, self._wall
        self._monotonic = now = monotonic()
        self._wall = wall = time.time()
        by_one, by_other = now - before, wall - before_wall
        return by_one if by_one > by_other else by_other  # noqa: FURB136 - of every call


deadlines: dict[ref[asyncio.Task[Any]], Deadline] = {}
"""The deadline of each task that is in an operation; tasks that it starts have none.

Tasks are not kept alive here: one may have been thrown away with its loop in the middle."""


def from_now(seconds: float) -> float:
    """The time so many seconds from now."""
    return running_clock().time() + seconds


def current_deadline() -> Deadline | None:
    """The deadline of the operation that this task is in."""
    task = current_task() if deadlines else None
    return None if task is None else deadlines.get(ref(task))


def end_of_operation() -> float:
    """The time at which the operation that this task is in must end; infinity for never."""
    deadline = current_deadline()
    return math.inf if deadline is None else deadline.end


def half_of_remaining() -> float:
    """The time when half of the remaining time is over, for a step that others must follow."""
    return (end_of_operation() + from_now(0)) / 2


@asynccontextmanager
async def until(end: float) -> AsyncGenerator[None]:
    """Cancel what is inside at that time, as `asyncio.timeout` does.

    Raises:
        TimeoutError: it was cancelled.
    """
    async with asyncio.timeout(None) as limit:
        if end == math.inf:
            yield
            return
        alarm = Alarm(running_clock(), end, lambda _: limit.reschedule(0))
        try:
            yield
        finally:
            alarm.cancel()


def within(seconds: float) -> Deadline:
    """A deadline in so many seconds, not counting time in which bytes of its calls move."""
    now = running_clock().time()
    return Deadline(now + seconds, now)


def in_time(method: M) -> M:
    """Give all round trips of a method one deadline: the object's `_operation_timeout`."""

    @wraps(method)
    async def ends(self: Any, *args: Any, **kwargs: Any) -> Any:
        with within(self._operation_timeout):
            try:
                return await method(self, *args, **kwargs)
            except Unavailable as error:  # its message says all; the way to the socket hides it
                raise error.with_traceback(None)  # noqa: B904 - it is the same one

    return cast("M", ends)


async def gather_in_time(*awaitables: Awaitable[T]) -> list[T]:
    """The results of all, each with the deadline of this task: tasks of it have none.

    All have run their course when this returns, or raises the first error among them.
    """
    ours = current_deadline()

    async def ends(awaitable: Awaitable[T]) -> T:
        if ours is None:
            return await awaitable
        with Deadline(ours.end, ours.began) as own:
            try:
                return await awaitable
            finally:
                ours.extend_to(own.end)

    outcomes = await asyncio.gather(*map(ends, awaitables), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return cast("list[T]", outcomes)


class Deadline:
    """A deadline for the calls of this task inside `with Deadline(end):`, or an earlier outer one.

    A class, because a context manager made of a generator costs more, on the way of every read.

    Attributes:
        end: when it ends if no bytes move; the time in which bytes moved is added.
        began: when the whole operation started, for its own limit; infinity if not known.
    """

    __slots__ = ("_before", "_first", "_task", "began", "end")

    def __init__(self, end: float, began: float = math.inf) -> None:
        self.end = end
        self.began = began

    def extend_to(self, end: float) -> None:
        """Let it end at that time, if that is later: bytes of a call moved."""
        if end > self.end:  # noqa: PLR1730 - of every read
            self.end = end

    def __enter__(self) -> Self:
        current = current_task()
        if current is None:
            self._task = None
            return self
        self._task = task = ref(current)
        self._before = before = deadlines.get(task)
        if before is not None:
            self.end = min(self.end, before.end)
            self.began = min(self.began, before.began)
        self._first = self.end
        deadlines[task] = self
        return self

    def __exit__(self, *_: object) -> None:
        if self._task is None:
            return
        if (before := self._before) is None:
            del deadlines[self._task]
        else:
            if self.end > self._first:
                before.end += self.end - self._first
            deadlines[self._task] = before
