"""Between the lines of an archive and what stores keep; and what of a line is refused."""

from __future__ import annotations

import math
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple, cast, get_args

import msgspec

from sojourn.artifacts.archive import Version
from sojourn.artifacts.records import chunks_of
from sojourn.artifacts.store import Owner, Place
from sojourn.ids import (
    AppName,
    SessionKey,
    UserKey,
    parse_app,
    parse_artifact,
    parse_entry,
    parse_memory,
    parse_tag,
    parse_tenant,
)
from sojourn.memory.model import Kind, ScopeKey
from sojourn.memory.store import Item, Row
from sojourn.options import Options
from sojourn.sessions.rows import decode_row
from sojourn.sessions.scope import APP, TEMP, USER
from sojourn.sessions.store import Head, Pairs
from sojourn.transfer.lines import (
    GAP,
    ArtifactLine,
    CacheLine,
    EntryRecord,
    Line,
    MemoryLine,
    SessionLine,
    StateLine,
    VersionRecord,
)

_MOST = 10**15
"""A number from which scripts would round."""
_LAST = 10.0**11
"""Seconds since the epoch that no instant exceeds."""
_AGES = 10.0**10
"""Seconds that no lifetime exceeds."""
_CRC = 8

_any = msgspec.json.Decoder().decode
_text = msgspec.json.Decoder(str).decode
_quoted = msgspec.json.Encoder().encode


class Limits(NamedTuple):
    """The largest values that a store takes, in bytes."""

    event: float = math.inf
    state: float = math.inf
    artifact: float = math.inf

    @classmethod
    def of(cls, options: Options) -> Limits:
        """Those of a store."""
        return cls(options.max_event_bytes, options.max_state_bytes, options.max_artifact_bytes)


def is_sound(row: bytes) -> bool:
    """Whether a row of a log can be read."""
    try:
        decode_row(row)
        _any(row)
    except (ValueError, RecursionError):
        return False
    return True


def is_json(value: bytes, *, an_object: bool = False) -> bool:
    """Whether JSON text can be read."""
    try:
        return isinstance(_any(value), dict) or not an_object
    except (ValueError, RecursionError):
        return False


def on_one_line(value: bytes) -> msgspec.Raw:
    """JSON text without line breaks, of which it has none but between its tokens."""
    return msgspec.Raw(value.replace(b"\n", b" ").replace(b"\r", b" "))


def event_of(row: bytes) -> msgspec.Raw:
    """A row as it stands in a line: as it is; as a JSON string if it has line breaks."""
    if b"\n" in row or b"\r" in row:
        return msgspec.Raw(_quoted(row.decode()))
    return msgspec.Raw(row)


def rows_of(events: Iterable[msgspec.Raw], limits: Limits | None = None) -> list[bytes]:
    """The rows of a line; checked when limits are given.

    Raises:
        ValueError: one is none, or over its cap.
    """
    rows: list[bytes] = []
    for event in events:
        row = bytes(event)
        if row[:1] == b'"':
            row = _text(row).encode()
        if limits is not None and row != GAP:
            if len(row) > limits.event:
                raise ValueError(f"an event of {len(row):,} bytes is over max_event_bytes")
            if not is_sound(row):
                raise ValueError("an event in it is none, or was changed")
        rows.append(row)
    return rows


def check(line: Line, limits: Limits) -> None:
    """Refuse a line that holds what no store would have written.

    Raises:
        ValueError: it does; the message quotes nothing of it.
    """
    match line:
        case SessionLine():
            _check_session(line, limits)
        case StateLine():
            _check_state(line, limits)
        case MemoryLine():
            _check_memory(line, limits)
        case ArtifactLine():
            _check_artifact(line, limits)
        case CacheLine():
            _check_cached(line, limits)
        case _:
            pass


# ── sessions ───────────────────────────────────────────────────────────────────────────────────


def key_of(line: SessionLine) -> SessionKey:
    """Whose line it is."""
    return SessionKey.of(line.app, line.user, line.session)


def session_line(
    key: SessionKey, head: Head, state: Mapping[str, msgspec.Raw], rows: Sequence[msgspec.Raw]
) -> SessionLine:
    """A session as a line."""
    fields = head._asdict()
    return SessionLine(
        **key._asdict(),
        **{**fields, "metadata": on_one_line(head.metadata)},
        state=dict(state),
        events=list(rows),
    )


def head_of(line: SessionLine, incarnation: str) -> Head:
    """The fields of a session that is to be again."""
    fields = {name: getattr(line, name) for name in Head._fields}
    return Head(**{**fields, "metadata": bytes(line.metadata), "incarnation": incarnation})


def pairs_of(values: Mapping[str, msgspec.Raw]) -> Pairs:
    """State as stores take it."""
    return {name: bytes(value) for name, value in values.items()}


class Digest:
    """Of the contents of a session: the same for the same, whatever archive it is in."""

    def __init__(self, line: SessionLine) -> None:
        self._sum = blake2b(digest_size=16)
        same = msgspec.structs.replace(line, incarnation="", epoch=0, expires=None, events=[])
        state = dict(sorted(line.state.items()))
        self._sum.update(_quoted(msgspec.structs.replace(same, state=state)))

    def add(self, rows: Sequence[bytes]) -> None:
        """The next rows of its log."""
        for row in rows:
            self._sum.update(b"%d:" % len(row))
            self._sum.update(row)

    def text(self) -> str:
        """The digest of what there was until now."""
        return urlsafe_b64encode(self._sum.digest()).decode().rstrip("=")


def _check_session(line: SessionLine, limits: Limits) -> None:
    key_of(line)
    for number in (line.epoch, line.version, line.seq, line.dropped):
        _count(number)
    if line.version < 1 or line.dropped > line.seq:
        raise ValueError("its numbers contradict each other")
    for instant in (line.created, line.updated, line.until, line.expires):
        _instant(instant)
    if line.ttl is not None and not 0 < line.ttl <= _AGES:
        raise ValueError("its ttl is no lifetime")
    for instant in (line.until, line.expires):
        if instant is not None and instant <= 0:
            raise ValueError("it ends before all times")
    if (line.ttl is None and line.until is None) != (line.expires is None):
        raise ValueError("its lifetime contradicts its end")
    _object(line.metadata)
    _state(line.state, limits)
    if any(name.startswith((APP, USER, TEMP)) for name in line.state):
        raise ValueError("it holds state that is not its own")


def _check_state(line: StateLine, limits: Limits) -> None:
    state_owner(line)
    _instant(line.expires)
    _state(line.values, limits)


def state_owner(line: StateLine) -> UserKey | AppName:
    """Whose state it is."""
    return parse_app(line.app) if line.user is None else UserKey.of(line.app, line.user)


# ── memory ─────────────────────────────────────────────────────────────────────────────────────


def scope_of(line: MemoryLine) -> ScopeKey:
    """Whose memory it is.

    Raises:
        ValueError: nobody's.
    """
    if line.scope not in get_args(Kind):
        raise ValueError("it is of a scope that is none")
    kind = cast("Kind", line.scope)
    return ScopeKey(parse_app(line.app), kind, parse_memory(kind, line.name))


def entry_record(row: Row) -> EntryRecord:
    """An entry as it stands in a line."""
    item = row.item
    return EntryRecord(
        key=item.key,
        value=on_one_line(item.value),
        metadata=on_one_line(item.metadata),
        text=item.text,
        vector=item.vector,
        version=row.version,
        created=row.created,
        updated=row.updated,
        expires=row.expires,
    )


def row_of(entry: EntryRecord) -> Row:
    """An entry as stores take it."""
    item = Item(entry.key, bytes(entry.value), bytes(entry.metadata), entry.text, entry.vector)
    return Row(item, entry.version, entry.created, entry.updated, entry.expires)


def _check_memory(line: MemoryLine, limits: Limits) -> None:
    scope_of(line)
    for each in line.entries:
        parse_entry(each.key)
        _count(each.version)
        for instant in (each.created, each.updated, each.expires):
            _instant(instant)
        if not is_json(bytes(each.value)):
            raise ValueError("the value of an entry is no JSON")
        _object(each.metadata)
        size = len(bytes(each.value)) + len(bytes(each.metadata)) + len((each.text or "").encode())
        if size > limits.event:
            raise ValueError(f"an entry of {size:,} bytes is over max_event_bytes")
        if len(each.vector) % 4:
            raise ValueError("a vector is no list of numbers")
    if len({each.key for each in line.entries}) < len(line.entries):
        raise ValueError("it has an entry twice")


# ── artifacts and the cache ────────────────────────────────────────────────────────────────────


def place_of(line: ArtifactLine) -> Place:
    """Whose artifact it is."""
    owner: Owner
    if line.session is None:
        owner = UserKey.of(line.app, line.user)
    else:
        owner = SessionKey.of(line.app, line.user, line.session)
    return Place(owner, parse_artifact(line.name))


def version_record(version: Version) -> VersionRecord:
    """A version as it stands in a line."""
    return VersionRecord(
        created=version.created,
        size=version.size,
        crc=version.crc,
        mime_type=version.mime_type,
        metadata=on_one_line(version.metadata),
    )


def version_of(record: VersionRecord, name: str) -> Version:
    """A version as stores take it, whose data are called so."""
    return Version(
        *(record.created, record.size, record.crc, record.mime_type),
        *(bytes(record.metadata), name),
    )


def _check_artifact(line: ArtifactLine, limits: Limits) -> None:
    place_of(line)
    _instant(line.expires)
    if not line.versions:
        raise ValueError("it has no version")
    for each in line.versions:
        _instant(each.created)
        chunks_of(_count(each.size))
        _object(each.metadata)
        if each.size + len(bytes(each.metadata)) > limits.artifact:
            raise ValueError(f"a version of {each.size:,} bytes is over max_artifact_bytes")
        if len(each.crc) != _CRC or set(each.crc) - set("0123456789abcdef"):
            raise ValueError("the checksum of a version is none")


def _check_cached(line: CacheLine, limits: Limits) -> None:
    parse_tenant(line.tenant)
    parse_entry(line.name)
    for tag in line.tags:
        parse_tag(tag)
    _instant(line.fresh)
    _instant(line.ends)
    if not is_json(bytes(line.value)):
        raise ValueError("its value is no JSON")
    if len(bytes(line.value)) > limits.event:
        raise ValueError("its value is over max_event_bytes")


def _state(values: Mapping[str, msgspec.Raw], limits: Limits) -> None:
    size = 0
    for name, value in values.items():
        size += len(name.encode()) + len(bytes(value))
        if not is_json(bytes(value)):
            raise ValueError("a value of its state is no JSON")
    if size > limits.state:
        raise ValueError(f"a state of {size:,} bytes is over max_state_bytes")


def _object(value: msgspec.Raw) -> None:
    if not is_json(bytes(value), an_object=True):
        raise ValueError("its metadata are no JSON object")


def _count(number: int) -> int:
    if not 0 <= number < _MOST:
        raise ValueError("a number in it counts nothing")
    return number


def _instant(instant: float | None) -> None:
    if instant is not None and not -_LAST <= instant <= _LAST:
        raise ValueError("a time in it is none")
