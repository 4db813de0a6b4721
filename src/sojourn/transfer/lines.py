"""The lines of an archive: what each holds, and the sums that chain them.

docs/guides/moving-data.md documents the format. Whoever changes a line raises `FORMAT`.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TypeAlias

import msgspec

FORMAT = 1

GAP = b"null"
"""Stands in a log for an event that could not be read, so that the others keep their numbers."""

_TAIL = b',"sum":"%b"}'
_TAIL_BYTES = 42
"""Of `_TAIL` with 32 hexadecimal digits."""


class _Line(
    msgspec.Struct, tag_field="kind", forbid_unknown_fields=True, frozen=True, kw_only=True
):
    """Each line is an object of one kind; a member that is not known is refused."""


class Wanted(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What an archive holds of a store: what matches all of these; None is any."""

    app: str | None = None
    user: str | None = None
    since: float | None = None
    until: float | None = None
    cache: bool = False


class Header(_Line, frozen=True, tag="archive"):
    """The first line. `source` is the server's address, without secrets."""

    format: int
    created: float
    sojourn: str
    source: str
    namespace: str
    wanted: Wanted


class SessionLine(_Line, frozen=True, tag="session"):
    """A session and its first events. `seq - dropped` events belong to it: others may follow."""

    app: str
    user: str
    session: str
    incarnation: str
    epoch: int
    version: int
    seq: int
    dropped: int
    created: float
    updated: float
    ttl: float | None
    until: float | None
    expires: float | None
    log_id: str
    title: str
    status: str
    backend: str
    flow: str
    metadata: msgspec.Raw
    state: dict[str, msgspec.Raw]
    events: list[msgspec.Raw]


class EventsLine(_Line, frozen=True, tag="events"):
    """The next events of the session before; `first` is the number of the first."""

    first: int
    events: list[msgspec.Raw]


class VoidLine(_Line, frozen=True, tag="void"):
    """What was begun before changed while it was read: it counts for nothing."""


class StateLine(_Line, frozen=True, tag="state"):
    """The state of a user; of an app when `user` is null."""

    app: str
    user: str | None
    expires: float | None
    values: dict[str, msgspec.Raw]


class EntryRecord(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An entry of the memory. `vector` is float32 numbers, little-endian, in base64."""

    key: str
    value: msgspec.Raw
    metadata: msgspec.Raw
    text: str | None
    vector: bytes
    version: int
    created: float
    updated: float
    expires: float | None


class MemoryLine(_Line, frozen=True, tag="memory"):
    """Entries of one scope of the memory, in the order of their keys."""

    app: str
    scope: str
    name: str
    entries: list[EntryRecord]


class VersionRecord(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A version of an artifact, without its data."""

    created: float
    size: int
    crc: str
    mime_type: str
    metadata: msgspec.Raw


class ArtifactLine(_Line, frozen=True, tag="artifact"):
    """An artifact of a session, or of a user when `session` is null. Its data follow."""

    app: str
    user: str
    session: str | None
    name: str
    expires: float | None
    versions: list[VersionRecord]


class DataLine(_Line, frozen=True, tag="data"):
    """A piece of a version's data, of 512 KiB but the last, in base64."""

    version: int
    chunk: int
    data: bytes


class CacheLine(_Line, frozen=True, tag="cached"):
    """A cached value. It is fresh until one instant and kept until another."""

    tenant: str
    name: str
    value: msgspec.Raw
    fresh: float
    ends: float
    tags: list[str]


class UnreadableLine(_Line, frozen=True, tag="unreadable"):
    """Something of the store that could not be read and is not in the archive."""

    what: str


class Counts(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How much of what."""

    sessions: int = 0
    events: int = 0
    states: int = 0
    memories: int = 0
    artifacts: int = 0
    cached: int = 0
    unreadable: int = 0


class Trailer(_Line, frozen=True, tag="end"):
    """The last line: how many lines there are before it, and of what."""

    lines: int
    counts: Counts


Line: TypeAlias = (
    Header
    | SessionLine
    | EventsLine
    | VoidLine
    | StateLine
    | MemoryLine
    | ArtifactLine
    | DataLine
    | CacheLine
    | UnreadableLine
    | Trailer
)


class _Any(msgspec.Struct):
    """Of a line of whatever version, what it says of its format."""

    format: int = FORMAT


_encode = msgspec.json.Encoder().encode
_format = msgspec.json.Decoder(_Any).decode
_decode = msgspec.json.Decoder(Line).decode


def seal(line: Line, before: str) -> tuple[bytes, str]:
    """A line as it is written, without the newline, and its sum.

    Args:
        line: what it holds.
        before: the sum of the line before; empty for the first.
    """
    body = _encode(line)[:-1]
    own = _sum(body, before)
    return body + _TAIL % own.encode(), own


def unseal(data: bytes, before: str) -> tuple[Line, str]:
    """A line that was written, and its sum.

    Raises:
        ValueError: it is not as it was written, not in its place, or none that is known. The
            message quotes nothing of it.
    """
    body = data[:-_TAIL_BYTES]
    own = _sum(body, before)
    if data[-_TAIL_BYTES:] != _TAIL % own.encode():
        if not before and not body.startswith(b"{"):
            raise ValueError("it begins no archive of Sojourn")
        raise ValueError("its sum is wrong: it was damaged or changed, or lines before it are gone")
    try:
        if not before and (stated := _format(body + b"}").format) != FORMAT:
            raise ValueError(
                f"the archive is of format {stated}; this version of Sojourn reads {FORMAT}"
            )
        return _decode(body + b"}"), own
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except msgspec.ValidationError as error:
        raise ValueError(f"it is no line that this version knows ({error})") from None
    except msgspec.DecodeError:
        raise ValueError("it is no JSON object of a line") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _sum(body: bytes, before: str) -> str:
    digest = blake2b(before.encode(), digest_size=16)
    digest.update(body)
    return digest.hexdigest()
