"""Find a version of an artifact; load it with its data."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import msgspec

from sojourn.artifacts import records
from sojourn.artifacts.model import Artifact, ArtifactPlace, ArtifactVersion
from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.codecs.growth import FORMAT
from sojourn.errors import CorruptRecord, NewerFormat

if TYPE_CHECKING:
    from sojourn.artifacts.inmemory import InMemoryArtifacts
    from sojourn.artifacts.redis import RedisArtifacts

_FIND, _TOUCH = (Script.beside(__name__, name) for name in ("find", "touch"))

_SMALL = 64 * 1024
"""Bytes up to which data need not travel apart from small calls."""


class FoundVersion(NamedTuple):
    """A version, and where its data are."""

    version: ArtifactVersion
    crc: str
    key: str


class FindArtifact(Operation[ArtifactVersion | None], frozen=True):
    """A version without its data; None when there is none.

    Raises CorruptRecord, and NewerFormat when its record cannot be read; `newer` marks a version
    of which only the data cannot.

    Attributes:
        place: of which artifact.
        version: its number; None for the last.
    """

    place: ArtifactPlace
    version: int | None

    async def on_server(self, server: RedisArtifacts) -> ArtifactVersion | None:
        """One round trip."""
        found = await _find(server, self.place, self.version, touch=False)
        return None if found is None else found.version

    async def in_memory(self, memory: InMemoryArtifacts) -> ArtifactVersion | None:
        """As `Operation`."""
        found = memory.alive(self.place)
        return None if found is None else found.version(self.version)


class LoadArtifact(Operation[Artifact | None], frozen=True):
    """A version with its data, None when there is none. The artifact's lifetime starts again.

    Raises CorruptRecord, NewerFormat.

    Attributes:
        place: of which artifact.
        version: its number; None for the last.
    """

    place: ArtifactPlace
    version: int | None

    async def on_server(self, server: RedisArtifacts) -> Artifact | None:
        """Two round trips up to a chunk, and one for each chunk of more."""
        before, name = "", self.place.name
        while (found := await _find(server, self.place, self.version, touch=True)) is not None:
            version = found.version
            if version.newer:
                raise NewerFormat(
                    f"The data of version {version.version} of the artifact {name!r} have an "
                    "encoding that this version of Sojourn cannot read. Upgrade it; nothing was "
                    "changed.",
                    found=str(FORMAT),
                    known=str(FORMAT),
                )
            data, flaw = await _read(server, found)
            if not flaw:
                return Artifact(data=data, **msgspec.structs.asdict(version))
            if found.key == before:  # it was not deleted meanwhile: looked at again, it is there
                raise CorruptRecord(
                    f"Version {version.version} of the artifact {name!r} {flaw}. Delete the "
                    "artifact, or save it again.",
                    key=found.key,
                    raw=data,
                )
            before = found.key
        return None

    async def in_memory(self, memory: InMemoryArtifacts) -> Artifact | None:
        """As `Operation`."""
        found = memory.alive(self.place)
        version = None if found is None else found.version(self.version)
        if found is None or version is None:
            return None
        found.expires = memory.expiry()
        data = found.versions[version.version].data
        return Artifact(data=data, **msgspec.structs.asdict(version))


async def _find(
    server: RedisArtifacts, place: ArtifactPlace, version: int | None, *, touch: bool
) -> FoundVersion | None:
    """A version as a server has it. Nobody waits for the touch."""
    ours, name = server.keys.artifact(*place), place.name
    number = "" if version is None else version
    keys: tuple[str, ...] = (ours.head, ours.names)
    status, *rest = await server.script(_FIND, keys, name, number, server.ttl)
    if status == b"missing":
        return None
    found, record, data, *due = rest
    if due and touch:
        keys, args = (*keys, *records.data_keys((ours.data,), due)), (name, server.ttl)
        server.engine.send_nowait(
            Call[Any]("artifacts.touch", keys, only, script=_TOUCH, args=args)
        )
    parsed, crc = records.parse(record, records.number_of(found, ours.head), ours.head)
    return FoundVersion(parsed, crc, f"{ours.data}:{data.decode(errors='replace')}")


async def _read(server: RedisArtifacts, found: FoundVersion) -> tuple[bytes, str]:
    """The data, and what is wrong with them. In pieces, so that others' calls go between."""
    size, key, parts, crc = found.version.size, found.key, list[bytes](), 0
    chunks = records.chunks_of(size) if size else 0
    reads = (
        records.read_chunk(key, number, separate_connection=size > _SMALL)
        for number in range(chunks)
    )
    async with aclosing(server.engine.stream(reads, ahead=records.AHEAD)) as replies:
        async for part in replies:
            if part is None:
                lost = f"has lost a part of its data ({len(parts)} of {chunks})"
                return b"".join(parts), lost
            parts.append(part)
            crc = crc32(part, crc)
    data = b"".join(parts)
    if len(data) != size or f"{crc:08x}" != found.crc:
        return data, "is not as it was written"
    return data, ""
