"""Save a version of an artifact; upload a chunk of one."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from sojourn.artifacts import records
from sojourn.artifacts.inmemory import ArtifactInMemory, InMemoryArtifacts
from sojourn.artifacts.model import ArtifactPlace
from sojourn.calls.call import Call, Script, only
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

    Raises CorruptRecord, NewerFormat.

    Attributes:
        place: of which artifact.
        data: the bytes.
        mime_type: what they are.
        metadata: a JSON object, encoded.
        created: seconds since the epoch; None for the store's own clock.
        operation_id: repeated with the same id it is the same version.
    """

    place: ArtifactPlace
    data: bytes
    mime_type: str
    metadata: bytes
    created: float | None
    operation_id: str

    async def on_server(self, server: RedisArtifacts) -> int:
        """One round trip up to a chunk, and one for each chunk of more."""
        ours, size = server.keys.artifact(*self.place), len(self.data)
        name, chunks = escape(self.operation_id), records.chunks_of(size)
        saved, key = f"{ours.saved}:{name}", f"{ours.data}:{name}"
        chunk = (self.data,) if chunks == 1 else ()
        # Megabytes are summed up beside the loop; zlib lets go of the interpreter.
        crc = crc32(*chunk) if chunk else await asyncio.to_thread(crc32, self.data)
        record = records.record_of(size, chunks, f"{crc:08x}", self.mime_type, self.metadata)
        for _ in range(_TRIES):
            if not chunk and (done := await self._upload(server, chunks, key, saved)) is not None:
                return records.number_of(done, saved)
            status, *number = await server.script(
                _SAVE,
                (ours.head, ours.names, saved, key),
                *(self.place.name, server.ttl),
                "" if self.created is None else self.created,
                *(record, name, chunks, size, *chunk),
                of_versions=(ours.data,),
                operation_id=self.operation_id,
            )
            if status == b"ok":
                return records.number_of(number[0], saved)
        raise Unavailable(
            f"{server.engine.where} loses chunks of {self.place.name!r} faster than it can be "
            "saved: it evicts keys. Nothing was saved."
        )

    async def _upload(
        self, server: RedisArtifacts, chunks: int, key: str, saved: str
    ) -> bytes | None:
        """Send the chunks; the version, when this save was done before."""
        size = records.CHUNK
        uploads = (
            _upload(key, saved, number, self.data[number * size : (number + 1) * size], _UPLOAD_TTL)
            for number in range(chunks)
        )
        async with aclosing(server.engine.stream(uploads, ahead=records.AHEAD)) as replies:
            async for done in replies:
                if done is not None:
                    return done
        return None

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
        found.versions.append(msgspec.structs.replace(self, created=created))
        return memory.remember(operation, len(found.versions) - 1)


class UploadChunk(Operation[bytes | None], frozen=True):
    """Send a chunk of a version that nobody sees yet; the version, if it was saved before.

    Attributes:
        place: of which artifact.
        name: of the data: the operation id of the save.
        number: which chunk, from 0.
        chunk: its bytes.
        ttl: seconds that it waits for the next one, and for the version.
    """

    place: ArtifactPlace
    name: str
    number: int
    chunk: bytes
    ttl: float

    async def on_server(self, server: RedisArtifacts) -> bytes | None:
        """One round trip."""
        ours, name = server.keys.artifact(*self.place), escape(self.name)
        keys = (f"{ours.data}:{name}", f"{ours.saved}:{name}")
        return await server.engine.run(_upload(*keys, self.number, self.chunk, self.ttl))

    async def in_memory(self, memory: InMemoryArtifacts) -> bytes | None:
        """As `Operation`."""
        memory.uploads.setdefault((self.place, self.name), {})[self.number] = self.chunk
        return None


def _upload(key: str, saved: str, number: int, chunk: bytes, ttl: float) -> Call[bytes | None]:
    args = (number, chunk, round(ttl * 1000))
    return Call("artifacts.upload", (key, saved), only, script=_UPLOAD, args=args)
