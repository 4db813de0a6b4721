"""How long what comes along lives here, and whether it does."""

from __future__ import annotations

import time

from sojourn.sessions import KEEP, Keep
from sojourn.transfer.migration.model import SourceSession

_LONGER = 1.01
"""A session is let live a hundredth longer than asked: so much less is asked for."""
_TICK = 0.001
NEAR = 1.0
"""Seconds by which two instants may differ: they were read one after the other."""


class Lifetimes:
    """Lifetimes of what a source holds.

    Args:
        ttl: seconds that sessions live after each change here; `keep` for what is left of them at
            the source, and for ever if they have no end there.

    Attributes:
        skew: seconds by which the server's clock is ahead of this machine's.
    """

    def __init__(self, ttl: float | Keep | None) -> None:
        self._ttl: float | Keep | None = ttl
        self.skew = 0.0
        self._quickest = float("inf")

    def of(self, session: SourceSession) -> float | None:
        """The TTL that a session gets; None is for ever."""
        if self._ttl != KEEP:
            return self._ttl
        if session.ttl != KEEP:
            return session.ttl
        left = remaining(session.expires)
        return None if left is None else max(_TICK, left / _LONGER)

    def learn(self, expires: float | None, ttl: float | None, began: float) -> None:
        """A session that was created now expires then: that tells the server's clock."""
        took = time.time() - began
        if expires is not None and ttl is not None and took < self._quickest:
            self._quickest = took
            self.skew = expires - ttl * _LONGER - (began + took / 2)

    def behind(self, session: SourceSession, expires: float | None) -> float:
        """Seconds by which the session here expires before the source's; negative for after."""
        if self._ttl != KEEP or session.ttl != KEEP:
            return 0.0
        return self.between(session.expires, expires)

    def between(self, there: float | None, here: float | None) -> float:
        """Seconds by which `here`, by the server's clock, is before `there`, by this machine's."""
        if there is None or here is None:
            return 0.0 if here is there else float("inf") if there is None else -float("inf")
        return there - (here - self.skew)


def remaining(expires: float | None) -> float | None:
    """Seconds that are left; None is for ever."""
    return None if expires is None else max(0.0, expires - time.time())


def is_over(expires: float | None) -> bool:
    """Whether it has expired, or is about to."""
    left = remaining(expires)
    return left is not None and left <= _TICK
