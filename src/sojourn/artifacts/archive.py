"""Protocol that export and import need of an artifact store, beyond `ArtifactStore`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol

from sojourn.artifacts.store import ArtifactPlace, Owner

Outcome = Literal["restored", "exists", "expired"]
"""What became of an artifact to restore; but for the first, nothing was written."""

UPLOADED = 3600.0
"""Seconds that data wait for the next, and for their artifact."""


_NOTHING: Mapping[str, bytes] = MappingProxyType({})


class ArchivedVersion(NamedTuple):
    """A version as it is kept.

    Attributes:
        created: seconds since the epoch.
        size: bytes of its data.
        crc: CRC-32 of its data, in hexadecimal.
        mime_type: what they are.
        metadata: a JSON object, as text.
        data: what its data are called there.
        more: members of its record that this version does not know, as JSON texts, for an export.
    """

    created: float
    size: int
    crc: str
    mime_type: str
    metadata: bytes
    data: str
    more: Mapping[str, bytes] = _NOTHING


class ArchivedArtifact(NamedTuple):
    """An artifact as it is kept.

    Attributes:
        expires: when it expires, seconds since the epoch; None for never.
        versions: oldest first.
        more: fields of it that this version does not know, for an export.
    """

    expires: float | None
    versions: Sequence[ArchivedVersion]
    more: Mapping[str, bytes] = _NOTHING


class ArtifactArchive(Protocol):
    """Artifacts as they are kept, out and in. Reading lengthens no lifetime."""

    def every_owner(self) -> AsyncIterator[Owner]:
        """Those who have artifacts, some perhaps twice. On a server it looks at all keys."""
        ...

    async def kept(self, place: ArtifactPlace) -> ArchivedArtifact | None:
        """An artifact without its data.

        Raises:
            CorruptRecord: it cannot be read.
            NewerFormat: a newer version wrote it, or one of its versions.
        """
        ...

    async def chunk(self, place: ArtifactPlace, version: ArchivedVersion, number: int) -> bytes:
        """A piece of the data of a version, of `records.CHUNK` bytes each but the last.

        Raises:
            CorruptRecord: it is not there.
        """
        ...

    async def upload(self, place: ArtifactPlace, name: str, number: int, chunk: bytes) -> None:
        """Send a piece of the data that shall be called `name`; it waits for an hour."""
        ...

    async def restore(self, place: ArtifactPlace, kept: ArchivedArtifact) -> Outcome:
        """Make an artifact of what was uploaded, in one step.

        Raises:
            Conflict: not all of it is there any more.
        """
        ...
