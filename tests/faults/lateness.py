"""How late this process is: its loop was busy, or others had the processor."""

from __future__ import annotations

import asyncio

_BEAT = 0.05
"""Seconds between two looks at the clock."""


class Lateness:
    """Counts from when it is made, in the running loop.

    Attributes:
        worst: the seconds by which one look was late at most.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._passed = 0.0
        self.worst = 0.0
        self._wait()

    def seconds(self) -> float:
        """By how much it was late altogether."""
        return self._passed + max(0.0, self._loop.time() - self._due)

    def _wait(self) -> None:
        self._due = self._loop.time() + _BEAT
        self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        late = self._loop.time() - self._due
        self._passed += late
        self.worst = max(self.worst, late)
        self._wait()
