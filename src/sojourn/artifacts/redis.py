"""Artifacts on a server. Versions are uploaded in chunks, then made visible by one script."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from importlib.resources import files
from typing import Any, NamedTuple, NoReturn
from zlib import crc32

from sojourn.artifacts import records, refusals
from sojourn.artifacts.keys import ArtifactKeys, ArtifactRoomKeys
from sojourn.artifacts.records import number_of
from sojourn.artifacts.store import ArtifactDraft, ArtifactPlace, Owner, StoredArtifact
from sojourn.calls.call import Call, Script, only
from sojourn.codecs.growth import FORMAT, refusal
from sojourn.engine.engine import Engine
from sojourn.engine.scan import found, unlink
from sojourn.errors import CorruptRecord, NewerFormat, Unavailable
from sojourn.ids import SessionId, SessionKey, UserKey, escape, unescape
from sojourn.resilience.deadline import within

_LUA = files("sojourn.artifacts") / "lua"
_UPLOAD, _SAVE, _TOUCH, _FIND, _VERSIONS, _NAMES, _MOVE, _DELETE = (
    Script.load(_LUA, name)
    for name in ("upload", "save", "touch", "find", "versions", "names", "move", "delete")
)

_SMALL = 64 * 1024
"""Bytes up to which data need not travel apart from small calls."""

_AHEAD = 4
"""Chunks that are under way at once: a distant server need not be waited for with each."""

_UPLOAD_TTL = 600_000
"""Milliseconds that chunks of a version wait for the next one, and for the version."""

_TRIES = 8
"""How often a write is adapted to what others do to the same artifact meanwhile."""


class _FoundVersion(NamedTuple):
    stored: StoredArtifact
    crc: str
    data: str


class RedisArtifacts:
    """An `ArtifactStore` over an engine.

    Args:
        engine: where calls go.
        keys: builds the keys.
        ttl: seconds that an artifact lives after its last touch; None for ever.
    """

    def __init__(self, engine: Engine, keys: ArtifactRoomKeys, ttl: float | None) -> None:
        self._engine = engine
        self._keys = keys
        self._ttl = "" if ttl is None else str(math.ceil(ttl * 1000))

    async def save(self, place: ArtifactPlace, draft: ArtifactDraft, operation_id: str) -> int:
        """Add a version."""
        ours = self._keys.artifact(*place)
        name = escape(operation_id)
        saved = f"{ours.saved}:{name}"
        chunks = records.chunks_of(len(draft.data))
        chunk = (draft.data,) if chunks == 1 else ()
        # Megabytes are summed up beside the loop; zlib lets go of the interpreter.
        crc = crc32(*chunk) if chunk else await asyncio.to_thread(crc32, draft.data)
        record = records.record_of(draft, chunks, crc)
        created = "" if draft.created is None else draft.created
        others: Sequence[str] = ()
        uploaded = chunks == 1
        for _ in range(_TRIES):
            if not uploaded:
                done = await self._upload(f"{ours.data}:{name}", saved, draft.data)
                if done is not None:
                    return number_of(done, saved)
                uploaded = True
            call: Call[list[bytes]] = Call(
                name="artifacts.save",
                keys=(ours.head, ours.names, saved, f"{ours.data}:{name}", *others),
                read=only,
                script=_SAVE,
                args=(
                    *(place.name, self._ttl, created, record),
                    *(name, chunks, len(draft.data), *chunk),
                ),
                operation_id=operation_id,
            )
            what, *rest = await self._engine.run(call)
            match what:
                case b"ok":
                    return number_of(rest[0], saved)
                case b"keys":
                    others = _named(ours, rest)
                case b"incomplete":
                    uploaded = False
                case _:
                    _refuse(ours, what, rest)
        raise Unavailable(
            f"{self._engine.where} loses or changes artifacts faster than {place.name!r} can be "
            "saved: it evicts keys, or others write this artifact all the time. Nothing was saved."
        )

    async def _upload(self, key: str, saved: str, data: bytes) -> bytes | None:
        """Send the chunks; the version, when they need not be sent."""
        uploads: Iterator[Call[bytes | None]] = (
            Call(
                name="artifacts.upload",
                keys=(key, saved),
                read=only,
                script=_UPLOAD,
                args=(number, data[start : start + records.CHUNK], _UPLOAD_TTL),
            )
            for number, start in enumerate(range(0, len(data), records.CHUNK))
        )
        async with aclosing(self._engine.stream(uploads, ahead=_AHEAD)) as replies:
            async for done in replies:
                if done is not None:
                    return done
        return None

    async def load(
        self, place: ArtifactPlace, version: int | None
    ) -> tuple[StoredArtifact, bytes] | None:
        """A version with its data."""
        ours = self._keys.artifact(*place)
        before = ""
        while (found := await self._find(place, version, touch=True)) is not None:
            if found.stored.newer:
                raise NewerFormat(
                    f"The data of version {found.stored.version} of the artifact {place.name!r} "
                    "have an encoding that this version of Sojourn cannot read. Upgrade it; "
                    "nothing was changed.",
                    found=str(FORMAT),
                    known=str(FORMAT),
                )
            data, flaw = await self._read(ours, found)
            if not flaw:
                return found.stored, data
            if found.data == before:  # it was not deleted meanwhile: looked at again, it is there
                raise CorruptRecord(
                    f"Version {found.stored.version} of the artifact {place.name!r} {flaw}. "
                    "Delete the artifact, or save it anew.",
                    key=f"{ours.data}:{found.data}",
                    raw=data,
                )
            before = found.data
        return None

    async def _read(self, ours: ArtifactKeys, found: _FoundVersion) -> tuple[bytes, str]:
        """The data, and what is wrong with them. In pieces, so that others' calls go between."""
        key = f"{ours.data}:{found.data}"
        parts: list[bytes] = []
        crc = 0
        chunks = records.chunks_of(found.stored.size) if found.stored.size else 0
        reads: Iterator[Call[bytes | None]] = (
            Call(
                name="artifacts.read",
                keys=(key,),
                read=only,
                commands=[("HGET", key, number)],
                separate_connection=found.stored.size > _SMALL,
            )
            for number in range(chunks)
        )
        async with aclosing(self._engine.stream(reads, ahead=_AHEAD)) as replies:
            async for part in replies:
                if part is None:
                    lost = f"has lost a part of its data ({len(parts)} of {chunks})"
                    return b"".join(parts), lost
                parts.append(part)
                crc = crc32(part, crc)
        data = b"".join(parts)
        if len(data) != found.stored.size or f"{crc:08x}" != found.crc:
            return data, "is not as it was written"
        return data, ""

    async def find(self, place: ArtifactPlace, version: int | None) -> StoredArtifact | None:
        """A version without its data."""
        found = await self._find(place, version, touch=False)
        return None if found is None else found.stored

    async def _find(
        self, place: ArtifactPlace, version: int | None, *, touch: bool
    ) -> _FoundVersion | None:
        ours = self._keys.artifact(*place)
        call: Call[list[bytes]] = Call(
            name="artifacts.find",
            keys=(ours.head, ours.names),
            read=only,
            script=_FIND,
            args=(place.name, "" if version is None else version, self._ttl),
        )
        what, *rest = await self._engine.run(call)
        if what == b"missing":
            return None
        if what != b"ok":
            _refuse(ours, what, rest)
        number, record, data, *due = rest
        if due and touch:
            touched: Call[Any] = Call(
                name="artifacts.touch",
                keys=(ours.head, ours.names, *_named(ours, due)),
                read=only,
                script=_TOUCH,
                args=(place.name, self._ttl),
            )
            self._engine.send_nowait(touched)
        stored, crc = records.parse(record, number_of(number, ours.head), ours.head)
        return _FoundVersion(stored, crc, data.decode(errors="replace"))

    async def versions(self, place: ArtifactPlace) -> list[StoredArtifact]:
        """All versions, oldest first."""
        ours = self._keys.artifact(*place)
        call: Call[list[bytes]] = Call(
            name="artifacts.versions",
            keys=(ours.head, ours.names),
            read=only,
            script=_VERSIONS,
            args=(place.name,),
            separate_connection=True,
        )
        what, *kept = await self._engine.run(call)
        if what == b"missing":
            return []
        if what != b"ok":
            _refuse(ours, what, kept)
        return [
            records.parse(each, number, ours.head, mark=True)[0] for number, each in enumerate(kept)
        ]

    async def names(self, owner: Owner) -> list[str]:
        """The names of the artifacts of an owner."""
        index = self._keys.artifacts(owner)
        call: Call[list[bytes]] = Call(
            name="artifacts.names",
            keys=(index,),
            read=only,
            script=_NAMES,
            separate_connection=True,
        )
        names: list[str] = []
        for name in await self._engine.run(call):
            try:
                names.append(name.decode())
            except UnicodeDecodeError as error:
                raise CorruptRecord(
                    f"{index} names an artifact that can have none of that name: ZREM it.",
                    key=index,
                    raw=name,
                ) from error
        return sorted(names)

    async def move(self, place: ArtifactPlace, to: Owner) -> bool:
        """Give an artifact to another owner."""
        ours, theirs = self._keys.artifact(*place), self._keys.artifact(to, place.name)
        others: Sequence[str] = ()
        with within(self._engine.timeout):
            for _ in range(_TRIES):
                call: Call[list[bytes]] = Call(
                    name="artifacts.move",
                    keys=(ours.head, ours.names, theirs.head, theirs.names, *others),
                    read=only,
                    script=_MOVE,
                    args=(place.name,),
                )
                what, *rest = await self._engine.run(call)
                if what == b"exists":
                    raise refusals.exists(place.name)
                if what == b"newer":
                    _refuse(ours, what, rest)
                if what != b"keys":
                    return what == b"ok"
                kept = zip(
                    _named(ours, rest),
                    _named(theirs, rest),
                    [f"{theirs.saved}:{name.decode(errors='replace')}" for name in rest],
                    strict=True,
                )
                others = [key for keys in kept for key in keys]
        raise Unavailable(
            f"Others save the artifact {place.name!r} all the time, so it was not moved: stop "
            "them, or try again."
        )

    async def delete(self, place: ArtifactPlace, operation_id: str) -> bool:
        """Delete all versions."""
        ours = self._keys.artifact(*place)
        deleted = f"{ours.deleted}:{escape(operation_id)}"
        others: Sequence[str] = ()
        with within(self._engine.timeout):
            for _ in range(_TRIES):
                call: Call[list[bytes]] = Call(
                    name="artifacts.delete",
                    keys=(ours.head, ours.names, deleted, *others),
                    read=only,
                    script=_DELETE,
                    args=(place.name,),
                    operation_id=operation_id,
                )
                what, *rest = await self._engine.run(call)
                if what == b"ok":
                    return number_of(rest[0], deleted) == 1
                others = _named(ours, rest)
        raise Unavailable(
            f"Others save the artifact {place.name!r} all the time, so it was not deleted: stop "
            "them, or try again."
        )

    async def owners(self, user: UserKey) -> list[Owner]:
        """A round trip for each 1,000 keys of the server."""
        keys = await found(self._engine, self._keys.artifacts_by(user))
        owners: dict[Owner, None] = {}
        for key in keys:
            kind = self._keys.kind_of(key)
            if kind is not None and kind.name == "artifacts":
                session = unescape(key[key.index("}") + 2 :])
                owners[SessionKey(*user, SessionId(session)) if session else user] = None
        return list(owners)

    async def forget(self, user: UserKey) -> int:
        """A round trip for each 1,000 keys of the server, and for each 500 that are deleted."""
        keys = await found(self._engine, self._keys.artifacts_by(user))
        kinds = [(key, kind.name) for key in keys if (kind := self._keys.kind_of(key))]
        await unlink(self._engine, [key for key, _ in kinds])
        return sum(kind == "artifact" for _, kind in kinds)


def _named(ours: ArtifactKeys, names: Sequence[bytes]) -> list[str]:
    return [f"{ours.data}:{name.decode(errors='replace')}" for name in names]


def _refuse(ours: ArtifactKeys, what: bytes, found: Sequence[bytes]) -> NoReturn:
    if what == b"newer":
        raise refusal("The artifact", ours.head, *found)
    why = "was lost, perhaps evicted" if what == b"lost" else "cannot be read"
    raise CorruptRecord(
        f"{ours.head} {why}, though it has not expired. Delete the artifact, then save it anew.",
        key=ours.head,
        raw=b"",
    )
