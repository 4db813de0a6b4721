"""Compatibility of archives from other versions of Sojourn.

Fields that the exporting version does not know travel as `more`. Fields in it that the importing
version knows become members; the others are counted and skipped.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, get_args

import msgspec

from sojourn.sessions.fields import Field
from sojourn.sessions.record import FIELDS
from sojourn.transfer.lines import (
    ArtifactLine,
    CacheLine,
    Counts,
    EntryRecord,
    Header,
    Known,
    MemoryLine,
    More,
    Selection,
    SessionLine,
    StateLine,
    Trailer,
    VersionRecord,
)
from sojourn.transfer.passing import Passing

_R = TypeVar("_R", SessionLine, EntryRecord, VersionRecord)


class _Bytes(msgspec.Struct, forbid_unknown_fields=True):
    """A value that is no text."""

    data: bytes = msgspec.field(name="$bytes")


_encode = msgspec.json.Encoder().encode
_value = msgspec.json.Decoder(str | _Bytes).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def more_of(fields: Mapping[str, bytes]) -> More:
    """The fields of a stored record that this version does not know, as they stand in a line."""
    return {name: msgspec.Raw(_written(value)) for name, value in fields.items()}


def _written(value: bytes) -> bytes:
    try:
        return _encode(value.decode())
    except UnicodeDecodeError:
        return b'{"$bytes":"%b"}' % b64encode(value)


def bytes_of(value: msgspec.Raw) -> bytes:
    """The inverse.

    Raises:
        ValueError: it is in a way that this version does not know.
    """
    found = _value(value)
    return found.encode() if isinstance(found, str) else found.data


# ── what this version knows ────────────────────────────────────────────────────────────────────


def _json(value: bytes) -> msgspec.Raw:
    _object(value)
    return msgspec.Raw(value)


_text = bytes.decode
_json_text = msgspec.json.Decoder(str).decode


def _member(field: Field) -> Callable[[bytes], Any]:
    def read(stored: bytes) -> Any:
        field.decode(stored)
        return field.to_member(stored)

    return read


_ADOPTED: Mapping[type, Mapping[str, Callable[[bytes], Any]]] = {
    SessionLine: {"log_id": _text, **{name: _member(each) for name, each in FIELDS.items()}},
    EntryRecord: {"metadata": _json, "text": _text, "tenant": _text},
    VersionRecord: {"mime_type": _json_text, "metadata": _json},
}
"""Optional members, and how each is read from a field of `more`."""


def adopted(line: Known) -> Known:
    """A line with those fields of its `more` as members that this version knows."""
    match line:
        case SessionLine():
            return _adopt(line)
        case MemoryLine() if any(each.more for each in line.entries):
            entries = [_adopt(each) for each in line.entries]
            return msgspec.structs.replace(line, entries=entries)
        case ArtifactLine() if any(each.more for each in line.versions):
            versions = [_adopt(each) for each in line.versions]
            return msgspec.structs.replace(line, versions=versions)
        case _:
            return line


def _adopt(record: _R) -> _R:
    if not record.more:
        return record
    defaults = _defaults(type(record))
    members, more = {}, {}
    for name, value in record.more.items():
        read = _ADOPTED[type(record)].get(name)
        try:
            if read is None or getattr(record, name) != defaults[name]:
                raise ValueError("it is not for this version, or was said already")  # noqa: TRY301
            members[name] = read(bytes_of(value))
        except (ValueError, RecursionError):
            more[name] = value
    return msgspec.structs.replace(record, **members, more=more)


def _defaults(kind: type[msgspec.Struct]) -> Mapping[str, Any]:
    return {
        each.name: each.default
        if each.default_factory is msgspec.NODEFAULT
        else each.default_factory()
        for each in msgspec.structs.fields(kind)
    }


# ── what it does not know ──────────────────────────────────────────────────────────────────────

_NESTED: Mapping[type, tuple[str, type[msgspec.Struct]]] = {
    Header: ("wanted", Selection),
    MemoryLine: ("entries", EntryRecord),
    ArtifactLine: ("versions", VersionRecord),
    Trailer: ("counts", Counts),
}
"""Objects in lines that may have members which this version does not know."""

_MEMBERS = {
    kind: frozenset({"kind", *kind.__struct_fields__})
    for kind in (*get_args(Known), *(kind for _, kind in _NESTED.values()))
}

KINDS = frozenset(kind.__struct_config__.tag for kind in get_args(Known))
"""The kinds of lines that this version knows."""

_records = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


def count_unknown(text: bytes, line: Known, passing: Passing) -> None:
    """Count what a line holds that this version does not know.

    Args:
        text: of the line.
        line: what was read of it.
        passing: counts.
    """
    of = str(line.__struct_config__.tag)
    members = _object(text)
    for name in members.keys() - _MEMBERS[type(line)]:
        passing.add("members", f"{of}.{name}")
    nested, kind = _NESTED.get(type(line), ("", None))
    if kind is not None and nested in members:
        value = members[nested]
        for record in _records(value) if memoryview(value)[0] == ord("[") else [_object(value)]:
            for name in record.keys() - _MEMBERS[kind]:
                passing.add("members", f"{of}.{nested}.{name}")
    for where, more in _more_in(line):
        for name in more:
            passing.add("fields", f"{where}.{name}")


def _more_in(line: Known) -> Iterator[tuple[str, More]]:
    match line:
        case SessionLine() | StateLine() | CacheLine():
            yield str(line.__struct_config__.tag), line.more
        case MemoryLine():
            for entry in line.entries:
                yield "memory.entries", entry.more
        case ArtifactLine():
            yield "artifact", line.more
            for version in line.versions:
                yield "artifact.versions", version.more
        case _:
            pass
