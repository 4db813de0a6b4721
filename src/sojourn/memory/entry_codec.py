"""Conversion of entries to and from the hashes of a server, and to the arguments of scripts."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, TypeAlias, cast

from sojourn.calls.call import Argument
from sojourn.codecs import decode
from sojourn.codecs.growth import MARK, check_format, check_stored, unknown
from sojourn.errors import Conflict, CorruptRecord, NewerFormat, StaleEntry
from sojourn.memory.model import Entry
from sojourn.memory.store import EMPTY, Item, MemoryRow

Found: TypeAlias = MemoryRow | CorruptRecord | NewerFormat | None

_KNOWN = frozenset(
    {
        *(b"format", b"value", b"metadata", b"text", b"tenant"),
        *(b"vector", b"vector_encoding", b"digest"),
        *(b"version", b"created", b"updated", b"expires"),
    }
)

MOST = 2**53
"""What a script can count exactly."""


def parse_rows(
    keys: Sequence[str], names: Sequence[str], replies: Sequence[Any], tenant: str | None
) -> list[Found]:
    """The entries of the hashes that a server gave; None for an empty one.

    What is missing and may be has its default. Content stays as it is encoded.

    Args:
        keys: of the entries.
        names: of the hashes on the server.
        replies: their fields and values; or an error for one of another type.
        tenant: whose entries; others are None. None for all.
    """
    return [
        _parse_row(key, name, reply, tenant)
        for key, name, reply in zip(keys, names, replies, strict=True)
    ]


def _parse_row(
    key: str, name: str, reply: Sequence[bytes] | Exception, tenant: str | None
) -> Found:
    if isinstance(reply, Exception):
        return None if tenant else corrupt(name, "is of another type", b"")
    if not reply:
        return None
    fields = dict(zip(reply[::2], reply[1::2], strict=True))
    get = fields.get
    if tenant is not None and get(b"tenant", b"") != tenant.encode():
        return None
    try:
        what = f"The memory entry {name}"
        check_format(get(b"format"), what)
        value, metadata, text = fields[b"value"], get(b"metadata", EMPTY), get(b"text")
        for content in (value, metadata, text or b""):
            check_stored(content, what)
        if text is not None and text[:1] != MARK:
            text.decode()
        updated = get(b"updated", get(b"created", b"0"))
        expires = get(b"expires")
        return MemoryRow(
            Item(
                key,
                value,
                metadata,
                text,
                get(b"vector", b""),
                tenant=get(b"tenant", b"").decode(),
                vector_encoding=get(b"vector_encoding", b"").decode(),
                digest=get(b"digest", b"").decode(),
            ),
            _version(fields[b"version"]),
            _time(get(b"created", updated)),
            _time(updated),
            _time(expires) / 1000 if expires else None,
            unknown(fields, _KNOWN),
        )
    except NewerFormat as newer:
        return newer
    except (KeyError, ValueError) as error:
        return corrupt(name, f"cannot be read ({error})", b"\n".join(reply))


def fields_of(item: Item) -> list[Argument]:
    """The hash of an entry as it is given: field, value, and so on."""
    fields: list[Argument] = ["value", item.value, "metadata", item.metadata]
    if item.text is not None:
        fields += ["text", item.text]
    if item.vector:
        fields += ["vector", item.vector]
    if item.vector_encoding:
        fields += ["vector_encoding", item.vector_encoding]
    if item.digest:
        fields += ["digest", item.digest]
    if item.tenant:
        fields += ["tenant", item.tenant]
    return fields


def in_ms(ttl: float | None) -> int | str:
    """A lifetime as scripts take it; empty for never."""
    return "" if ttl is None else max(1, round(ttl * 1000))


def tenant_rule(tenant: str | None) -> str:
    """Whose entries a script may write, as scripts take it."""
    return "" if tenant is None else f"={tenant}"


def texts(index: str, names: Sequence[bytes]) -> list[str]:
    """The names that an index gave.

    Raises:
        CorruptRecord: one of them is not text.
    """
    try:
        return [name.decode() for name in names]
    except ValueError as error:
        raise CorruptRecord(
            f"{index} holds a name that Sojourn has not written.", key=index, raw=b""
        ) from error


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
        text=None if item.text is None else item.text.decode(),
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
