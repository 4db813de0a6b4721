"""The lines of an archive: what each holds.

docs/guides/moving-data.md documents the format and how it grows: a member that is added has a
default, and what a version does not know it passes over. Only what no older version could bear
raises `FORMAT`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from sojourn.artifacts.records import BINARY
from sojourn.sessions.record import FIELDS

FORMAT = 1

More: TypeAlias = dict[str, msgspec.Raw]
"""Fields of a record that the version which exported did not know: text, or `{"$bytes": …}`."""

NO_OBJECT = msgspec.Raw(b"{}")


class _Line(msgspec.Struct, tag_field="kind", frozen=True, kw_only=True, omit_defaults=True):
    """Each line is an object of one kind. A member that is as its default is not written."""


class Selection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an archive holds of a store: what matches all of these; None is any."""

    app: str | None = None
    user: str | None = None
    since: float | None = None
    until: float | None = None
    cache: bool = False


class Header(_Line, frozen=True, kw_only=True, omit_defaults=False, tag="archive"):
    """The first line. `source` is the server's address, without secrets.

    `format` is a major version, or text: `"1.2"`.
    """

    format: int | str = FORMAT
    created: float
    sojourn: str = ""
    source: str = ""
    namespace: str = ""
    wanted: Selection = Selection()


class _SessionLine(_Line, frozen=True, kw_only=True):
    """What stands in the line of a session before the fields that applications set."""

    app: str
    user: str
    session: str
    incarnation: str = ""
    epoch: int = 0
    version: int
    seq: int
    dropped: int = 0
    created: float
    updated: float
    ttl: float | None
    until: float | None = None
    expires: float | None
    log_id: str = ""


if TYPE_CHECKING:
    _Recorded = _SessionLine
else:
    _Recorded = msgspec.defstruct(
        "_Recorded",
        [(name, field.member, field.absent) for name, field in FIELDS.items()],
        bases=(_SessionLine,),
        frozen=True,
        kw_only=True,
        omit_defaults=True,
        tag_field="kind",
    )


class SessionLine(_Recorded, frozen=True, kw_only=True, tag="session"):
    """A session and its first events. `seq - dropped` events belong to it: others may follow.

    It has a member for each of `FIELDS`.
    """

    state: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict[str, msgspec.Raw])
    more: More = msgspec.field(default_factory=dict[str, msgspec.Raw])
    events: list[msgspec.Raw] = msgspec.field(default_factory=list[msgspec.Raw])


class EventsLine(_Line, frozen=True, kw_only=True, tag="events"):
    """The next events of the session before; `first` is the number of the first."""

    first: int
    events: list[msgspec.Raw]


class VoidLine(_Line, frozen=True, kw_only=True, tag="void"):
    """What was begun before changed while it was read: it counts for nothing."""


class StateLine(_Line, frozen=True, kw_only=True, tag="state"):
    """The state of a user; of an app when `user` is null."""

    app: str
    user: str | None
    expires: float | None
    values: dict[str, msgspec.Raw]
    more: More = {}


class EntryRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry of the memory. `vector` is float32 numbers, little-endian, in base64."""

    key: str
    value: msgspec.Raw
    metadata: msgspec.Raw = NO_OBJECT
    text: str | None = None
    tenant: str = ""
    vector: bytes = b""
    version: int
    created: float
    updated: float
    expires: float | None
    more: More = {}


class MemoryLine(_Line, frozen=True, kw_only=True, tag="memory"):
    """Entries of one scope of the memory, in the order of their keys."""

    app: str
    scope: str
    name: str
    entries: list[EntryRecord]


class VersionRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version of an artifact, without its data. Its `more` are JSON, as text."""

    created: float
    size: int
    crc: str
    mime_type: str = BINARY
    metadata: msgspec.Raw = NO_OBJECT
    more: More = {}


class ArtifactLine(_Line, frozen=True, kw_only=True, tag="artifact"):
    """An artifact of a session, or of a user when `session` is null. Its data follow."""

    app: str
    user: str
    session: str | None
    name: str
    expires: float | None
    versions: list[VersionRecord]
    more: More = {}


class DataLine(_Line, frozen=True, kw_only=True, tag="data"):
    """A piece of a version's data, of 512 KiB but the last, in base64."""

    version: int
    chunk: int
    data: bytes


class CacheLine(_Line, frozen=True, kw_only=True, tag="cached"):
    """A cached value. It is fresh until one instant and kept until another."""

    tenant: str
    name: str
    value: msgspec.Raw
    fresh: float
    ends: float
    tags: list[str] = []
    more: More = {}


class RoomLine(_Line, frozen=True, kw_only=True, tag="record"):
    """A record of a room from outside the package; of an app when `user` is null."""

    room: str
    app: str
    user: str | None
    key: str
    value: msgspec.Raw


class UnreadableLine(_Line, frozen=True, kw_only=True, tag="unreadable"):
    """Something of the store that could not be read and is not in the archive."""

    what: str


class NewerLine(_Line, frozen=True, kw_only=True, tag="newer"):
    """Something of the store that the process could not decode, and that is not in the archive.

    A newer version wrote it, or its key was not there.
    """

    what: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what.

    `records` are those of rooms from outside the package; `unreadable` are records that could not
    be read, `newer` those that could not be decoded: a newer version wrote them, or their key was
    not there.
    """

    sessions: int = 0
    events: int = 0
    states: int = 0
    memories: int = 0
    artifacts: int = 0
    cached: int = 0
    records: int = 0
    unreadable: int = 0
    newer: int = 0


class Trailer(_Line, frozen=True, kw_only=True, tag="end"):
    """The last line: how many lines there are before it, and of what."""

    lines: int
    counts: Counts


Known: TypeAlias = (
    Header
    | SessionLine
    | EventsLine
    | VoidLine
    | StateLine
    | MemoryLine
    | ArtifactLine
    | DataLine
    | CacheLine
    | RoomLine
    | UnreadableLine
    | NewerLine
    | Trailer
)


class UnknownLine(msgspec.Struct, frozen=True):
    """A line of a kind that this version does not know: it is passed over."""

    kind: str


Line: TypeAlias = Known | UnknownLine
