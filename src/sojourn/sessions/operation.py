"""Operations that change a session, and what the outage buffer learns of them.

In an outage an operation raises, unless `BufferedSessions` knows how to go on with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sojourn.calls.operation import Operation, R_co

if TYPE_CHECKING:
    from sojourn.ids import SessionKey
    from sojourn.sessions.outage_cache import OutageCache


class SessionWrite(Operation[R_co], frozen=True):
    """An operation that changes a session, and waits for what is buffered of it.

    Attributes:
        key: which session.
    """

    key: SessionKey

    def hold(self, held: OutageCache, result: Any) -> None:  # noqa: ARG002 - of some
        """Tell what is held for outages what the change has done; by default, to forget it."""
        held.drop(self.key)
