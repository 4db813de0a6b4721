"""Lifetimes and caps of the sessions of a deployment."""

from __future__ import annotations

from typing import NamedTuple

from sojourn.sessions.keys import UserKeys
from sojourn.sessions.replies import ms


class Policy(NamedTuple):
    """Lifetimes in seconds (None is for ever) and caps in bytes or events (None is no cap).

    `notices` says whether every change of a session is published to subscribers.
    """

    session_ttl: float | None
    state_ttl: float | None
    max_state_bytes: int
    max_events: int | None
    max_sessions: int | None = None
    notices: bool = False

    def notice_keys(self, user: UserKeys) -> tuple[str, ...]:
        """The last key of every script that changes a session, if notices are published."""
        return (user.notices,) if self.notices else ()

    def notice_args(self) -> tuple[str, ...]:
        """The last argument of scripts that do not have it already: how long notices live."""
        return (ms(self.state_ttl),) if self.notices else ()
