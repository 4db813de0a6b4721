"""Errors for refused writes, with the same message from every session store."""

from __future__ import annotations

from sojourn.codecs import growth
from sojourn.errors import (
    Conflict,
    Erased,
    EventExists,
    InvalidId,
    InvalidInput,
    NewerFormat,
    SessionExists,
    SessionNotFound,
    SessionRotated,
    SojournError,
    StaleSession,
    TooManyLabels,
    TooManySessions,
)
from sojourn.ids import SessionKey
from sojourn.sessions.tombstones import REMEMBERED, TombstoneReason

MAX_LABELS = 16
"""Of one session."""


def too_many_labels(count: int) -> TooManyLabels:
    """More labels than one session has."""
    return TooManyLabels(
        f"A session has {MAX_LABELS} labels at most, not {count:,}. Nothing was written: remove "
        "some, or keep what no list is filtered by in the metadata."
    )


def brought() -> InvalidId:
    """An id that its caller brings, where only ours are taken."""
    return InvalidId(
        "This store was opened with strict_ids: it makes the ids of its sessions itself. Leave the "
        "id out and keep the one that create() returns. Nothing was sent."
    )


def unknown(key: SessionKey) -> SessionNotFound:
    """There is none, and none is made."""
    return SessionNotFound(
        f"There is no session {key.session!r} of this user, and where a store was opened with "
        "strict_ids an id that is not known makes none: create() one without an id."
    )


def doubtful(key: SessionKey, refused: SojournError) -> SessionNotFound:
    """The same of a buffered write that had been sent, to a session that is gone since."""
    sent = (
        "The write was sent before it was buffered, so it may have been applied while the session "
        "existed. It was not applied now."
    )
    if isinstance(refused, SessionRotated):
        return SessionRotated(f"{_rotated(key)} {sent}")
    return SessionNotFound(
        f"There is no longer a session {key.session!r} of this user: it was deleted, rotated or "
        f"has expired. {sent}"
    )


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
    """Never created, deleted, expired, or another incarnation."""
    return SessionNotFound(
        f"There is no session {key.session!r} of this user, or it is not the one that was loaded: "
        "it was never created, was deleted, or has expired. Nothing was written."
    )


def rotated(key: SessionKey) -> SessionRotated:
    """It has another id, which nobody is told here."""
    return SessionRotated(f"{_rotated(key)} Nothing was written.")


def _rotated(key: SessionKey) -> str:
    return (
        f"The session {key.session!r} was given another id, as after a login. It lives on under "
        "that, and who rotated it has it."
    )


def stale(key: SessionKey, *, actual: int, expected: int) -> StaleSession:
    """Not of the version that the caller expected."""
    return StaleSession(
        f"The session {key.session!r} is at version {actual}, not {expected}: load it again and "
        "repeat. Nothing was written.",
        expected=expected,
        actual=actual,
    )


def past(key: SessionKey, ms: int) -> InvalidInput:
    """It would have ended before it begins."""
    return InvalidInput(
        f"The session {key.session!r} would have ended before it begins: `until` was "
        f"{ms / 1000:,.3f} s ago by the server's clock. Nothing was written: give a later one, or "
        "max_age."
    )


def erased(reason: TombstoneReason) -> Conflict:
    """A write that waited while what it belongs to was revoked or forgotten. It names nobody."""
    if reason == "forgotten":
        return Erased("The user was forgotten after this write was made: nothing of it is kept.")
    return Conflict("The session was revoked after this write was made. Nothing was written.")


def outdated() -> Conflict:
    """A create that has waited for longer than anybody knows what was revoked since."""
    return Conflict(
        f"This create has waited for more than {REMEMBERED / 86_400:g} days: whether the session "
        "was revoked or its user forgotten since is not known any more. Nothing was written."
    )


def event_exists(count: int, one: str) -> EventExists:
    """Events of these ids are in the log already."""
    others = f" and {count - 1:,} more" if count > 1 else ""
    return EventExists(
        f"The log has an event with the id {one!r} already{others}: no id is twice in a log. "
        "Nothing was written. Retry an append with its operation_id; give a new event a new id.",
        ids=count,
    )


def newer(what: str, format: str) -> NewerFormat:  # noqa: A002 - as the field
    """A write that would replace what a newer version wrote."""
    return NewerFormat(
        f"{what} has the storage format {format}; this version of Sojourn writes {growth.FORMAT}. "
        "Nothing was written: upgrade this process.",
        found=format,
        known=str(growth.FORMAT),
    )


def incomplete(key: SessionKey, wanted: int, there: int) -> Conflict:
    """The rows that a session was to be made of are not all there."""
    return Conflict(
        f"The session {key.session!r} was not restored: of its first {wanted:,} events {there:,} "
        "are there. The server evicts keys, or others restore the same session. Try once more."
    )
