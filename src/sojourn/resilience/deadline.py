"""Deadlines that measure the server and not this process, and one for all calls of an operation.

Times are those of the running loop's clock. It counts while the loop is on time: a task that
computes for seconds, a long collection of garbage or a stopped process say nothing of the server.
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
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary, ref

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
_LOOK = 0.25
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
        if not self._beats:
            self._at = monotonic()
            get_running_loop().call_later(_BEAT, self._beat)
        self._beats = _REST
        passed = monotonic() - self._at
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
    """

    __slots__ = ("_clock", "_passed", "_ring", "_timer", "when")

    def __init__(
        self,
        clock: Clock,
        when: float,
        ring: Callable[[float], object],
    ) -> None:
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
        if self._passed is not None:
            self._ring(self._passed)
        elif now < self.when:
            self._wait()
        else:
            self._passed = now
            self._timer = get_running_loop().call_later(_LAST_LOOK, self._awake)


class Silence:
    """How long nothing was heard, by the clock that says more.

    One stands while a machine is suspended, the other may be set.
    """

    __slots__ = ("_monotonic", "_wall")

    def __init__(self) -> None:
        self._monotonic, self._wall = monotonic(), time.time()

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return max(monotonic() - self._monotonic, time.time() - self._wall)

    def end(self) -> float:
        """Begin anew, as something is heard or asked; returns how long it lasted."""
        before, before_wall = self._monotonic, self._wall
        self._monotonic = now = monotonic()
        self._wall = wall = time.time()
        by_one, by_other = now - before, wall - before_wall
        return max(by_one, by_other)


_ends: WeakKeyDictionary[asyncio.Task[Any], float] = WeakKeyDictionary()
"""When the operation of a task must have ended; tasks that it starts go on for themselves."""


def from_now(seconds: float) -> float:
    """The time in so many seconds."""
    return running_clock().time() + seconds


def end_of_operation() -> float:
    """When the operation that this task is in must have ended; infinity for never."""
    task = current_task() if _ends else None
    return math.inf if task is None else _ends.get(task, math.inf)


def halfway() -> float:
    """The middle of the time that is left, for what must not use up that of what comes after it."""
    return (end_of_operation() + from_now(0)) / 2


@asynccontextmanager
async def until(end: float) -> AsyncGenerator[None]:
    """End what is inside at that time, as `asyncio.timeout` does.

    Raises:
        TimeoutError: it was ended.
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


def in_time(method: M) -> M:
    """All round trips of a method share one deadline; the object's `_patience` says how long."""

    @wraps(method)
    async def ends(self: Any, *args: Any, **kwargs: Any) -> Any:
        with no_later_than(from_now(self._patience)):
            return await method(self, *args, **kwargs)

    return cast("M", ends)


async def gather_in_time(*awaitables: Awaitable[T]) -> list[T]:
    """The results of all, each with the deadline of this task: tasks of it have none.

    All have run their course when this returns, or raises the first error among them.
    """
    end = end_of_operation()

    async def ends(awaitable: Awaitable[T]) -> T:
        with no_later_than(end):
            return await awaitable

    outcomes = await asyncio.gather(*map(ends, awaitables), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return cast("list[T]", outcomes)


class no_later_than:  # noqa: N801 - it reads as a statement: `with no_later_than(end):`
    """What this task waits for inside ends by then, or sooner if it had less time already.

    A class, as the context of a generator costs more, and this is on the way of every read.
    """

    __slots__ = ("_before", "_end", "_task")

    def __init__(self, end: float) -> None:
        self._end = end

    def __enter__(self) -> None:
        self._task = task = current_task()
        if task is None:
            return
        self._before = before = _ends.get(task)
        if before is None or self._end < before:
            _ends[task] = self._end

    def __exit__(self, *_: object) -> None:
        if self._task is None:
            return
        if self._before is None:
            del _ends[self._task]
        else:
            _ends[self._task] = self._before
