"""Conversion of hashes to rows; unreadable fields are reported."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, TypeAlias, cast

from sojourn.codecs import decode
from sojourn.codecs.growth import check_record, unknown
from sojourn.errors import Conflict, CorruptRecord, NewerFormat, StaleEntry
from sojourn.memory.model import Entry
from sojourn.memory.store import Item, MemoryRow

Found: TypeAlias = MemoryRow | CorruptRecord | NewerFormat | None

_VECTOR = frozenset({b"vector", b"vector_encoding"})
_KNOWN = _VECTOR | {
    *(b"format", b"value", b"metadata", b"text", b"tenant"),
    *(b"version", b"created", b"updated", b"expires"),
}

MOST = 2**53
"""What a script can count exactly."""


def parse_row(key: str, name: str, reply: Sequence[bytes] | Exception) -> Found:
    """An entry of the hash that a server gave; None for an empty one.

    What is missing and may be has its default; a vector with an encoding is left out.

    Args:
        key: of the entry.
        name: of the hash on the server.
        reply: its fields and values; or that it is of another type.
    """
    if isinstance(reply, Exception):
        return corrupt(name, "is of another type", b"")
    if not reply:
        return None
    fields = dict(zip(reply[::2], reply[1::2], strict=True))
    get = fields.get
    text, encoded = get(b"text"), b"vector_encoding" in fields
    try:
        what = f"The memory entry {name}"
        check_record(what, get(b"format"), get(b"value"), get(b"metadata"), text)
        updated = get(b"updated", get(b"created", b"0"))
        expires = get(b"expires")
        return MemoryRow(
            Item(
                key,
                fields[b"value"],
                get(b"metadata", b"{}"),
                None if text is None else text.decode(),
                b"" if encoded else get(b"vector", b""),
                tenant=get(b"tenant", b"").decode(),
            ),
            _version(fields[b"version"]),
            _time(get(b"created", updated)),
            _time(updated),
            _time(expires) / 1000 if expires else None,
            unknown(fields, _KNOWN - _VECTOR if encoded else _KNOWN),
        )
    except NewerFormat as newer:
        return newer
    except (KeyError, ValueError) as error:
        return corrupt(name, f"cannot be read ({error})", b"\n".join(reply))


def missing_or(found: Found) -> MemoryRow | None:
    """A row that could be read, or None for none.

    Raises:
        CorruptRecord: it could not.
        NewerFormat: a newer version wrote it.
    """
    if isinstance(found, CorruptRecord | NewerFormat):
        raise found
    return found


def entry_of(row: MemoryRow) -> Entry:
    """The entry of a row.

    Raises:
        CorruptRecord: its value is no JSON, or its metadata no object.
    """
    item = row.item
    return Entry(
        key=item.key,
        value=_json(item.key, item.value),
        version=row.version,
        created=row.created,
        updated=row.updated,
        expires=row.expires,
        metadata=_json(item.key, item.metadata, an_object=True),
        text=item.text,
        tenant=item.tenant,
    )


def corrupt(name: str, what: str, raw: bytes) -> CorruptRecord:
    """The error for an entry that others wrote, or that was damaged."""
    return CorruptRecord(
        f"The memory entry {name} {what}: others wrote it, or it was damaged. Delete it.",
        key=name,
        raw=raw,
    )


def stale(key: str, expected: int | None, actual: int) -> StaleEntry:
    """The error for an entry that has another version."""
    return StaleEntry(
        f"The entry {key!r} has version {actual}, not {expected} as expected (0 is none). Read it "
        "again, then decide; merge() does so for objects.",
        expected=expected or 0,
        actual=actual,
    )


def of_others(key: str) -> Conflict:
    """The error for an entry of another tenant."""
    return Conflict(
        f"The key {key!r} has an entry of another tenant, which stays as it is: take another key."
    )


def _json(key: str, text: bytes, *, an_object: bool = False) -> Any:
    try:
        value = decode(text)
    except ValueError as error:
        raise corrupt(repr(key), "is no JSON", text) from error
    if an_object and not isinstance(value, dict):
        raise corrupt(repr(key), "has metadata that is no object", text)
    return cast("Any", value)


def _version(text: bytes) -> int:
    version = int(text)
    if not 0 < version < MOST:
        raise ValueError("its version is none")
    return version


def _time(field: bytes) -> float:
    value = float(field)
    if not isfinite(value):
        raise ValueError(f"{field!r} is no time")
    return value
