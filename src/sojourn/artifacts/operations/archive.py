"""Export and import artifacts in their stored form. Reading lengthens no lifetime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from sojourn.artifacts import records
from sojourn.artifacts.archive import ArchivedArtifact, ArchivedVersion, Outcome, StoredRecord
from sojourn.artifacts.inmemory import ArtifactInMemory, InMemoryArtifacts, VersionInMemory
from sojourn.artifacts.model import ArtifactPlace
from sojourn.calls.call import Argument, Call, Script, only
from sojourn.calls.coded import CodedStore
from sojourn.calls.operation import Operation
from sojourn.codecs.growth import check_format, unknown
from sojourn.errors import Conflict, CorruptRecord
from sojourn.ids import escape

if TYPE_CHECKING:
    from sojourn.artifacts.redis import RedisArtifacts

_RESTORE = Script.beside(__name__, "restore")

_OUTCOMES: dict[bytes, Outcome] = {b"ok": "restored", b"exists": "exists", b"expired": "expired"}


class ReadArchivedArtifact(Operation[ArchivedArtifact | None], frozen=True):
    """An artifact without its data, None when there is none.

    Raises CorruptRecord, and Undecodable when it, or a version of it, cannot be decoded here.

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
            names = [
                (b"version:%d" % number, b"created:%d" % number, b"data:%d" % number)
                for number in range(count)
            ]
            stored = [
                StoredRecord(fields[record], fields.get(created, b""), fields[data].decode())
                for record, created, data in names
            ]
            known = {
                b"format",
                b"versions",
                b"expires",
                *(each for three in names for each in three),
            }
            more = unknown(fields, known)
            return ArchivedArtifact(int(expires) / 1000 if expires else None, [], more, stored)
        except (LookupError, ValueError) as error:
            raise _corrupt(head, b"\n".join(flat)) from error

    async def in_memory(self, memory: InMemoryArtifacts) -> ArchivedArtifact | None:
        """As `Operation`."""
        found = memory.alive(self.place)
        if found is None:
            return None
        stored = [
            StoredRecord(*each.whole(), str(number)) for number, each in enumerate(found.versions)
        ]
        return ArchivedArtifact(found.expires, [], stored=stored)

    async def decoded(
        self, result: ArchivedArtifact | None, coded: CodedStore
    ) -> ArchivedArtifact | None:
        """As `Operation`."""
        if result is None:
            return None
        owner, name = self.place.owner, self.place.name
        texts = [each.record for each in result.stored]
        coder = await coded.codec.coder(owner.app, owner.user, texts)
        versions = list[ArchivedVersion]()
        for number, each in enumerate(result.stored):
            what = f"Version {number} of the artifact {name!r}"
            try:
                text = records.opened_record(coder, self.place, each.record, each.created)
                version = _version(text, each.data, what)
            except (ValueError, RecursionError) as error:
                raise _corrupt(name, each.record) from error
            unknown_one = records.unknown_encoding(text, coded.codec)
            if unknown_one is not None:
                raise records.undecodable(unknown_one, what)
            lead = records.lead_of(each.record)
            versions.append(version._replace(stored=lead.bytes if lead else version.size))
        return result._replace(versions=versions, stored=())


class ReadChunk(Operation[bytes], frozen=True):
    """A chunk of the data of a version. Raises CorruptRecord when it is not there.

    Attributes:
        place: of which artifact.
        version: of it, decoded.
        number: which chunk, from 0; all but the last have `records.CHUNK` bytes.
    """

    place: ArtifactPlace
    version: ArchivedVersion
    number: int

    async def on_server(self, server: RedisArtifacts) -> bytes:
        """One round trip."""
        key = f"{server.keys.artifact(*self.place).data}:{self.version.data}"
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
        return found.versions[int(self.version.data)].chunks[self.number]

    async def decoded(self, result: bytes, coded: CodedStore) -> bytes:
        """As `Operation`."""
        owner, version = self.place.owner, self.version
        coder = await coded.codec.coder(owner.app, owner.user)
        row = records.VersionRow(
            *(version.size, records.chunks_of(version.size), version.crc),
            encoding=version.encoding,
            id=version.id,
        )
        try:
            return await records.opened_chunk(coder, owner, row, result, self.number)
        except ValueError as error:
            raise CorruptRecord(
                f"The data of a version of {self.place.name!r} are not as they were written.",
                key=version.data,
                raw=result,
            ) from error


class RestoreArtifact(Operation[Outcome], frozen=True):
    """Make an artifact of uploaded data, in one step. Raises Conflict when a part of them is gone.

    Attributes:
        place: which artifact.
        archived: its versions; their data were uploaded under the names in it.
        records: of the versions as they are stored; None when nothing is done to them.
    """

    place: ArtifactPlace
    archived: ArchivedArtifact
    records: Sequence[bytes] | None = None

    async def encoded(self, coded: CodedStore) -> RestoreArtifact:
        """As `Operation`."""
        owner, made = self.place.owner, list[bytes]()
        coder = await coded.codec.coder(owner.app, owner.user, create=True)
        for each in self.archived.versions:
            row = records.VersionRow(
                *(each.size, records.chunks_of(each.size), each.crc),
                mime_type=each.mime_type,
                metadata=msgspec.Raw(each.metadata),
                encoding=each.encoding,
            )
            named = records.id_of(self.place, each.data)
            made.append(records.encoded_record(coder, self.place, named, row, each.stored))
        return replace(self, records=made)

    def _records(self) -> Sequence[bytes]:
        return self.records or [
            records.record_of(
                *(each.size, records.chunks_of(each.size), each.crc),
                *(each.mime_type, each.metadata, each.encoding),
            )
            for each in self.archived.versions
        ]

    async def on_server(self, server: RedisArtifacts) -> Outcome:
        """One round trip."""
        ours, archived, args = server.keys.artifact(*self.place), self.archived, list[Argument]()
        for each, record in zip(archived.versions, self._records(), strict=True):
            created = msgspec.json.encode(each.created)
            chunks = records.chunks_of(each.size)
            args += [escape(each.data), chunks, each.stored, record, created]
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
        versions: list[VersionInMemory] = []
        for each, record in zip(self.archived.versions, self._records(), strict=True):
            chunks = memory.uploads.pop((place, each.data), {})
            data = [chunks[number] for number in sorted(chunks)]
            versions.append(VersionInMemory(each.created, record, data, each.data))
        memory.artifacts[place] = ArtifactInMemory(expires, versions)
        return "restored"


def _version(text: bytes, data: str, what: str) -> ArchivedVersion:
    """A version, of its decoded record."""
    found = records.read(text, what)
    return ArchivedVersion(
        *(found.created, found.size, found.crc, found.mime_type),
        *(bytes(found.metadata), data, found.encoding, found.id),
        more=records.unknown_members(text),
    )


def _corrupt(key: str, raw: bytes) -> CorruptRecord:
    return CorruptRecord(f"{key} cannot be read.", key=key, raw=raw)
