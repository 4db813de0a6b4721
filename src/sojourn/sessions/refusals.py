"""What a store says when it refuses a write: the same words wherever sessions are kept."""

from __future__ import annotations

from sojourn.errors import (
    Conflict,
    SessionExists,
    SessionNotFound,
    StaleSession,
    TooManySessions,
)
from sojourn.ids import SessionKey


def exists(key: SessionKey) -> SessionExists:
    """The id is taken."""
    return SessionExists(f"A session with the id {key.session!r} exists already.")


def gone(key: SessionKey) -> Conflict:
    """A repeated create or save of what was deleted since."""
    return Conflict(
        f"The session {key.session!r} was written by this operation before and is gone since: it "
        "is not made again. Use a new operation_id for a new session."
    )


def full(key: SessionKey, count: int) -> TooManySessions:
    """The user has as many sessions as one may have."""
    return TooManySessions(
        f"The user of {key.session!r} has {count:,} sessions, as many as max_sessions lets one "
        "have. Nothing was written: delete one, or raise max_sessions."
    )


def missing(key: SessionKey) -> SessionNotFound:
    """Deleted, expired, or another incarnation."""
    return SessionNotFound(
        f"There is no session {key.session!r} of this user any more, or not the one that was "
        "loaded: it was deleted or has expired. Nothing was written."
    )


def stale(key: SessionKey, *, actual: int, expected: int) -> StaleSession:
    """Not of the version that the caller expected."""
    return StaleSession(
        f"The session {key.session!r} is at version {actual}, not {expected}: load it again and "
        "repeat. Nothing was written.",
        expected=expected,
        actual=actual,
    )


def incomplete(key: SessionKey, wanted: int, there: int) -> Conflict:
    """The rows that a session was to be made of are not all there."""
    return Conflict(
        f"The session {key.session!r} was not restored: of its first {wanted:,} events {there:,} "
        "are there. The server evicts keys, or others restore the same session. Try once more."
    )
