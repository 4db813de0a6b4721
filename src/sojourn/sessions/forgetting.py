"""Erasure of a user on a server, and its tombstone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from sojourn.calls.call import Call, only
from sojourn.engine.engine import Engine
from sojourn.engine.scan import found, members, unlink
from sojourn.errors import Unavailable
from sojourn.ids import SessionId, SessionKey, UserKey, escape, parse_session, unescape
from sojourn.sessions.index_registry import IndexRegistry
from sojourn.sessions.keys import SessionRoomKeys
from sojourn.sessions.scripts import load
from sojourn.sessions.shared_state import SharedState
from sojourn.sessions.tombstones import (
    REMEMBERED,
    Forgotten,
    TombstoneReason,
    TombstoneTarget,
    anywhere,
    mark_of,
    name_of,
    names_of,
)

_BURY, _BURIED, _FORGET = (load(name) for name in ("bury", "buried", "forget"))

_STEP = 200
"""Sessions that one script deletes."""


class Forgetting:
    """Tombstones and the end of users of one deployment, over an engine."""

    def __init__(
        self,
        engine: Engine,
        keys: SessionRoomKeys,
        shared_state: SharedState,
        registry: IndexRegistry,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._shared_state = shared_state
        self._registry = registry

    def waited(self, age: float) -> int:
        """For how many ms a write has waited, when it gets there as late as it may."""
        return math.ceil((max(0.0, age) + self._engine.timeout) * 1000)

    async def bury(self, what: TombstoneTarget, fate: TombstoneReason) -> float:
        """One round trip."""
        slot = what.owner if isinstance(what, SessionKey) else what
        call: Call[int] = Call(
            name="sessions.bury",
            keys=(self._keys.erased(slot),),
            read=only,
            script=_BURY,
            args=(mark_of(what), fate, round(REMEMBERED * 1000)),
        )
        return await self._engine.run(call) / 1000

    async def buried(self, key: SessionKey, age: float) -> TombstoneReason | None:
        """One round trip."""
        calls = [
            Call(
                name="sessions.buried",
                keys=(self._keys.erased(slot),),
                read=only,
                script=_BURIED,
                args=(self.waited(age), names),
            )
            for slot, names in (
                (key.owner, names_of(key)),
                (str(key.app), name_of(str(key.app))),
                (anywhere(key.user), name_of(anywhere(key.user))),
            )
        ]
        fates = {fate.decode() for fate in await self._engine.run_all(calls)}
        if "forgotten" in fates:
            return "forgotten"
        return "revoked" if "revoked" in fates else None

    async def forget(self, owner: UserKey) -> Forgotten:
        """What its indexes lead to first, then what they have lost."""
        done = Forgotten()
        while True:
            done = done.plus(Forgotten(app_deltas=await self._carry_out(owner)))
            names = await self._listed(owner)
            last, part = await self._delete(owner, names)
            done = done.plus(part)
            if last:
                break
        lost = await self._lost(owner)
        for start in range(0, len(lost), _STEP):
            _, part = await self._delete(owner, lost[start : start + _STEP])
            done = done.plus(part)
        labels = self._keys.labels_by(self._keys.user(owner).by_update)
        await unlink(self._engine, await found(self._engine, labels))
        await self._out_of_recent(owner)
        await self._registry.unregister(owner)
        return done

    async def _out_of_recent(self, owner: UserKey) -> None:
        """Take all that names the user out of the index of the app's sessions."""
        recent = self._keys.recent_of(owner)
        labelled = await found(self._engine, self._keys.labels_by(recent.by_update))
        for index in (*recent, *labelled):
            names = await members(self._engine, index, f"{escape(owner.user)}:*")
            for start in range(0, len(names), _STEP):
                part = names[start : start + _STEP]
                await self._engine.run(
                    Call("sessions.forget", (index,), only, commands=[("ZREM", index, *part)])
                )

    async def _carry_out(self, owner: UserKey) -> int:
        """The deltas of app state that wait are the app's: they are not forgotten."""
        outbox = self._keys.user(owner).outbox
        size: Call[Any] = Call(
            "sessions.outbox", (outbox,), only, commands=[("HLEN", outbox)], allow_wrong_type=True
        )
        waiting = await self._engine.run(size)
        if not waiting or not isinstance(waiting, int):
            return 0
        drained = await self._shared_state.flush(owner)
        if drained.left or drained.newer:
            raise Unavailable(
                "Changes of app state that this user's sessions have made cannot be carried out "
                "now, so not all of the user was forgotten. Do it again; if the state of the app "
                "is a key of another type, delete that first; if a newer version of Sojourn wrote "
                "them, do it with that one."
            )
        if drained.damaged:  # there may have been no room in the quarantine
            call: Call[Any] = Call(
                "sessions.outbox", (outbox,), only, commands=[("HDEL", outbox, *drained.damaged)]
            )
            await self._engine.run(call)
        return waiting

    async def _listed(self, owner: UserKey) -> list[bytes]:
        """Some names in the indexes."""
        names: dict[bytes, None] = {}
        for index in self._keys.user(owner)[:2]:
            call: Call[Any] = Call(
                "sessions.index",
                (index,),
                only,
                commands=[("ZRANGE", index, 0, _STEP - 1)],
                allow_wrong_type=True,
            )
            listed = await self._engine.run(call)
            if isinstance(listed, list):
                names |= dict.fromkeys(cast("list[bytes]", listed))
        return list(names)

    async def _lost(self, owner: UserKey) -> list[bytes]:
        """Sessions that no index names any more. Rows that wait for their session are deleted."""
        names = await found(self._engine, self._keys.sessions_by(owner))
        kinds = {key: kind.name for key in names if (kind := self._keys.kind_of(key))}
        await unlink(self._engine, [key for key, kind in kinds.items() if kind == "staged"])
        ours = [key for key, kind in kinds.items() if kind in ("session", "events", "ops", "ids")]
        escaped = {key[key.index("}:") + 2 :].partition(":")[0] for key in ours}
        return [unescape(each).encode() for each in sorted(escaped)]

    async def _delete(self, owner: UserKey, names: Sequence[bytes]) -> tuple[bool, Forgotten]:
        """Delete sessions, and all else if none is left; whether that was so."""
        sessions = [key for name in names if (key := _key(owner, name)) is not None]
        user = self._keys.user(owner)
        call: Call[list[int]] = Call(
            name="sessions.forget",
            keys=(
                *(user.by_update, user.by_expiry, user.operations, user.state, user.outbox),
                *(each for key in sessions for each in self._keys.session(key)),
            ),
            read=only,
            script=_FORGET,
            args=names,
        )
        last, *counts = await self._engine.run(call)
        return bool(last), Forgotten(*counts)


def _key(owner: UserKey, name: bytes) -> SessionKey | None:
    try:
        return SessionKey(*owner, SessionId(parse_session(name.decode())))
    except ValueError:
        return None
