"""Values of export and import: artifacts in their stored form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

Outcome = Literal["restored", "exists", "expired"]
"""What became of an artifact to restore; but for the first, nothing was written."""

UPLOADED = 3600.0
"""Seconds that data wait for the next, and for their artifact."""

_NOTHING: Mapping[str, bytes] = MappingProxyType({})


class ArchivedVersion(NamedTuple):
    """A version in its stored form, decoded.

    Attributes:
        created: seconds since the epoch.
        size: bytes of its data.
        crc: CRC-32 of its data, in hexadecimal.
        mime_type: what they are.
        metadata: a JSON object, as text.
        data: the name of its data there.
        encoding: how its data are written there.
        id: to which they are bound there.
        stored: bytes of them there.
        more: members of its record that this version does not know, as JSON texts, for an export.
    """

    created: float
    size: int
    crc: str
    mime_type: str
    metadata: bytes
    data: str
    encoding: Any = ""
    id: str = ""
    stored: int = 0
    more: Mapping[str, bytes] = _NOTHING


class StoredRecord(NamedTuple):
    """The record of a version as it is stored.

    Attributes:
        record: the same.
        created: what stands beside an encoded one.
        data: the name of its data.
    """

    record: bytes
    created: bytes
    data: str


class ArchivedArtifact(NamedTuple):
    """An artifact as it is stored.

    Attributes:
        expires: when it expires, seconds since the epoch; None for never.
        versions: oldest first.
        more: fields of it that this version does not know, for an export.
        stored: its versions as they are stored, before they are decoded.
    """

    expires: float | None
    versions: Sequence[ArchivedVersion]
    more: Mapping[str, bytes] = _NOTHING
    stored: Sequence[StoredRecord] = ()
