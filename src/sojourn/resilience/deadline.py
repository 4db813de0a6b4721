"""One deadline for an operation that takes several calls."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

_ends: WeakKeyDictionary[asyncio.Task[Any], float] = WeakKeyDictionary()
"""When the operation of a task must have ended; tasks that it starts go on for themselves."""


def end_of_operation() -> float:
    """When the operation that this task is in must have ended, by the loop's clock; or never."""
    task = asyncio.current_task()
    return math.inf if task is None else _ends.get(task, math.inf)


@contextmanager
def one_deadline(seconds: float) -> Generator[None]:
    """Whatever this task waits for inside ends within so many seconds; less if it has less left."""
    task = asyncio.current_task()
    if task is None:
        yield
        return
    before = end_of_operation()
    _ends[task] = min(before, asyncio.get_running_loop().time() + seconds)
    try:
        yield
    finally:
        _ends[task] = before


def half_of_what_is_left() -> float:
    """Seconds, for what must not use up the time of what comes after it."""
    return (end_of_operation() - asyncio.get_running_loop().time()) / 2
