"""Backoff: the time that a loop waits before it tries again."""

from __future__ import annotations

import random


def backoff(failures: int, first: float = 0.02, longest: float = 0.5) -> float:
    """Seconds to wait before the next attempt, with full jitter: processes spread out.

    redis-py's `FullJitterBackoff` raises `OverflowError` from 1,024 failures on: an outage of some
    minutes has as many.

    Args:
        failures: how many attempts have failed in a row.
        first: the upper bound without a failure; each failure doubles it.
        longest: where the upper bound ends.

    Returns:
        a random number between 0 and the bound.
    """
    bound = min(longest, first * 2.0 ** min(failures, 64))
    return random.uniform(0, bound)  # noqa: S311 - no secret
