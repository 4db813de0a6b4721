"""Operations of the sessions room, and what the outage buffer learns of them.

In an outage an operation raises, unless `BufferedSessions` knows how to go on with it.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sojourn.calls.operation import Operation

if TYPE_CHECKING:
    from sojourn.ids import SessionKey
    from sojourn.sessions.outage_cache import OutageCache

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class SessionWrite(Operation[R_co], frozen=True):
    """An operation that changes a session, and waits for what is buffered of it.

    Attributes:
        key: which session.
    """

    key: SessionKey

    def hold(self, held: OutageCache, result: Any) -> None:  # noqa: ARG002 - of some
        """Tell what is held for outages what the change has done; by default, to forget it."""
        held.drop(self.key)


class SessionStore(Protocol):
    """Where sessions are kept. Each operation but `Forget` is one atomic step.

    All raise `Unavailable` and its kin when the truth cannot be known; none returns "nothing" then.
    """

    def run(self, operation: Operation[R]) -> Coroutine[Any, Any, R]:
        """Do it."""
        ...
