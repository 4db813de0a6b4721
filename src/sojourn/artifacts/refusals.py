"""Errors for refused operations on artifacts."""

from __future__ import annotations

from sojourn.codecs.growth import refusal
from sojourn.errors import Conflict, CorruptRecord, Undecodable

UNUSABLE = frozenset((b"newer", b"lost", b"corrupt"))
"""Replies of scripts that `unusable` explains."""


def exists(name: str) -> Conflict:
    """The new owner has an artifact of this name."""
    return Conflict(
        f"The new owner has an artifact {name!r}, too: this one was not moved. Delete one of the "
        "two, then move it again."
    )


def unusable(head: str, status: bytes, *version: bytes) -> CorruptRecord | Undecodable:
    """The artifact at a key is of a newer format, lost, or cannot be read."""
    if status == b"newer":
        return refusal("The artifact", head, *version)
    why = "was lost, perhaps evicted" if status == b"lost" else "cannot be read"
    return CorruptRecord(
        f"{head} {why}, though it has not expired. Delete the artifact, then save it again.",
        key=head,
        raw=b"",
    )
