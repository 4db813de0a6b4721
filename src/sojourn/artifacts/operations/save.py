"""Save a version of an artifact; upload a chunk of one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from sojourn.artifacts import records
from sojourn.artifacts.inmemory import ArtifactInMemory, InMemoryArtifacts, VersionInMemory
from sojourn.artifacts.model import ArtifactPlace
from sojourn.calls.call import Call, Script, only
from sojourn.calls.coded import CodedStore
from sojourn.calls.operation import Operation
from sojourn.errors import Unavailable
from sojourn.ids import escape

if TYPE_CHECKING:
    from sojourn.artifacts.redis import RedisArtifacts

_SAVE, _UPLOAD = (Script.beside(__name__, name) for name in ("save", "upload"))

_UPLOAD_TTL = 600.0
"""Seconds that chunks of a version wait for the next one, and for the version."""

_TRIES = 8
"""How often chunks are sent again that a server has lost meanwhile."""


class SaveArtifact(Operation[int], frozen=True):
    """Add a version, which is visible when all of it is there; its number.

    Raises CorruptRecord, NewerFormat; KeyMissing where the version before is sealed, and this one
    would be plain.

    Attributes:
        place: of which artifact.
        data: the bytes.
        crc: CRC-32 of them, in hexadecimal.
        mime_type: what they are.
        metadata: a JSON object, encoded.
        created: seconds since the epoch; None for the store's own clock.
        operation_id: repeated with the same id it is the same version.
        stored: the version as it is stored; None when nothing is done to it.
    """

    place: ArtifactPlace
    data: bytes
    crc: str
    mime_type: str
    metadata: bytes
    created: float | None
    operation_id: str
    stored: records.StoredVersion | None = None

    async def encoded(self, coded: CodedStore) -> SaveArtifact:
        """As `Operation`."""
        owner, named = self.place.owner, records.id_of(self.place, self.operation_id)
        coder = await coded.codec.coder(owner.app, owner.user, create=True)
        count, how, chunks = records.chunks_of(len(self.data)), list[str](), list[bytes]()
        for number, chunk in enumerate(records.cut(self.data)):
            each = await records.encoded_chunk(
                coder, owner, named, chunk, number=number, count=count
            )
            how.append(each[0])
            chunks.append(each[1])
        row = records.VersionRow(
            *(len(self.data), count, self.crc),
            mime_type=self.mime_type,
            metadata=msgspec.Raw(self.metadata),
            encoding=records.encodings(how),
        )
        record = records.encoded_record(coder, self.place, named, row, sum(map(len, chunks)))
        return replace(self, stored=records.StoredVersion(record, chunks))

    async def on_server(self, server: RedisArtifacts) -> int:
        """One round trip up to a chunk, and one for each chunk of more."""
        ours, stored = server.keys.artifact(*self.place), self.stored or self._plain()
        name, chunks = escape(self.operation_id), stored.chunks
        saved, key = f"{ours.saved}:{name}", f"{ours.data}:{name}"
        one = chunks if len(chunks) == 1 else ()
        for _ in range(_TRIES):
            if not one and (done := await _upload_all(server, chunks, key, saved)) is not None:
                return records.number_of(done, saved)
            status, *number = await server.script(
                _SAVE,
                (ours.head, ours.names, saved, key),
                *(self.place.name, server.ttl),
                "" if self.created is None else self.created,
                *(stored.record, name, len(chunks), stored.size),
                *one,
                of_versions=(ours.data,),
                operation_id=self.operation_id,
            )
            if status == b"ok":
                return records.number_of(number[0], saved)
        raise Unavailable(
            f"{server.engine.where} loses chunks of {self.place.name!r} faster than it can be "
            "saved: it evicts keys. Nothing was saved."
        )

    def _plain(self) -> records.StoredVersion:
        chunks, size = [*records.cut(self.data)], len(self.data)
        record = records.record_of(size, len(chunks), self.crc, self.mime_type, self.metadata)
        return records.StoredVersion(record, chunks)

    async def in_memory(self, memory: InMemoryArtifacts) -> int:
        """As `Operation`."""
        operation = ("save", self.place, self.operation_id)
        if operation in memory.done:
            return memory.done[operation]
        found = memory.alive(self.place)
        if found is None:
            found = memory.artifacts[self.place] = ArtifactInMemory()
        found.expires = memory.expiry()
        created = memory.now() if self.created is None else self.created
        stored = self.stored or self._plain()
        found.versions.append(VersionInMemory(created, *stored, self.operation_id))
        return memory.remember(operation, len(found.versions) - 1)


class Uploaded(NamedTuple):
    """A chunk that was sent.

    Attributes:
        version: that of the save, if it was done before.
        encoding: how the chunk was written.
        size: bytes of it as it is stored.
    """

    version: bytes | None
    encoding: str
    size: int


class UploadChunk(Operation[Uploaded], frozen=True):
    """Send a chunk of a version that nobody sees yet.

    Attributes:
        place: of which artifact.
        name: of the data: the operation id of the save.
        number: which chunk, from 0.
        chunk: its bytes.
        ttl: seconds that it waits for the next one, and for the version.
        count: how many chunks there will be.
        encoding: how the chunk was written.
    """

    place: ArtifactPlace
    name: str
    number: int
    chunk: bytes
    ttl: float
    count: int
    encoding: str = ""

    async def encoded(self, coded: CodedStore) -> UploadChunk:
        """As `Operation`."""
        owner, named = self.place.owner, records.id_of(self.place, self.name)
        coder = await coded.codec.coder(owner.app, owner.user, create=True)
        encoding, chunk = await records.encoded_chunk(
            coder, owner, named, self.chunk, number=self.number, count=self.count
        )
        return replace(self, chunk=chunk, encoding=encoding)

    async def on_server(self, server: RedisArtifacts) -> Uploaded:
        """One round trip."""
        ours, name = server.keys.artifact(*self.place), escape(self.name)
        keys = (f"{ours.data}:{name}", f"{ours.saved}:{name}")
        done = await server.engine.run(_upload(*keys, self.number, self.chunk, self.ttl))
        return Uploaded(done, self.encoding, len(self.chunk))

    async def in_memory(self, memory: InMemoryArtifacts) -> Uploaded:
        """As `Operation`."""
        memory.uploads.setdefault((self.place, self.name), {})[self.number] = self.chunk
        return Uploaded(None, self.encoding, len(self.chunk))


async def _upload_all(
    server: RedisArtifacts, chunks: Sequence[bytes], key: str, saved: str
) -> bytes | None:
    """Send the chunks; the version, when this save was done before."""
    uploads = (
        _upload(key, saved, number, chunk, _UPLOAD_TTL) for number, chunk in enumerate(chunks)
    )
    async with aclosing(server.engine.stream(uploads, ahead=records.AHEAD)) as replies:
        async for done in replies:
            if done is not None:
                return done
    return None


def _upload(key: str, saved: str, number: int, chunk: bytes, ttl: float) -> Call[bytes | None]:
    args = (number, chunk, round(ttl * 1000))
    return Call("artifacts.upload", (key, saved), only, script=_UPLOAD, args=args)
