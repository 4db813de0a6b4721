"""One deadline for an operation that takes several calls. Times are those of the running loop."""

from __future__ import annotations

import asyncio
import math
from asyncio import current_task, get_running_loop
from typing import Any
from weakref import WeakKeyDictionary

_ends: WeakKeyDictionary[asyncio.Task[Any], float] = WeakKeyDictionary()
"""When the operation of a task must have ended; tasks that it starts go on for themselves."""


def from_now(seconds: float) -> float:
    """The time in so many seconds."""
    return get_running_loop().time() + seconds


def end_of_operation() -> float:
    """When the operation that this task is in must have ended; infinity for never."""
    task = current_task() if _ends else None
    return math.inf if task is None else _ends.get(task, math.inf)


def halfway() -> float:
    """The middle of the time that is left, for what must not use up that of what comes after it."""
    return (end_of_operation() + get_running_loop().time()) / 2


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
