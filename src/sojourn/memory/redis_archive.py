"""Import of memory entries into a server, in their stored form."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from sojourn.calls.call import Argument, Call, Script, only
from sojourn.codecs.growth import refusal
from sojourn.engine.engine import Engine
from sojourn.engine.scan import scan
from sojourn.errors import CorruptRecord
from sojourn.memory.keys import MemoryRoomKeys
from sojourn.memory.model import ScopeKey
from sojourn.memory.store import MemoryRow

_LUA = files("sojourn.memory") / "lua"
_RESTORE, _ENROLL = (Script.load(_LUA, name) for name in ("restore", "enroll"))
_DAY = 86_400.0


class RedisMemoryArchive:
    """A `MemoryArchive` over an engine."""

    def __init__(self, engine: Engine, keys: MemoryRoomKeys) -> None:
        self._engine = engine
        self._keys = keys

    async def apps(self) -> set[str]:
        """One round trip for each 500 keys."""
        found: set[str] = set()
        async for key in scan(self._engine, self._keys.pattern("memories")):
            try:
                app, _ = self._keys.named(key)
            except ValueError:
                continue
            found.add(app)
        return found

    async def restore(
        self, scope: ScopeKey, rows: Sequence[MemoryRow], operation: str, *, replace: bool
    ) -> list[str]:
        """Two round trips."""
        await self._enroll(scope, rows)
        ours = self._keys.memory(*scope)
        args: list[Argument] = [
            *(f"restore {operation}", secrets.token_urlsafe(12), "replace" if replace else "")
        ]
        for row in rows:
            fields = _fields(row)
            expires = "" if row.expires is None else round(row.expires * 1000)
            args += [row.item.key, row.version, row.created, row.updated, expires]
            args += [len(fields), *fields]
        call: Call[list[bytes]] = Call(
            name="memory.restore",
            keys=(*ours, *(self._keys.remembered(ours, row.item.key) for row in rows)),
            read=only,
            script=_RESTORE,
            args=args,
            operation_id=operation,
            separate_connection=True,
        )
        status, *said = await self._engine.run(call)
        if status == b"newer":
            raise refusal("The memory scope", said[0].decode(errors="replace"), *said[1:])
        if status == b"corrupt":
            key = said[0].decode(errors="replace")
            raise CorruptRecord(
                f"{key} holds what Sojourn has not written. Nothing was changed.", key=key, raw=b""
            )
        return [each.decode() for each in said]

    async def _enroll(self, scope: ScopeKey, rows: Sequence[MemoryRow]) -> None:
        """Enter the scope into the index, for twice the time that its entries have left."""
        ends = [row.expires for row in rows]
        last = None if None in ends else max(end for end in ends if end is not None)
        until = "" if last is None else round(2000 * (max(0.0, last - time.time()) + _DAY))
        call: Call[Any] = Call(
            "memory.enroll",
            self._keys.memories_of(*scope),
            only,
            script=_ENROLL,
            args=(scope.name, until),
        )
        await self._engine.run(call)


def _fields(row: MemoryRow) -> list[Argument]:
    item = row.item
    fields: list[Argument] = ["value", item.value, "metadata", item.metadata]
    if item.text is not None:
        fields += ["text", item.text]
    if item.vector:
        fields += ["vector", item.vector]
    if item.tenant:
        fields += ["tenant", item.tenant]
    return fields
