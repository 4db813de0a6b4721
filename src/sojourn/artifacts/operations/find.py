"""Find a version of an artifact; load it with its data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import msgspec

from sojourn.artifacts import records
from sojourn.artifacts.model import Artifact, ArtifactPlace, ArtifactVersion
from sojourn.calls.call import Call, Script, only
from sojourn.calls.coded import CodedStore
from sojourn.calls.operation import Operation
from sojourn.codecs.codec import Codec, Coder
from sojourn.codecs.pieces import Turns
from sojourn.errors import CorruptRecord, Undecodable

if TYPE_CHECKING:
    from sojourn.artifacts.inmemory import InMemoryArtifacts
    from sojourn.artifacts.redis import RedisArtifacts

_FIND, _TOUCH = (Script.beside(__name__, name) for name in ("find", "touch"))

_SMALL = 64 * 1024
"""Bytes up to which data need not travel apart from small calls."""


class FoundVersion(NamedTuple):
    """A version, and where its data are.

    Attributes:
        number: of the version.
        record: as it is stored, or decoded.
        created: what stands beside an encoded record.
        head: the key of the artifact.
        key: the key of the data.
        unknown: how its data were written, if this process cannot take that off.
    """

    number: int
    record: bytes
    created: bytes
    head: str
    key: str
    unknown: str | None = None

    def version(self, *, mark: bool = False) -> ArtifactVersion:
        """What its record says.

        Args:
            mark: whether one that cannot be decoded here is marked as such, and not raised.

        Raises:
            CorruptRecord: it cannot be read.
            Undecodable: this process has not what it needs to decode it.
        """
        found, _ = records.parse(
            self.record, self.number, self.head, mark=mark, created=self.created
        )
        return msgspec.structs.replace(found, newer=True) if self.unknown is not None else found

    async def opened(self, place: ArtifactPlace, coded: CodedStore) -> FoundVersion:
        """The same with its record decoded.

        Raises:
            Undecodable: this process has not what it needs to decode it.
            Erased: its key was destroyed.
        """
        owner = place.owner
        coder = await coded.codec.coder(owner.app, owner.user, (self.record,))
        record = records.opened_record(coder, place, self.record, self.created)
        return self._replace(record=record, unknown=records.unknown_encoding(record, coded.codec))

    def marked(self, coder: Coder, place: ArtifactPlace, codec: Codec) -> FoundVersion:
        """The same, or as it is when this process has not what it needs to decode it."""
        try:
            record = records.opened_record(coder, place, self.record, self.created)
        except Undecodable:
            return self
        return self._replace(record=record, unknown=records.unknown_encoding(record, codec))


class FoundData(NamedTuple):
    """A version with its data.

    Attributes:
        found: the version.
        chunks: of its data, as they are stored, or decoded.
        flaw: what is wrong with them.
    """

    found: FoundVersion
    chunks: Sequence[bytes]
    flaw: str = ""


class FindArtifact(Operation[FoundVersion | None], frozen=True):
    """A version without its data; None when there is none.

    Raises CorruptRecord, and Undecodable when its record cannot be decoded; `newer` marks a version
    of which only the data cannot.

    Attributes:
        place: of which artifact.
        version: its number; None for the last.
    """

    place: ArtifactPlace
    version: int | None

    async def on_server(self, server: RedisArtifacts) -> FoundVersion | None:
        """One round trip."""
        return await _find(server, self.place, self.version, touch=False)

    async def in_memory(self, memory: InMemoryArtifacts) -> FoundVersion | None:
        """As `Operation`."""
        return _in_memory(memory, self.place, self.version)

    async def decoded(self, result: FoundVersion | None, coded: CodedStore) -> FoundVersion | None:
        """As `Operation`."""
        return None if result is None else await result.opened(self.place, coded)


class LoadArtifact(Operation[FoundData | None], frozen=True):
    """A version with its data, None when there is none. The artifact's lifetime starts again.

    Raises CorruptRecord, Undecodable.

    Attributes:
        place: of which artifact.
        version: its number; None for the last.
    """

    place: ArtifactPlace
    version: int | None

    async def on_server(self, server: RedisArtifacts) -> FoundData | None:
        """Two round trips up to a chunk, and one for each chunk of more."""
        before = ""
        while (found := await _find(server, self.place, self.version, touch=True)) is not None:
            data = await _read(server, found)
            if not data.flaw or found.key == before:  # not deleted meanwhile: it is there
                return data
            before = found.key
        return None

    async def in_memory(self, memory: InMemoryArtifacts) -> FoundData | None:
        """As `Operation`."""
        found = _in_memory(memory, self.place, self.version)
        if found is None:
            return None
        artifact = memory.artifacts[self.place]
        artifact.expires = memory.expiry()
        return FoundData(found, artifact.versions[found.number].chunks)

    async def decoded(self, result: FoundData | None, coded: CodedStore) -> FoundData | None:
        """As `Operation`. A chunk at a time: other tasks go on between."""
        if result is None:
            return None
        owner, stored = self.place.owner, result.found
        found = await stored.opened(self.place, coded)
        version, row = records.parse(found.record, found.number, found.head)
        what = f"version {version.version} of the artifact {self.place.name!r}"
        if found.unknown is not None:
            raise records.undecodable(found.unknown, f"The {what}")
        chunks, flaw, crc, turns = list[bytes](), result.flaw, 0, Turns()
        if not flaw:
            coder = await coded.codec.coder(owner.app, owner.user, (stored.record,))
            try:
                for number, chunk in enumerate(result.chunks):
                    await turns.rest()
                    part = await records.opened_chunk(coder, owner, row, chunk, number)
                    crc = crc32(part, crc)
                    chunks.append(part)
            except ValueError as error:
                flaw = f"is not as it was written ({error})"
            else:
                if sum(map(len, chunks)) != version.size or f"{crc:08x}" != row.crc:
                    flaw = "is not as it was written"
        if flaw:
            raise CorruptRecord(
                f"Version {version.version} of the artifact {self.place.name!r} {flaw}. Delete the "
                "artifact, or save it again.",
                key=found.key,
                raw=b"".join(result.chunks),
            )
        return FoundData(found, chunks)


def artifact_of(found: FoundData) -> Artifact:
    """What users get."""
    data = b"".join(found.chunks)
    return Artifact(data=data, **msgspec.structs.asdict(found.found.version()))


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
    found, record, created, data, *due = rest
    if due and touch:
        keys, args = (*keys, *records.data_keys((ours.data,), due)), (name, server.ttl)
        server.engine.send_nowait(
            Call[Any]("artifacts.touch", keys, only, script=_TOUCH, args=args)
        )
    key = f"{ours.data}:{data.decode(errors='replace')}"
    return FoundVersion(records.number_of(found, ours.head), record, created, ours.head, key)


def _in_memory(
    memory: InMemoryArtifacts, place: ArtifactPlace, version: int | None
) -> FoundVersion | None:
    artifact = memory.alive(place)
    if artifact is None:
        return None
    number = len(artifact.versions) - 1 if version is None else version
    if number >= len(artifact.versions):
        return None
    found = artifact.versions[number]
    return FoundVersion(number, *found.whole(), place.name, found.operation_id)


async def _read(server: RedisArtifacts, found: FoundVersion) -> FoundData:
    """The chunks, and whether one is lost. In pieces, so that others' calls go between."""
    size, count = records.extent(found.record)
    chunks = list[bytes]()
    reads = (
        records.read_chunk(found.key, number, separate_connection=size > _SMALL)
        for number in range(count)
    )
    async with aclosing(server.engine.stream(reads, ahead=records.AHEAD)) as replies:
        async for part in replies:
            if part is None:
                lost = f"has lost a part of its data ({len(chunks)} of {count})"
                return FoundData(found, chunks, lost)
            chunks.append(part)
    return FoundData(found, chunks)
