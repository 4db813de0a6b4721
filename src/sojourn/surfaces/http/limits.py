"""Limits on how often a key may ask: a bucket of requests that fills up again."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

from sojourn.surfaces.http.problems import Problem

_MOST = 10_000
"""Keys that are known at a time."""


class RateLimit:
    """Lets a key ask `rate` times a second, and twice as often for a second.

    Args:
        rate: requests a second; None for any number.
        clock: the time in seconds.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, name: str) -> None:
        """Count a request.

        Args:
            name: whose it is.

        Raises:
            Problem: 429: there were too many.
        """
        if self._rate is None:
            return
        now, most = self._clock(), 2 * self._rate
        left, since = self._left.pop(name, (most, now))
        left = min(most, left + (now - since) * self._rate)
        allowed = left >= 1
        self._left[name] = (left - 1 if allowed else left, now)
        while len(self._left) > _MOST:
            self._left.popitem(last=False)
        if not allowed:
            wait = max(1, round((1 - left) / self._rate))
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"This key asks more than {self._rate:g} times a second: slow down.",
                kind="RateLimited",
                headers={"Retry-After": str(wait)},
                retry_after=wait,
            )
