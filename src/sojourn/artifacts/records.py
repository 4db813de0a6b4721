"""A version's record on a server, as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from sojourn.artifacts.model import ArtifactVersion
from sojourn.calls.call import Call, only
from sojourn.codecs import encode
from sojourn.codecs.growth import plain
from sojourn.errors import CorruptRecord, NewerFormat

BINARY = "application/octet-stream"
"""What data are of which nothing else is said."""

CHUNK = 512 * 1024
"""Bytes that travel at once."""

AHEAD = 4
"""Chunks that are under way at once: a distant server need not be waited for with each."""


class VersionRow(msgspec.Struct):
    """What stands in the record of a version; what else does is another version's.

    Attributes:
        size: bytes of its data.
        chunks: in how many pieces they are.
        crc: CRC-32 of its data, in hexadecimal.
        created: seconds since the epoch.
        mime_type: what its data are.
        metadata: a JSON object, as text.
        encoding: how its data were written, whatever form that has; empty for plain ones.
    """

    size: int
    chunks: int
    crc: str
    created: float = 0.0
    mime_type: str = BINARY
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    encoding: Any = ""


_decode = msgspec.json.Decoder(VersionRow).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode


def read(text: bytes, what: str) -> VersionRow:
    """A record.

    Args:
        text: as it is stored.
        what: names the version in an error.

    Raises:
        NewerFormat: it has an encoding, or a newer format.
        ValueError: it cannot be read.
    """
    record = _decode(plain(text, what))
    if not record.encoding and record.chunks != chunks_of(record.size):
        raise ValueError("its size is of another number of chunks")
    return record


def unknown_members(text: bytes) -> dict[str, bytes]:
    """The members of a record that this version does not know, as JSON texts."""
    return {
        name: bytes(value)
        for name, value in _members(text).items()
        if name not in VersionRow.__struct_fields__
    }


def chunks_of(size: int) -> int:
    """How many chunks so many bytes have; none have one."""
    return max(1, math.ceil(size / CHUNK))


def record_of(size: int, chunks: int, crc: str, mime_type: str, metadata: bytes) -> bytes:
    """A version's record, behind `created`."""
    mime = encode(mime_type, "mime_type")
    return b'"size":%d,"chunks":%d,"crc":"%b","mime_type":%b,"metadata":%b}' % (
        *(size, chunks, crc.encode(), mime, metadata),
    )


def read_chunk(key: str, number: int, *, separate_connection: bool) -> Call[bytes | None]:
    """The call that reads a chunk of data."""
    commands = [("HGET", key, number)]
    return Call("artifacts.read", (key,), only, commands, separate_connection=separate_connection)


def data_keys(starts: Sequence[str], names: Sequence[bytes]) -> list[str]:
    """Keys of data: of each name, one with each start."""
    texts = [name.decode(errors="replace") for name in names]
    return [f"{start}:{text}" for text in texts for start in starts]


def parse(
    text: bytes, version: int, key: str, *, mark: bool = False
) -> tuple[ArtifactVersion, str]:
    """What a record says of a version, and the sum of its data.

    Args:
        text: the record.
        version: its number.
        key: of the artifact.
        mark: whether a record that a newer version wrote is marked as such, and not raised.

    Raises:
        CorruptRecord: it cannot be read.
        NewerFormat: a newer version wrote it.
    """
    try:
        record = read(text, f"The record of version {version} in {key}")
        metadata = _object(record.metadata)
    except NewerFormat:
        if mark:
            return ArtifactVersion(
                version=version, size=0, mime_type="", metadata={}, created=0.0, newer=True
            ), ""
        raise
    except (ValueError, RecursionError) as error:
        raise CorruptRecord(
            f"The record of a version in {key} cannot be read ({error}): others wrote it, or it "
            "was damaged. Delete the artifact.",
            key=key,
            raw=text,
        ) from error
    found = ArtifactVersion(
        version=version,
        size=record.size,
        mime_type=record.mime_type,
        metadata=metadata,
        created=record.created,
        newer=bool(record.encoding),
    )
    return found, record.crc


def number_of(text: bytes, key: str) -> int:
    """A number that a key should hold.

    Raises:
        CorruptRecord: it is none.
    """
    try:
        return int(text)
    except ValueError as error:
        raise CorruptRecord(
            f"{key} should hold a number: others wrote it.", key=key, raw=text
        ) from error
