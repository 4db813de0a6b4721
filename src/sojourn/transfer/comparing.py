"""Comparison of a store's data with an archive's."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from sojourn.artifacts.archive import ArchivedVersion
from sojourn.codecs import decode
from sojourn.codecs.growth import MARK
from sojourn.memory.store import MemoryRow
from sojourn.sessions.record import FIELDS, decode_fields
from sojourn.sessions.store import Pairs, SessionHeader, SessionSnapshot
from sojourn.transfer.lines import EventsLine, SessionLine
from sojourn.transfer.reading import ArchiveReader, ReadMark
from sojourn.transfer.values import derived_log_id, fields_of, head_of, in_ms, pairs_of, rows_of


class Rows:
    """The rows of a session of several lines, line by line, as often as they are wanted."""

    def __init__(self, reader: ArchiveReader, line: SessionLine, begin: ReadMark) -> None:
        self._reader = reader
        self._line = line
        self._begin = begin
        self._left: list[bytes] = []
        self._seq = -1

    def rewind(self) -> None:
        """Begin with the first event."""
        self._reader.seek(self._begin)
        self._seq = -1

    def next(self) -> list[bytes] | None:
        """Those of the next line; None at the end."""
        if self._seq < 0:
            self._seq = self._line.dropped + len(self._line.events)
            return rows_of(self._line.events)
        while self._seq < self._line.seq:
            line = self._reader.next()
            if isinstance(line, EventsLine):
                self._seq += len(line.events)
                return rows_of(line.events)
            if line is None:
                break
        return None

    async def same(self, first: int, found: Sequence[bytes]) -> bool:
        """Whether rows are those of the archive; asked in the order of their numbers."""
        if first == self._line.dropped + 1:
            self.rewind()
            self._left = []
        while len(self._left) < len(found):
            more = self.next()
            if more is None:
                return False
            self._left += more
        ours, self._left = self._left[: len(found)], self._left[len(found) :]
        return ours == list(found)


def born(line: SessionLine, name: str) -> SessionHeader:
    """The session that is to be: its incarnation says what it was made of, and is a new one."""
    return head_of(line, f"{name}.{secrets.token_urlsafe(12)}", log_id_of(line, name))


def log_id_of(line: SessionLine, name: str) -> str:
    """The id of a session's log; of an older archive one that is the same in each run.

    Args:
        line: the session.
        name: the digest of its contents.
    """
    return line.log_id or derived_log_id(name)


def was_restored(head: SessionHeader, line: SessionLine, name: str) -> bool:
    """Whether a session was made of just this, and has not changed since."""
    return head.incarnation.startswith(f"{name}.") and head.version == line.version


_FIELDS = ("seq", "dropped", "created", "updated")


def same_fields(found: SessionSnapshot, line: SessionLine) -> bool:
    """Whether a session is what a line says, but for its log."""
    head = found.head
    if not found.readable or (in_ms(head.ttl), in_ms(head.until)) != (line.ttl, line.until):
        return False
    fields = all(getattr(head, name) == getattr(line, name) for name in _FIELDS)
    return (
        fields
        and _same_record(head.fields, fields_of(line))
        and same_values(found.state, pairs_of(line.state))
    )


def _same_record(some: Pairs, others: Pairs) -> bool:
    defaults = {name: field.default for name, field in FIELDS.items()}
    return {**defaults, **decode_fields(some)} == {**defaults, **decode_fields(others)}


def same_values(some: Pairs, others: Pairs) -> bool:
    """Whether two states are the same."""
    if some.keys() != others.keys():
        return False
    return all(_same(value, others[name]) for name, value in some.items())


def _same(value: bytes, other: bytes) -> bool:
    """Whether two values are; one with an encoding is not looked into."""
    if value == other or MARK in (value[:1], other[:1]):
        return value == other
    try:
        return bool(decode(value) == decode(other))
    except (ValueError, RecursionError):
        return False


def same_entry(found: MemoryRow, row: MemoryRow) -> bool:
    """Whether two entries of the memory are the same; lifetimes and versions may differ."""
    return (found.item, found.created, found.updated) == (row.item, row.created, row.updated)


def same_versions(found: Sequence[ArchivedVersion], others: Sequence[ArchivedVersion]) -> bool:
    """Whether two artifacts are the same, wherever their data are."""
    return [_described(each) for each in found] == [_described(each) for each in others]


def _described(version: ArchivedVersion) -> object:
    """What two stores have in common, whatever else another version has added to one of them."""
    here = version._replace(data="", encoding="", id="", stored=0, metadata=b"", more={})
    return here, _decoded(version.metadata)


def _decoded(text: bytes) -> object:
    try:
        return text if text[:1] == MARK else decode(text)
    except (ValueError, RecursionError):
        return object()
