"""Values that pass between operations and the service: checkpoints in their stored form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec


class StoredRow(msgspec.Struct, frozen=True):
    """A checkpoint as it stands.

    Attributes:
        place: its name within the thread, escaped.
        checkpoint: lines in clear, and content.
        writes: a line for each, as they stand.
    """

    place: str
    checkpoint: bytes
    writes: bytes


class StoredRows(msgspec.Struct, frozen=True):
    """Checkpoints as they stand.

    Attributes:
        rows: those that are there, in the order that was asked for.
        objects: what they use, by digest.
    """

    rows: Sequence[StoredRow] = ()
    objects: Mapping[str, bytes] = {}


class ThreadRow(msgspec.Struct, frozen=True):
    """What a list shows of a thread, as it stands.

    Attributes:
        thread: its id.
        title: as it stands.
        updated: seconds since the epoch.
        created: the same.
        expires: the same; None for never.
        checkpoints: how many it has.
        newer: its format is newer.
    """

    thread: str
    title: bytes
    updated: float
    created: float
    expires: float | None
    checkpoints: int
    newer: bool = False


def in_ms(ttl: float | None) -> str:
    """A lifetime as scripts take it."""
    return "" if ttl is None else str(max(1, round(ttl * 1000)))
