"""Errors for refused operations on threads."""

from __future__ import annotations

from sojourn.codecs.growth import refusal
from sojourn.errors import Conflict, CorruptRecord, Undecodable

UNUSABLE = frozenset((b"newer", b"lost", b"corrupt"))
"""Replies of scripts that `unusable` explains."""


def exists(thread: str) -> Conflict:
    """The target of a copy is there."""
    return Conflict(
        f"There is a thread {thread!r} already, so nothing was written over it. Delete it, or "
        "choose another id."
    )


def gone(thread: str) -> Conflict:
    """The staged parts of a thread are not there any more."""
    return Conflict(
        f"The parts of the thread {thread!r} are gone, perhaps evicted, so it was not made. Try "
        "once more."
    )


def unusable(head: str, status: bytes, *what: bytes) -> CorruptRecord | Undecodable:
    """The thread at a key is of a newer format, lost a part, or cannot be read."""
    if status == b"newer":
        return refusal("The thread", head, *what)
    why = "has lost a checkpoint, perhaps evicted" if status == b"lost" else "cannot be read"
    return corrupt(head, why, b"".join(what))


def corrupt(head: str, why: str, raw: bytes = b"") -> CorruptRecord:
    """A part of the thread cannot be read."""
    return CorruptRecord(
        f"The thread {head} {why}, though it has not expired. Go on from an earlier checkpoint, or "
        "delete the thread.",
        key=head,
        raw=raw,
    )
