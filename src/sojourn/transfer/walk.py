"""Order and counts of archive lines: each line is checked against those before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from zlib import crc32

import msgspec

from sojourn.artifacts.records import CHUNK, chunks_of
from sojourn.transfer.checking import check, check_events
from sojourn.transfer.lines import (
    ArtifactLine,
    CacheLine,
    Counts,
    DataLine,
    EventsLine,
    Header,
    Line,
    MemoryLine,
    NewerLine,
    RoomLine,
    SessionLine,
    StateLine,
    Trailer,
    UnknownLine,
    UnreadableLine,
    VoidLine,
)

_COUNTED: Mapping[type, str] = {StateLine: "states", CacheLine: "cached", RoomLine: "records"}
"""As what each of those lines counts."""


class ArchiveValidator:
    """Goes through an archive, line by line.

    Attributes:
        trusted: whether what the lines hold was looked at before.
        header: the first line; None before it.
        session: a session of which events are to follow; None when there is none.
        seq: the number of its last event so far.
        artifact: an artifact of which data are to follow; None when there is none.
        lines: how many there were.
        ended: whether the last line was the end.
    """

    def __init__(self) -> None:
        self.trusted = False
        self._counts: Counter[str] = Counter()
        self._version = self._chunk = self._crc = 0
        self.header: Header | None = None
        self.session: SessionLine | None = None
        self.seq = 0
        self.artifact: ArtifactLine | None = None
        self.lines = 0
        self.ended = False

    @property
    def counts(self) -> Counts:
        """How much there was of what was whole."""
        return Counts(**self._counts)

    @property
    def between(self) -> bool:
        """Whether nothing is left open."""
        return self.session is None and self.artifact is None

    def step(self, line: Line) -> None:
        """Take the next line.

        Raises:
            ValueError: it has no business here.
        """
        if self.ended:
            raise ValueError("it stands behind the end")
        if (self.header is None) != isinstance(line, Header):
            raise ValueError("an archive has one header, and begins with it")
        match line:
            case Header():
                self.header = line
            case UnreadableLine() | NewerLine():
                self._counts[str(line.__struct_config__.tag)] += 1
            case UnknownLine():
                pass
            case EventsLine():
                self._events(line)
            case DataLine():
                self._data(line)
            case VoidLine():
                if self.between:
                    raise ValueError("nothing was begun that could be void")
                self.session = self.artifact = None
            case _:
                self._next(line)
        self.lines += 1

    def _next(
        self,
        line: SessionLine | StateLine | MemoryLine | ArtifactLine | CacheLine | RoomLine | Trailer,
    ) -> None:
        """What may only come when nothing is left open."""
        if not self.between:
            raise ValueError("what was begun before it is not complete")
        if not self.trusted:
            check(line)
        match line:
            case SessionLine():
                self.session, self.seq = line, line.dropped
                self._grow(line, line.events)
            case ArtifactLine():
                self.artifact = line
                self._version = self._chunk = self._crc = 0
            case StateLine() | CacheLine() | RoomLine():
                self._counts[_COUNTED[type(line)]] += 1
            case MemoryLine():
                self._counts["memories"] += len(line.entries)
            case Trailer():
                if (line.lines, line.counts) != (self.lines, self.counts):
                    raise ValueError("it counts other lines than there are")
                self.ended = True

    def _events(self, line: EventsLine) -> None:
        if self.session is None:
            raise ValueError("there are events of no session")
        if line.first != self.seq + 1 or not line.events:
            raise ValueError("its events are not the next ones")
        self._grow(self.session, line.events)

    def _grow(self, session: SessionLine, events: Sequence[msgspec.Raw]) -> None:
        if not self.trusted:
            check_events(events)
        self.seq += len(events)
        if self.seq > session.seq:
            raise ValueError("there are more events than the session has")
        if self.seq == session.seq:
            self._counts["sessions"] += 1
            self._counts["events"] += session.seq - session.dropped
            self.session = None

    def _data(self, line: DataLine) -> None:
        artifact = self.artifact
        if artifact is None:
            raise ValueError("there are data of no artifact")
        version = artifact.versions[self._version]
        chunks = chunks_of(version.size)
        last = self._chunk + 1 == chunks
        size = version.size - self._chunk * CHUNK if last else CHUNK
        if (line.version, line.chunk, len(line.data)) != (self._version, self._chunk, size):
            raise ValueError("its data are not the next ones")
        self._crc = crc32(line.data, self._crc)
        self._chunk += 1
        if not last:
            return
        if f"{self._crc:08x}" != version.crc:
            raise ValueError("the data of the version have another checksum")
        self._version, self._chunk, self._crc = self._version + 1, 0, 0
        if self._version == len(artifact.versions):
            self._counts["artifacts"] += 1
            self.artifact = None
