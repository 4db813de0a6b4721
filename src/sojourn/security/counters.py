"""Counters that expire: on a server, and in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files
from typing import Any, NamedTuple, Protocol

from sojourn.calls.call import Call, Script, only
from sojourn.engine.engine import Engine
from sojourn.ids import new_operation_id
from sojourn.resilience.atomic import atomic
from sojourn.security.keys import SecurityRoomKeys

_COUNT = Script.load(files("sojourn.security") / "lua", "count")


class Bucket(NamedTuple):
    """Which counter: the peers of an app that have this number. See `GuessLimiter`."""

    app: str
    number: int


class Count(NamedTuple):
    """A counter as it stands.

    Attributes:
        failures: how many, in the window that runs now.
        left: seconds until the window ends; 0 when none runs.
    """

    failures: int
    left: float


NONE = Count(0, 0.0)


class Counters(Protocol):
    """Where failures are counted. Each method is one atomic step, and one round trip.

    All raise `Unavailable` and its kin when no server answers in time.
    """

    async def add(self, bucket: Bucket, failures: int, window: float) -> Count:
        """Count failures. The first one begins a window of so many seconds."""
        ...

    async def look(self, bucket: Bucket) -> Count:
        """The counter as it stands."""
        ...


class RedisCounters:
    """`Counters` over an engine: one small string a bucket, which ends with its window.

    Args:
        engine: where calls go.
        keys: builds the keys.
    """

    def __init__(self, engine: Engine, keys: SecurityRoomKeys) -> None:
        self._engine = engine
        self._keys = keys

    async def add(self, bucket: Bucket, failures: int, window: float) -> Count:
        """Count failures. What was sent is never sent again: no failure counts twice."""
        call: Call[list[int]] = Call(
            name="enumeration.add",
            keys=(self._keys.enumeration(*bucket),),
            read=only,
            script=_COUNT,
            args=(failures, round(window * 1000)),
            operation_id=new_operation_id(),
            repeatable=False,
        )
        count, left = await self._engine.run(call)
        return Count(count, left / 1000)

    async def look(self, bucket: Bucket) -> Count:
        """The counter as it stands."""
        key = self._keys.enumeration(*bucket)
        return await self._engine.run(
            Call("enumeration.look", (key,), _read, commands=[("GET", key), ("PTTL", key)])
        )


@atomic
class InMemoryCounters:
    """`Counters` in this process. A bucket that is counted anew takes the place of its old window.

    Args:
        clock: seconds; only differences count.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[Bucket, tuple[int, float]] = {}

    async def add(self, bucket: Bucket, failures: int, window: float) -> Count:
        """Count failures."""
        now = self._clock()
        count, ends = self._counts.get(bucket, (0, 0.0))
        if ends <= now:
            count, ends = 0, now + window
        self._counts[bucket] = count + failures, ends
        return Count(count + failures, ends - now)

    async def look(self, bucket: Bucket) -> Count:
        """The counter as it stands."""
        count, ends = self._counts.get(bucket, (0, 0.0))
        left = ends - self._clock()
        if left > 0:
            return Count(count, left)
        self._counts.pop(bucket, None)
        return NONE


def _read(replies: list[Any]) -> Count:
    found, left = replies
    with suppress(TypeError, ValueError):  # none there, or no number: the next failure replaces it
        return Count(int(found), max(left, 0) / 1000)
    return NONE
