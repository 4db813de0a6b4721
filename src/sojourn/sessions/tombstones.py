"""Tombstones of revoked and erased data: a write buffered elsewhere cannot revive it."""

from __future__ import annotations

import secrets
import time
from hashlib import sha1
from typing import Literal, NamedTuple, TypeAlias

from sojourn.ids import AppName, SessionKey, UserId, UserKey, escape

TombstoneReason = Literal["revoked", "forgotten"]

REMEMBERED = 30 * 86_400.0
"""Seconds that a tombstone is kept. A create that has waited for longer is refused unseen."""

TombstoneTarget: TypeAlias = SessionKey | UserKey | str
"""What a tombstone may be of: a session, a user, or an app by its name."""


class Forgotten(NamedTuple):
    """What the sessions room had of a user: how many of each kind are gone now.

    Attributes:
        sessions: those that there were.
        events: in their logs.
        operations: ids of writes that were remembered.
        user_state: values.
        app_deltas: changes of app state that were on their way; they have been carried out.
        buffered: writes that waited in this process, and records of refused ones.
        time: since when no write that waited elsewhere is done any more, by the store's clock.
    """

    sessions: int = 0
    events: int = 0
    operations: int = 0
    user_state: int = 0
    app_deltas: int = 0
    buffered: int = 0
    time: float = 0.0

    def plus(self, more: Forgotten) -> Forgotten:
        """Both together."""
        return Forgotten(
            sessions=self.sessions + more.sessions,
            events=self.events + more.events,
            operations=self.operations + more.operations,
            user_state=self.user_state + more.user_state,
            app_deltas=self.app_deltas + more.app_deltas,
            buffered=self.buffered + more.buffered,
            time=self.time or more.time,
        )


class TombstoneSearch(NamedTuple):
    """What was found of the tombstones of a session.

    Attributes:
        reason: why a write that has waited since then is refused; None if it is not.
        since: that time by the clock of the server that has the session, seconds since the epoch.
    """

    reason: TombstoneReason | None
    since: float


def anywhere(user: UserId) -> UserKey:
    """A user in whatever app: no app has an empty name."""
    return UserKey(AppName(""), user)


def name_of(target: TombstoneTarget) -> str:
    """What is hashed: the escaped ids, a colon between them; so no space is in it."""
    return escape(target) if isinstance(target, str) else ":".join(map(escape, target))


def names_of(key: SessionKey) -> str:
    """The names that a tombstone of a session may have in its user's slot."""
    return f"{name_of(key)} {name_of(key.owner)}"


def age_of(since: float) -> float:
    """Seconds since then, by the clock of this machine."""
    return max(0.0, time.time() - since)


def mark_of(target: TombstoneTarget) -> str:
    """The field of a tombstone: a salt of its own, and the hash that only who asks can make."""
    salt = secrets.token_hex(16)
    digest = sha1(f"{salt}:{name_of(target)}".encode(), usedforsecurity=False)  # as scripts can
    return f"{salt}:{digest.hexdigest()}"
