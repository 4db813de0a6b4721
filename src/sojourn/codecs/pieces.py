"""Long work in pieces: the event loop does other work in between."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable
from itertools import islice
from time import perf_counter
from typing import TypeVar

A = TypeVar("A")
T = TypeVar("T")

_SLICE = 0.005
"""Seconds of work after which other tasks have their turn."""
_STRIDE = 8
"""Values at most between two looks at the clock."""


class Turns:
    """Gives other tasks their turn, whenever some milliseconds are over.

    A piece begins when it is made.
    """

    def __init__(self) -> None:
        self._end = perf_counter() + _SLICE

    async def rest(self) -> None:
        """Let others run if this piece has taken its time; then the next one begins."""
        if perf_counter() > self._end:
            await asyncio.sleep(0)
            self._end = perf_counter() + _SLICE


async def in_pieces(make: Callable[[A], T], items: Iterable[A]) -> list[T]:
    """What is made of each of many values.

    The event loop is held for some milliseconds at a time, or for as long as one value takes; a
    few, if large ones come after many that were small.

    Args:
        make: makes it, and does not wait.
        items: of what.
    """
    made: list[T] = []
    rest = iter(items)
    while True:
        with collector_paused():
            end, stride = perf_counter() + _SLICE, 1
            while some := list(map(make, islice(rest, stride))):
                made += some
                if perf_counter() > end:
                    break
                stride = min(2 * stride, _STRIDE)
            else:
                return made
        await asyncio.sleep(0)


class collector_paused:  # noqa: N801 - it reads as a statement: `with collector_paused():`
    """No garbage collection while objects are made that all stay: it would walk them for nothing.

    Nothing is awaited inside, so no other task of the loop runs without it.
    """

    __slots__ = ("_was_on",)

    def __enter__(self) -> None:
        self._was_on = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._was_on:
            gc.enable()
