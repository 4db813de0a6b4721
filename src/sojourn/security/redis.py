"""The guard's store on a server."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

from sojourn.calls.call import Call, Script, only
from sojourn.codecs.growth import check_format, plain
from sojourn.engine.engine import Engine
from sojourn.engine.scan import found
from sojourn.errors import CorruptRecord
from sojourn.ids import AppName, SessionId, SessionKey, UserKey, new_operation_id
from sojourn.security.keys import SecurityRoomKeys
from sojourn.security.store import DIGEST, OWNERS, Totals, owner_digest, session_digest

_RECORD = Script.load(files("sojourn.security") / "lua", "record")
_CLAIM = Script.load(files("sojourn.security") / "lua", "claim")
_DISOWN = Script.load(files("sojourn.security") / "lua", "disown")
_COUNTED = re.compile(rb"[^:]+:.+", re.DOTALL).fullmatch
"""`outcome:reason`. Fields of other names are another version's."""


class RedisSecurity:
    """A `SecurityStore` over an engine.

    Args:
        engine: where calls go.
        keys: builds the keys.
        ttl: seconds that an owner is remembered; None for ever.
    """

    def __init__(self, engine: Engine, keys: SecurityRoomKeys, ttl: float | None) -> None:
        self._engine = engine
        self._keys = keys
        self._ttl = "" if ttl is None else max(1, round(ttl * 1000))

    async def claim(self, key: SessionKey) -> None:
        """Remember whose session this is."""
        name = self._keys.owner(key.app, key.session)
        digest = owner_digest(key)
        args = (digest, self._ttl, OWNERS * len(digest))
        await self._engine.run(Call("security.claim", (name,), only, script=_CLAIM, args=args))

    async def owners_of(self, app: AppName, session: SessionId) -> frozenset[bytes]:
        """The digests of whose session it is or was."""
        name = self._keys.owner(app, session)
        call: Call[bytes | None] = Call("security.owner", (name,), only, commands=[("GET", name)])
        found = await self._engine.run(call) or b""
        try:
            plain(found, f"The owners in {name}")
        except ValueError as error:
            raise CorruptRecord(
                f"{name} cannot be read ({error}): others wrote it, or it was damaged.",
                key=name,
                raw=found,
            ) from error
        return frozenset(found[at : at + DIGEST] for at in range(0, len(found), DIGEST))

    async def count(self, app: AppName, what: str, flagged: SessionId | None) -> None:
        """Count a decision."""
        await self._engine.run(
            Call(
                name="security.count",
                keys=self._keys.security(app),
                read=only,
                script=_RECORD,
                args=(what, "" if flagged is None else session_digest(app, flagged)),
                operation_id=new_operation_id(),
                repeatable=False,
            )
        )

    async def forget(self, owner: UserKey) -> int:
        """Forget which ids are a user's: those whose digest says so."""
        forgotten = 0
        for name in await found(self._engine, self._keys.owners_by(owner.app)):
            tag = self._keys.tag_of(name)
            args = (owner_digest(SessionKey(*owner, SessionId(tag[-1]))),)
            call: Call[int] = Call("security.disown", (name,), only, script=_DISOWN, args=args)
            forgotten += await self._engine.run(call)
        return forgotten

    async def totals(self, app: AppName) -> Totals:
        """What was counted."""
        counts, flagged = keys = self._keys.security(app)
        call: Call[list[Any]] = Call(
            "security.totals", keys, list, commands=[("HGETALL", counts), ("PFCOUNT", flagged)]
        )
        counted, number = await self._engine.run(call)
        fields = dict(zip(counted[::2], counted[1::2], strict=True))
        try:
            check_format(fields.pop(b"format", None), f"The counts in {counts}")
            known = {name.decode(): int(fields[name]) for name in fields if _COUNTED(name)}
            return Totals(known, number)
        except ValueError as error:
            raise CorruptRecord(
                f"The counts in {counts} cannot be read: deleting the key begins them anew.",
                key=counts,
                raw=b"",
            ) from error
