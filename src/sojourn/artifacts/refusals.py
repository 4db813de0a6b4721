"""Errors for refused writes, with the same message from every artifact store."""

from __future__ import annotations

from sojourn.errors import Conflict


def exists(name: str) -> Conflict:
    """The new owner has an artifact of this name."""
    return Conflict(
        f"The new owner has an artifact {name!r}, too: this one was not moved. Delete one of the "
        "two, then move it again."
    )
