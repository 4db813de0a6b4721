"""Export and import artifacts in their stored form. Reading lengthens no lifetime."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from sojourn.artifacts import records
from sojourn.artifacts.archive import ArchivedArtifact, ArchivedVersion, Outcome
from sojourn.artifacts.inmemory import ArtifactInMemory, InMemoryArtifacts
from sojourn.artifacts.model import ArtifactPlace
from sojourn.artifacts.operations.save import SaveArtifact
from sojourn.calls.call import Argument, Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.codecs.growth import FORMAT, check_format, unknown
from sojourn.errors import Conflict, CorruptRecord, NewerFormat
from sojourn.ids import escape

if TYPE_CHECKING:
    from sojourn.artifacts.redis import RedisArtifacts

_RESTORE = Script.beside(__name__, "restore")

_OUTCOMES: dict[bytes, Outcome] = {b"ok": "restored", b"exists": "exists", b"expired": "expired"}


class ReadArchivedArtifact(Operation[ArchivedArtifact | None], frozen=True):
    """An artifact without its data, None when there is none.

    Raises CorruptRecord, and NewerFormat when a newer version wrote it, or a version of it.

    Attributes:
        place: which artifact.
    """

    place: ArtifactPlace

    async def on_server(self, server: RedisArtifacts) -> ArchivedArtifact | None:
        """One round trip."""
        head = server.keys.artifact(*self.place).head
        call: Call[list[bytes]] = Call(
            "artifacts.archived", (head,), only, [("HGETALL", head)], separate_connection=True
        )
        flat = await server.engine.run(call)
        if not flat:
            return None
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        try:
            check_format(fields.get(b"format"), f"The artifact {head}")
            count, expires = int(fields[b"versions"]), fields.get(b"expires")
            if count > len(fields):
                raise ValueError("it has not so many versions")  # noqa: TRY301
            names = [(b"version:%d" % number, b"data:%d" % number) for number in range(count)]
            versions = [
                _version(fields[record], fields[data], f"Version {number} in {head}")
                for number, (record, data) in enumerate(names)
            ]
            known = {b"format", b"versions", b"expires", *(each for pair in names for each in pair)}
            more = unknown(fields, known)
            return ArchivedArtifact(int(expires) / 1000 if expires else None, versions, more)
        except (LookupError, ValueError, RecursionError) as error:
            raise CorruptRecord(
                f"{head} cannot be read.", key=head, raw=b"\n".join(flat)
            ) from error

    async def in_memory(self, memory: InMemoryArtifacts) -> ArchivedArtifact | None:
        """As `Operation`."""
        found = memory.alive(self.place)
        if found is None:
            return None
        return ArchivedArtifact(
            found.expires,
            [
                ArchivedVersion(
                    *(each.created or 0.0, len(each.data), f"{crc32(each.data):08x}"),
                    *(each.mime_type, each.metadata, str(number)),
                )
                for number, each in enumerate(found.versions)
            ],
        )


class ReadChunk(Operation[bytes], frozen=True):
    """A chunk of the data of a version. Raises CorruptRecord when it is not there.

    Attributes:
        place: of which artifact.
        name: of the data, as `ArchivedVersion.data`.
        number: which chunk, from 0; all but the last have `records.CHUNK` bytes.
    """

    place: ArtifactPlace
    name: str
    number: int

    async def on_server(self, server: RedisArtifacts) -> bytes:
        """One round trip."""
        key = f"{server.keys.artifact(*self.place).data}:{self.name}"
        call = records.read_chunk(key, self.number, separate_connection=True)
        found = await server.engine.run(call)
        if found is None:
            raise CorruptRecord(f"{key} has lost a part of its data.", key=key, raw=b"")
        return found

    async def in_memory(self, memory: InMemoryArtifacts) -> bytes:
        """As `Operation`."""
        found, name = memory.alive(self.place), self.place.name
        if found is None:
            raise CorruptRecord(f"{name!r} has expired.", key=name, raw=b"")
        start = self.number * records.CHUNK
        return found.versions[int(self.name)].data[start : start + records.CHUNK]


class RestoreArtifact(Operation[Outcome], frozen=True):
    """Make an artifact of uploaded data, in one step. Raises Conflict when a part of them is gone.

    Attributes:
        place: which artifact.
        archived: its versions; their data were uploaded under the names in it.
    """

    place: ArtifactPlace
    archived: ArchivedArtifact

    async def on_server(self, server: RedisArtifacts) -> Outcome:
        """One round trip."""
        ours, archived, args = server.keys.artifact(*self.place), self.archived, list[Argument]()
        for each in archived.versions:
            chunks = records.chunks_of(each.size)
            record = records.record_of(each.size, chunks, each.crc, each.mime_type, each.metadata)
            created = b'{"created":%b,' % msgspec.json.encode(each.created)
            args += [escape(each.data), chunks, each.size, created + record]
        (status,) = await server.script(
            _RESTORE,
            (
                *(ours.head, ours.names),
                *(f"{ours.data}:{escape(each.data)}" for each in archived.versions),
            ),
            self.place.name,
            "" if archived.expires is None else round(archived.expires * 1000),
            *args,
            operation_id=archived.versions[0].data,
            separate_connection=True,
        )
        if status not in _OUTCOMES:
            raise Conflict(
                f"The artifact {self.place.name!r} was not restored: a part of what was uploaded "
                "is gone, perhaps evicted. Try once more."
            )
        return _OUTCOMES[status]

    async def in_memory(self, memory: InMemoryArtifacts) -> Outcome:
        """As `Operation`."""
        place, expires = self.place, self.archived.expires
        if expires is not None and expires <= memory.now():
            return "expired"
        if memory.alive(place) is not None:
            return "exists"
        versions: list[SaveArtifact] = []
        for each in self.archived.versions:
            chunks = memory.uploads.pop((place, each.data), {})
            data = b"".join(chunks[number] for number in sorted(chunks))
            versions.append(
                SaveArtifact(place, data, each.mime_type, each.metadata, each.created, each.data)
            )
        memory.artifacts[place] = ArtifactInMemory(expires, versions)
        return "restored"


def _version(record: bytes, data: bytes, what: str) -> ArchivedVersion:
    found = records.read(record, what)
    if found.encoding:
        raise NewerFormat(
            f"{what} has data with the encoding {found.encoding!r}, which this version of Sojourn "
            "cannot read. Upgrade it; nothing was changed.",
            found=str(FORMAT),
            known=str(FORMAT),
        )
    return ArchivedVersion(
        *(found.created, found.size, found.crc, found.mime_type),
        *(bytes(found.metadata), data.decode(), records.unknown_members(record)),
    )
