"""Conversion of archive lines to stored values and back; invalid lines are refused."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, cast, get_args

import msgspec

from sojourn.artifacts.archive import ArchivedVersion
from sojourn.artifacts.model import ArtifactPlace, Owner
from sojourn.codecs import decode
from sojourn.codecs.growth import MARK, of_member, parse, to_line, to_member
from sojourn.ids import (
    AppName,
    SessionKey,
    UserKey,
    parse_app,
    parse_artifact,
    parse_memory,
)
from sojourn.memory.model import Kind, ScopeKey
from sojourn.memory.store import Item, MemoryRow
from sojourn.sessions.event_codec import event_id
from sojourn.sessions.record import FIELDS
from sojourn.sessions.store import Pairs, SessionHeader
from sojourn.transfer.growing import more_of
from sojourn.transfer.lines import (
    ArtifactLine,
    EntryRecord,
    MemoryLine,
    SessionLine,
    StateLine,
    VersionRecord,
)

_text = msgspec.json.Decoder(str).decode
_quoted = msgspec.json.Encoder().encode


def in_ms(instant: float | None) -> float | None:
    """A lifetime or its end, in seconds, as servers keep it: in whole milliseconds."""
    return None if instant is None else round(float(instant), 3)


def is_sound(row: bytes) -> bool:
    """Whether a row of a log is as it was written, also when only a newer version can read it."""
    try:
        if parse(row) is None:
            decode(row)
        return event_id(row) != ""
    except (ValueError, RecursionError):
        return False


def written(value: bytes) -> msgspec.Raw:
    """Stored JSON as it stands in a line."""
    return msgspec.Raw(to_line(value))


def stored(value: msgspec.Raw) -> bytes:
    """The inverse, but for line breaks.

    Raises:
        ValueError: it says that it is encoded, and is not.
    """
    return of_member(bytes(value))


def event_of(row: bytes) -> msgspec.Raw:
    """A row as it stands in a line: as it is; as a JSON string if it has line breaks."""
    if row[:1] == MARK:
        return msgspec.Raw(to_member(row))
    if b"\n" in row or b"\r" in row:
        return msgspec.Raw(_quoted(row.decode()))
    return msgspec.Raw(row)


def rows_of(events: Iterable[msgspec.Raw]) -> list[bytes]:
    """The rows of a line.

    Raises:
        ValueError: one is none.
    """
    rows: list[bytes] = []
    for event in events:
        row = bytes(event)
        rows.append(_text(row).encode() if row[:1] == b'"' else of_member(row))
    return rows


# ── sessions ───────────────────────────────────────────────────────────────────────────────────


def key_of(line: SessionLine) -> SessionKey:
    """Whose line it is."""
    return SessionKey.of(line.app, line.user, line.session)


def session_line(
    key: SessionKey,
    head: SessionHeader,
    state: Mapping[str, msgspec.Raw],
    rows: Sequence[msgspec.Raw],
) -> SessionLine:
    """A session as a line."""
    return SessionLine(
        app=key.app,
        user=key.user,
        session=key.session,
        incarnation=head.incarnation,
        epoch=head.epoch,
        version=head.version,
        seq=head.seq,
        dropped=head.dropped,
        created=head.created,
        updated=head.updated,
        ttl=in_ms(head.ttl),
        until=in_ms(head.until),
        expires=in_ms(head.expires),
        log_id=head.log_id,
        **{
            name: field.to_member(head.fields[name])
            for name, field in FIELDS.items()
            if name in head.fields
        },
        state=dict(state),
        more=more_of(head.more),
        events=list(rows),
    )


def derived_log_id(name: str) -> str:
    """The id of a log that comes from elsewhere; the same for the same, so that a run goes on.

    Args:
        name: a digest of its session's contents.
    """
    return blake2b(name.encode(), digest_size=16, person=b"sojourn log id").hexdigest()


def head_of(line: SessionLine, incarnation: str, log_id: str) -> SessionHeader:
    """The fields of a session that is to be again."""
    return SessionHeader(
        incarnation=incarnation,
        version=line.version,
        epoch=0,
        seq=line.seq,
        dropped=line.dropped,
        created=line.created,
        updated=line.updated,
        ttl=line.ttl,
        until=line.until,
        expires=line.expires,
        log_id=log_id,
        fields=fields_of(line),
    )


def fields_of(line: SessionLine) -> Pairs:
    """The fields of a session that applications set, as stores take them.

    Raises:
        ValueError: one that no session could have.
    """
    found = {name: field.of_member(getattr(line, name), name) for name, field in FIELDS.items()}
    return {name: value for name, value in found.items() if value is not None}


def pairs_of(values: Mapping[str, msgspec.Raw]) -> Pairs:
    """State as stores take it."""
    return {name: stored(value) for name, value in values.items()}


class Digest:
    """Of the contents of a session: the same for the same, whatever archive it is in."""

    def __init__(self, line: SessionLine) -> None:
        self._sum = blake2b(digest_size=16)
        same = msgspec.structs.replace(
            line, incarnation="", epoch=0, expires=None, events=[], more={}
        )
        for name in (*FIELDS, "state"):
            if isinstance(value := getattr(same, name), dict):
                in_order = dict(sorted(cast("dict[str, Any]", value).items()))
                same = msgspec.structs.replace(same, **{name: in_order})
        self._sum.update(_quoted(same))

    def add(self, rows: Sequence[bytes]) -> None:
        """The next rows of its log."""
        for row in rows:
            self._sum.update(b"%d:" % len(row))
            self._sum.update(row)

    def text(self) -> str:
        """The digest of what there was until now."""
        return urlsafe_b64encode(self._sum.digest()).decode().rstrip("=")


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


def entry_record(row: MemoryRow) -> EntryRecord:
    """An entry as it stands in a line."""
    item = row.item
    return EntryRecord(
        key=item.key,
        value=written(item.value),
        metadata=written(item.metadata),
        text=None if item.text is None else item.text.decode(),
        tenant=item.tenant,
        vector=item.vector,
        version=row.version,
        created=row.created,
        updated=row.updated,
        expires=in_ms(row.expires),
        more=more_of(row.more),
    )


def row_of(entry: EntryRecord) -> MemoryRow:
    """An entry as stores take it."""
    text = None if entry.text is None else entry.text.encode()
    item = Item(
        *(entry.key, stored(entry.value), stored(entry.metadata), text, entry.vector),
        tenant=entry.tenant,
    )
    return MemoryRow(item, entry.version, entry.created, entry.updated, entry.expires)


# ── artifacts and the cache ────────────────────────────────────────────────────────────────────


def place_of(line: ArtifactLine) -> ArtifactPlace:
    """Whose artifact it is."""
    owner: Owner
    if line.session is None:
        owner = UserKey.of(line.app, line.user)
    else:
        owner = SessionKey.of(line.app, line.user, line.session)
    return ArtifactPlace(owner, parse_artifact(line.name))


def version_record(version: ArchivedVersion) -> VersionRecord:
    """A version as it stands in a line."""
    return VersionRecord(
        created=version.created,
        size=version.size,
        crc=version.crc,
        mime_type=version.mime_type,
        metadata=written(version.metadata),
        more=more_of(version.more),
    )


def version_of(record: VersionRecord, name: str) -> ArchivedVersion:
    """A version as stores take it, whose data are called so."""
    return ArchivedVersion(
        *(record.created, record.size, record.crc, record.mime_type),
        *(stored(record.metadata), name),
    )
