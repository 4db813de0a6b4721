"""A circuit breaker that opens by time: a restart that calls can wait for must not open it.

Breakers in libraries count failures. Here one background task connects for all callers, so the
number of its attempts says nothing; how long there was no connection says it all.
"""

from __future__ import annotations

from collections.abc import Callable


class Breaker:
    """Open while waiting has no sense: nothing has worked for as long as a call may wait.

    While it is open callers fail at once, and the one who connects goes on trying (the half-open
    probe); his first success closes it.

    Args:
        longest_outage: seconds without success until it opens.
        clock: seconds, monotonic.
        changed: told when it opens (True) and when it closes (False).
    """

    def __init__(
        self, longest_outage: float, clock: Callable[[], float], changed: Callable[[bool], None]
    ) -> None:
        self._longest_outage = longest_outage
        self._clock = clock
        self._changed = changed
        self._since: float | None = None
        self.is_open = False

    @property
    def is_trying(self) -> bool:
        """Whether something was tried and has not worked yet."""
        return self._since is not None

    def attempt(self) -> None:
        """Something is tried; from the first try on that leads to nothing, time counts."""
        if self._since is None:
            self._since = self._clock()

    def failed(self) -> None:
        """What was tried failed."""
        waited = self._clock() - (self._since if self._since is not None else self._clock())
        if not self.is_open and waited >= self._longest_outage:
            self.is_open = True
            self._changed(self.is_open)

    def deferred(self) -> None:
        """It could not be tried yet: no time has passed without success."""
        if not self.is_open:
            self._since = None

    def succeeded(self) -> None:
        """It works."""
        self._since = None
        if self.is_open:
            self.is_open = False
            self._changed(self.is_open)
