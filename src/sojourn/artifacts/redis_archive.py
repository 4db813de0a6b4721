"""Export and import of artifacts on a server, in their stored form."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import msgspec

from sojourn.artifacts import records
from sojourn.artifacts.archive import UPLOADED, ArchivedArtifact, ArchivedVersion, Outcome
from sojourn.artifacts.keys import ArtifactRoomKeys
from sojourn.artifacts.store import ArtifactPlace, Owner
from sojourn.calls.call import Argument, Call, Script, only
from sojourn.codecs.growth import FORMAT, check_format, unknown
from sojourn.engine.engine import Engine
from sojourn.engine.scan import scan
from sojourn.errors import Conflict, CorruptRecord, NewerFormat
from sojourn.ids import SessionKey, UserKey, escape

_LUA = files("sojourn.artifacts") / "lua"
_UPLOAD, _RESTORE = (Script.load(_LUA, name) for name in ("upload", "restore"))


_encode = msgspec.json.Encoder().encode


class RedisArtifactArchive:
    """An `ArtifactArchive` over an engine."""

    def __init__(self, engine: Engine, keys: ArtifactRoomKeys) -> None:
        self._engine = engine
        self._keys = keys

    async def every_owner(self) -> AsyncIterator[Owner]:
        """One round trip for each 500 keys."""
        async for key in scan(self._engine, self._keys.pattern("artifacts")):
            try:
                app, user, *session = self._keys.named(key)
                yield SessionKey.of(app, user, *session) if session else UserKey.of(app, user)
            except ValueError:  # none of ours
                continue

    async def kept(self, place: ArtifactPlace) -> ArchivedArtifact | None:
        """One round trip."""
        head = self._keys.artifact(*place).head
        call: Call[list[bytes]] = Call(
            "artifacts.kept", (head,), only, commands=[("HGETALL", head)], separate_connection=True
        )
        flat = await self._engine.run(call)
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

    async def chunk(self, place: ArtifactPlace, version: ArchivedVersion, number: int) -> bytes:
        """One round trip."""
        key = f"{self._keys.artifact(*place).data}:{version.data}"
        call: Call[bytes | None] = Call(
            "artifacts.read",
            (key,),
            only,
            commands=[("HGET", key, number)],
            separate_connection=True,
        )
        found = await self._engine.run(call)
        if found is None:
            raise CorruptRecord(f"{key} has lost a part of its data.", key=key, raw=b"")
        return found

    async def upload(self, place: ArtifactPlace, name: str, number: int, chunk: bytes) -> None:
        """One round trip."""
        ours = self._keys.artifact(*place)
        call: Call[Any] = Call(
            name="artifacts.upload",
            keys=(f"{ours.data}:{escape(name)}", f"{ours.saved}:{escape(name)}"),
            read=only,
            script=_UPLOAD,
            args=(number, chunk, round(UPLOADED * 1000)),
            separate_connection=True,
        )
        await self._engine.run(call)

    async def restore(self, place: ArtifactPlace, kept: ArchivedArtifact) -> Outcome:
        """One round trip."""
        ours = self._keys.artifact(*place)
        expires = "" if kept.expires is None else round(kept.expires * 1000)
        args: list[Argument] = [place.name, expires]
        for each in kept.versions:
            chunks = records.chunks_of(each.size)
            record = {
                "created": each.created,
                "size": each.size,
                "chunks": chunks,
                "crc": each.crc,
                "mime_type": each.mime_type,
                "metadata": msgspec.Raw(each.metadata),
            }
            args += [escape(each.data), chunks, each.size, _encode(record)]
        call: Call[list[bytes]] = Call(
            name="artifacts.restore",
            keys=(
                *(ours.head, ours.names),
                *(f"{ours.data}:{escape(each.data)}" for each in kept.versions),
            ),
            read=only,
            script=_RESTORE,
            args=args,
            operation_id=kept.versions[0].data,
            separate_connection=True,
        )
        (status,) = await self._engine.run(call)
        match status:
            case b"ok":
                return "restored"
            case b"expired":
                return "expired"
            case b"exists":
                return "exists"
            case _:
                raise Conflict(
                    f"The artifact {place.name!r} was not restored: a part of what was uploaded is "
                    "gone, perhaps evicted. Try once more."
                )


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
