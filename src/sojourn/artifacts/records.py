"""A version's record on a server, as JSON."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from sojourn.artifacts.store import Draft, Stored
from sojourn.codecs import encode
from sojourn.errors import CorruptRecord

CHUNK = 512 * 1024
"""Bytes that travel at once."""


class _Record(msgspec.Struct):
    created: float
    size: int
    chunks: int
    crc: str
    mime_type: str
    metadata: dict[str, Any]


_decode = msgspec.json.Decoder(_Record).decode


def chunks_of(size: int) -> int:
    """How many chunks so many bytes have; none have one."""
    return max(1, math.ceil(size / CHUNK))


def record_of(draft: Draft, chunks: int, crc: int) -> bytes:
    """A version's record, behind `created`, which the script puts before it."""
    mime = encode(draft.mime_type, "mime_type")
    return b'"size":%d,"chunks":%d,"crc":"%08x","mime_type":%b,"metadata":%b}' % (
        *(len(draft.data), chunks, crc, mime, draft.metadata),
    )


def parse(text: bytes, version: int, key: str) -> tuple[Stored, str]:
    """What a record says of a version, and the sum of its data.

    Raises:
        CorruptRecord: it cannot be read.
    """
    try:
        record = _decode(text)
        if record.chunks != chunks_of(record.size):
            raise ValueError("its size is of another number of chunks")  # noqa: TRY301
    except (ValueError, RecursionError) as error:
        raise CorruptRecord(
            f"The record of a version in {key} cannot be read ({error}): others wrote it, or it "
            "was damaged. Delete the artifact.",
            key=key,
            raw=text,
        ) from error
    found = Stored(version, record.size, record.mime_type, record.metadata, record.created)
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
