"""Artifacts, encoded anew for a job that goes over all records.

A version's data and its record belong together, and who reads one goes on to the other. So other
data are sent under a new name, and one script then lets the record name them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from sojourn.artifacts import records
from sojourn.artifacts.keys import ArtifactRoomKeys
from sojourn.artifacts.model import ArtifactPlace, Owner
from sojourn.calls.call import Call, Script, only
from sojourn.codecs.growth import FORMAT, MARK, check_format
from sojourn.codecs.recoding import Recoder, Recoding, unless_same
from sojourn.engine.engine import Engine
from sojourn.errors import CorruptRecord, NewerFormat
from sojourn.ids import SessionKey, escape, new_operation_id, user_key

_RECODE = Script.beside("sojourn.artifacts.operations.recode")
_STAY_MS = 600_000
"""For how long data stay that are being read, or are not named yet."""
_VERSION = re.compile(rb"version:(\d+)")


class _VersionFields(NamedTuple):
    """What stands in an artifact's hash about a version."""

    number: str
    record: bytes
    created: bytes
    data: bytes

    @property
    def time(self) -> bytes:
        """When it was made, as it stands there."""
        found = re.match(rb'\{"created":([0-9.]+),', self.record)
        return self.created or (found[1] if found else b"0")


class ArtifactRecoding:
    """The content of this room's records, as a `RoomRecoding`.

    Args:
        engine: where calls go.
        keys: tell whose a record is.
    """

    def __init__(self, engine: Engine, keys: ArtifactRoomKeys) -> None:
        self._engine = engine
        self._keys = keys

    async def fields(
        self,
        kind: str,  # noqa: ARG002 - there is one
        key: str,
        fields: Mapping[bytes, bytes],
        recoding: Recoding,
    ) -> Mapping[bytes, bytes]:
        """Replace all versions that are to be written otherwise; the hash is then another."""
        check_format(fields.get(b"format"), key)
        app, user, session, name = self._keys.named(key)
        owner: Owner = SessionKey.of(app, user, session) if session else user_key(app, user)
        place = ArtifactPlace(owner, name)
        for field, record in fields.items():
            if found := _VERSION.fullmatch(field):
                number = found[1].decode()
                created = fields.get(b"created:" + found[1], b"")
                data = fields.get(b"data:" + found[1], b"")
                stored = _VersionFields(number, record, created, data)
                if stored.data:
                    await self._version(place, key, stored, recoding)
        return fields

    async def _version(
        self, place: ArtifactPlace, key: str, stored: _VersionFields, recoding: Recoding
    ) -> None:
        owner = place.owner
        recoder = await recoding.recoder(owner.app, owner.user, [stored.record])
        opened = records.opened_record(recoder.reads, place, stored.record, stored.created)
        row = records.parse(opened, int(stored.number), key)[1]
        if records.unknown_members(opened):
            raise NewerFormat(
                f"The record of a version in {key} has members that this version of Sojourn does "
                "not know: upgrade it. Nothing was changed.",
                found=str(FORMAT),
                known=str(FORMAT),
            )
        former = f"{key}:data:{stored.data.decode()}"
        recoder = await recoding.recoder(owner.app, owner.user, _headers(row))
        if await self._is_same(recoder, place, stored, row, former):
            return
        name = new_operation_id()
        of = records.id_of(place, name)
        other = f"{key}:data:{escape(name)}"
        each, size = list[str](), 0
        for number in range(row.chunks):
            plain = await self._chunk(recoder, owner, row, former, number)
            encoding, chunk = await records.encoded_chunk(
                recoder.writes, owner, of, plain, number=number, count=row.chunks
            )
            each.append(encoding)
            size += len(chunk)
            commands = [("HSET", other, number, chunk), ("PEXPIRE", other, _STAY_MS)]
            await self._engine.run(Call("artifacts.upload", (other,), list, commands))
        row.encoding = records.encodings(each)
        record = records.encoded_record(recoder.writes, place, of, row, size)
        keys = (key, former, other)
        args = (
            *(stored.number, stored.record, stored.created, stored.data),
            *(record, stored.time, escape(name), _STAY_MS),
        )
        call: Call[int] = Call("artifacts.recode", keys, only, script=_RECODE, args=args)
        if await self._engine.run(call):
            recoding.replaced += 1
        else:
            recoding.missed += 1
            await self._engine.run(
                Call("artifacts.unlink", (other,), only, commands=[("UNLINK", other)])
            )

    async def _is_same(
        self,
        recoder: Recoder,
        place: ArtifactPlace,
        stored: _VersionFields,
        row: records.VersionRow,
        former: str,
    ) -> bool:
        """Whether a version is written as it would be now: its record, and its first chunk."""
        plain = await self._chunk(recoder, place.owner, row, former, 0)
        encoding, _ = await records.encoded_chunk(
            recoder.writes, place.owner, row.id, plain, number=0, count=row.chunks
        )
        if encoding != records.encoding_of(row.encoding, 0):
            return False
        record = records.encoded_record(recoder.writes, place, row.id, row, 0)
        if record[:1] != MARK:
            return stored.record[:1] != MARK
        return unless_same(stored.record, record) is stored.record

    async def _chunk(
        self, recoder: Recoder, owner: Owner, row: records.VersionRow, data: str, number: int
    ) -> bytes:
        """A chunk of a version's data.

        Raises:
            CorruptRecord: it is not there.
        """
        call = records.read_chunk(data, number, separate_connection=True)
        chunk = await self._engine.run(call)
        if chunk is None:
            raise CorruptRecord(
                f"Chunk {number} of {data} is not there: it was evicted, or others removed it.",
                key=data,
                raw=b"",
            )
        return await records.opened_chunk(recoder.reads, owner, row, chunk, number)


def _headers(row: records.VersionRow) -> list[bytes]:
    """Headers that name what the data need to be decoded, as the records of values do."""
    each = {records.encoding_of(row.encoding, number) for number in range(row.chunks)}
    return [b"\xff1 %b\n" % one.encode() for one in each if one]
