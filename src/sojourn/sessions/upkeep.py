"""Repair of users' indexes, in bounded steps in the background."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sojourn.calls.call import Call, Command, only
from sojourn.engine.engine import Engine
from sojourn.errors import CorruptRecord, ServerOutOfMemory
from sojourn.ids import AppName, SessionKey, UserKey, parse_session
from sojourn.sessions.indexes import Indexes
from sojourn.sessions.keys import RecentKeys, SessionRoomKeys
from sojourn.sessions.recent import Recent, named
from sojourn.sessions.scripts import load
from sojourn.sessions.shared_state import SharedState
from sojourn.sessions.store import IndexEntry, Repaired

_COUNT = load("count")

_STEP = 200
"""Sessions that one round trip looks at."""
_PRUNED = 1000
"""How many that have expired one step takes out (prune.lua)."""


class Upkeep:
    """Repairs what leads to the sessions of one deployment, over an engine."""

    def __init__(
        self,
        engine: Engine,
        keys: SessionRoomKeys,
        shared_state: SharedState,
        indexes: Indexes,
        recent: Recent,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._shared_state = shared_state
        self._indexes = indexes
        self._recent = recent

    async def tidy(self, owner: UserKey) -> Repaired:
        """Three round trips for each 200 sessions, and three more."""
        expired = 0
        while True:
            pruned = await self._engine.run(self._indexes.prune_call(owner))
            expired += pruned
            if pruned < _PRUNED:
                break
        user = self._keys.user(owner)
        dropped = entered = 0
        for index in user[:2]:
            cursor = b"0"
            while True:
                cursor, flat = await self._engine.run(self._page_call(index, cursor))
                gone, new = await self._mend(owner, flat[::2])
                dropped, entered = dropped + gone, entered + new
                if cursor == b"0":
                    break
        outbox: Call[int] = Call(
            "sessions.outbox", (user.outbox,), only, commands=[("HLEN", user.outbox)]
        )
        if waiting := await self._engine.run(outbox):
            await self._shared_state.flush(owner)
        return Repaired(expired, dropped, entered, waiting)

    async def tidy_recent(self, app: AppName, shard: int) -> int:
        """Two round trips for each 200 sessions, one more where some are gone."""
        recent = self._keys.recent(app, shard)
        gone, cursor = 0, b"0"
        while True:
            cursor, flat = await self._engine.run(self._page_call(recent.by_update, cursor))
            gone += await self._drop_gone(app, recent, flat)
            if cursor == b"0":
                return gone

    async def _drop_gone(self, app: AppName, recent: RecentKeys, flat: list[bytes]) -> int:
        """Take out those that are gone, unless they have been entered again meanwhile."""
        listed = [
            (key, place)
            for name, place in zip(flat[::2], flat[1::2], strict=True)
            if (key := named(app, name.decode(errors="replace")))
        ]
        heads = [self._keys.session(key).head for key, _ in listed]
        there = await self._engine.run_all(
            [Call("sessions.exists", (head,), only, commands=[("EXISTS", head)]) for head in heads]
        )
        gone = [
            IndexEntry(key, expires=place)
            for (key, place), found in zip(listed, there, strict=True)
            if not found
        ]
        return await self._engine.run(self._recent.call(recent, gone)) if gone else 0

    async def count(self, owner: UserKey) -> int:
        """One round trip."""
        index = self._keys.user(owner).by_expiry
        call: Call[int] = Call("sessions.count", (index,), only, script=_COUNT)
        return await self._engine.run(call)

    def _page_call(self, index: str, cursor: bytes) -> Call[Any]:
        # ZSCAN walks one user's index, never the keyspace.
        command: Command = ("ZSCAN", index, cursor, "COUNT", _STEP)
        return Call("sessions.sweep", (index,), only, commands=[command])

    async def _mend(self, owner: UserKey, names: list[bytes]) -> tuple[int, int]:
        keys: list[SessionKey] = []
        for name in names:
            try:
                keys.append(SessionKey(*owner, parse_session(name.decode())))
            except ValueError:  # a listing reports it
                continue
        dropped = entered = 0
        for start in range(0, len(keys), _STEP):  # a small index comes as a whole
            part = keys[start : start + _STEP]
            mended = await self._engine.run(self._indexes.mend_call(owner, part))
            dropped, entered = dropped + mended.dropped, entered + mended.restored
            recent = self._keys.recent_of(owner)
            with suppress(CorruptRecord, ServerOutOfMemory):  # it is a help, and no truth
                await self._engine.run(self._recent.call(recent, mended.entries))
        return dropped, entered
