"""Count a user's sessions, and repair indexes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.errors import CorruptRecord, ServerOutOfMemory
from sojourn.ids import AppName, SessionKey, UserKey, parse_session
from sojourn.sessions.keys import RecentKeys
from sojourn.sessions.recent import named
from sojourn.sessions.store import IndexEntry, Repaired

if TYPE_CHECKING:
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions

_COUNT = Script.beside(__name__, "count")

_STEP = 200
"""Sessions that one round trip looks at."""
_PRUNED = 1000
"""How many that have expired one step takes out (prune.lua)."""


class CountSessions(Operation[int], frozen=True):
    """How many sessions a user has, as far as the index knows.

    Attributes:
        owner: which user.
    """

    owner: UserKey

    async def on_server(self, server: RedisSessions) -> int:
        """One round trip."""
        index = server.keys.user(self.owner).by_expiry
        call: Call[int] = Call("sessions.count", (index,), only, script=_COUNT)
        return await server.engine.run(call)

    async def in_memory(self, memory: InMemorySessions) -> int:
        """As `Operation`."""
        return sum(memory.alive(key) is not None for key in memory.keys_of(self.owner))


class RepairUser(Operation[Repaired], frozen=True):
    """Repair the indexes of a user, and finish incomplete writes.

    Attributes:
        owner: which user.
    """

    owner: UserKey

    async def on_server(self, server: RedisSessions) -> Repaired:
        """Three round trips for each 200 sessions, and three more."""
        owner, expired, dropped, entered = self.owner, 0, 0, 0
        while True:
            pruned = await server.engine.run(server.indexes.prune_call(owner))
            expired += pruned
            if pruned < _PRUNED:
                break
        user = server.keys.user(owner)
        for index in user[:2]:
            cursor = b"0"
            while True:
                cursor, flat = await server.engine.run(_page_call(index, cursor))
                gone, new = await self._mend(server, flat[::2])
                dropped, entered = dropped + gone, entered + new
                if cursor == b"0":
                    break
        outbox: Call[int] = Call("sessions.outbox", (user.outbox,), only, [("HLEN", user.outbox)])
        if waiting := await server.engine.run(outbox):
            await server.shared_state.flush(owner)
        return Repaired(expired, dropped, entered, waiting)

    async def _mend(self, server: RedisSessions, names: list[bytes]) -> tuple[int, int]:
        """Compare entries of an index with the sessions; how many went out and came in."""
        keys: list[SessionKey] = []
        for name in names:
            try:
                keys.append(SessionKey(*self.owner, parse_session(name.decode())))
            except ValueError:  # a listing reports it
                continue
        dropped = entered = 0
        for start in range(0, len(keys), _STEP):  # a small index comes as a whole
            part = keys[start : start + _STEP]
            mended = await server.engine.run(server.indexes.mend_call(self.owner, part))
            dropped, entered = dropped + mended.dropped, entered + mended.restored
            recent = server.keys.recent_of(self.owner)
            with suppress(CorruptRecord, ServerOutOfMemory):  # it is a help, and no truth
                await server.engine.run(server.recent.call(recent, mended.entries))
        return dropped, entered

    async def in_memory(self, memory: InMemorySessions) -> Repaired:
        """As `Operation`: what has expired is forgotten."""
        ours = memory.keys_of(self.owner)
        return Repaired(sum(memory.alive(key) is None for key in ours), 0, 0, 0)


class RepairRecent(Operation[int], frozen=True):
    """Take out what is gone of a shard of the index that `ListRecent` reads; how many.

    Attributes:
        app: which app.
        shard: which part of the index.
    """

    app: AppName
    shard: int

    async def on_server(self, server: RedisSessions) -> int:
        """Two round trips for each 200 sessions, one more where some are gone."""
        recent = server.keys.recent(self.app, self.shard)
        gone, cursor = 0, b"0"
        while True:
            cursor, flat = await server.engine.run(_page_call(recent.by_update, cursor))
            gone += await self._drop_gone(server, recent, flat)
            if cursor == b"0":
                return gone

    async def _drop_gone(self, server: RedisSessions, recent: RecentKeys, flat: list[bytes]) -> int:
        """Take out those that are gone, unless they have been entered again meanwhile."""
        listed = [
            (key, place)
            for name, place in zip(flat[::2], flat[1::2], strict=True)
            if (key := named(self.app, name.decode(errors="replace")))
        ]
        heads = [server.keys.session(key).head for key, _ in listed]
        there = await server.engine.run_all(
            [Call("sessions.exists", (head,), only, [("EXISTS", head)]) for head in heads]
        )
        gone = [
            IndexEntry(key, expires=place)
            for (key, place), found in zip(listed, there, strict=True)
            if not found
        ]
        return await server.engine.run(server.recent.call(recent, gone)) if gone else 0

    async def in_memory(self, memory: InMemorySessions) -> int:  # noqa: ARG002 - as `Operation`
        """There is no index that could be wrong."""
        return 0


def _page_call(index: str, cursor: bytes) -> Call[Any]:
    # ZSCAN walks one user's index, never the keyspace.
    return Call("sessions.sweep", (index,), only, [("ZSCAN", index, cursor, "COUNT", _STEP)])
