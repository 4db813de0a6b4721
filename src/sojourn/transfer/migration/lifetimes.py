"""Lifetimes of migrated data, and whether it has expired already."""

from __future__ import annotations

import time

from sojourn.calls.operation import RoomStore
from sojourn.sessions import KEEP, Keep
from sojourn.sessions.operations.archive import ReadClock
from sojourn.transfer.migration.model import SourceSession

_LONGER = 1.01
"""A session is let live a hundredth longer than asked: so much less is asked for."""
_TICK = 0.001
_NEAR = 1.0
"""Seconds by which two instants may differ: they were read one after the other."""
_ASKED = 3
"""How often the server's clock is asked for: the quickest answer counts."""


class SourceLifetimes:
    """Lifetimes of what a source holds.

    Args:
        ttl: seconds that sessions live after each change here; `keep` for what is left of them at
            the source, and for ever if they have no end there.
        session_ttl: seconds that they live after each change from then on, when the source does
            not say; None for what is left of them.

    Attributes:
        skew: seconds by which the server's clock is ahead of this machine's.
    """

    def __init__(self, ttl: float | Keep | None, session_ttl: float | None) -> None:
        self._ttl: float | Keep | None = ttl
        self._session_ttl = session_ttl
        self.skew = 0.0
        self._quickest = float("inf")

    @property
    def kept(self) -> bool:
        """Whether sessions end here when they do at the source."""
        return self._ttl == KEEP

    def of(self, session: SourceSession) -> float | None:
        """The TTL that a session gets, from its next change on; None is for ever."""
        if self._ttl != KEEP:
            return self._ttl
        if session.ttl != KEEP:
            return session.ttl
        left = remaining(session.expires)
        if left is None or self._session_ttl is not None:
            return None if left is None else self._session_ttl
        return max(_TICK, left / _LONGER)

    def end(self, session: SourceSession) -> float | None:
        """When it expires here, by the server's clock; None is never."""
        ttl = self.of(session)
        if self.kept and session.expires is not None and (ttl, session.until) != (None, None):
            return session.expires + self.skew
        sliding = None if ttl is None else time.time() + self.skew + ttl * _LONGER
        return min((end for end in (sliding, session.until) if end is not None), default=None)

    async def learn(self, store: RoomStore) -> None:
        """Ask what the time is where sessions are kept. Three round trips."""
        for _ in range(_ASKED):
            began = time.time()
            here = await store.run(ReadClock())
            took = time.time() - began
            if took < self._quickest:
                self._quickest = took
                self.skew = here - (began + took / 2)

    def off(self, session: SourceSession, expires: float | None) -> float:
        """Seconds by which the session here surely expires before the source's; negative for after.

        What the clocks and the time that answers took may explain is 0.
        """
        if not self.kept:
            return 0.0
        there = session.expires
        if there is None or expires is None:
            return 0.0 if expires is there else float("inf") if there is None else -float("inf")
        behind = there - (expires - self.skew)
        unsure = _NEAR + self._quickest / 2
        return 0.0 if -unsure - session.late <= behind <= unsure else behind


def remaining(expires: float | None) -> float | None:
    """Seconds that are left; None is for ever."""
    return None if expires is None else max(0.0, expires - time.time())


def is_over(expires: float | None) -> bool:
    """Whether it has expired, or is about to."""
    left = remaining(expires)
    return left is not None and left <= _TICK
