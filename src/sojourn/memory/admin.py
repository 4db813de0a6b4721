"""Memory operations for operators: who has entries, and erasure of a user's."""

from __future__ import annotations

from typing import get_args

from sojourn.calls.operation import RoomStore
from sojourn.codecs import shown
from sojourn.errors import InvalidInput
from sojourn.ids import parse_app, parse_memory
from sojourn.memory import checks
from sojourn.memory.cursor import cursor_of, place_of
from sojourn.memory.model import OF_USERS, Kind, ScopeKey, ScopePage
from sojourn.memory.operations.forget import ForgetScopes
from sojourn.memory.operations.read import ListScopes
from sojourn.memory.search import Searcher
from sojourn.process_bound import stays_here
from sojourn.resilience.deadline import within


@stays_here("its URL, and open the store there")
class MemoryAdmin:
    """The calls of `store.admin.memory`.

    Args:
        store: where entries are kept.
        searcher: the search indexes of this process.
        operation_timeout: seconds that a call may take.
        shards: over how many indexes the names of scopes are spread.
    """

    def __init__(
        self, store: RoomStore, searcher: Searcher, *, operation_timeout: float, shards: int
    ) -> None:
        self._store = store
        self._searcher = searcher
        self._operation_timeout = operation_timeout
        self._shards = shards

    async def scopes(
        self, kind: Kind, *, app: str = "memory", limit: int = 100, cursor: str | None = None
    ) -> ScopePage:
        """The users, agents or categories that have entries. Two round trips for a part of them.

        Names are spread over 16 parts; those that are empty cost one round trip. A page may be
        shorter than `limit`.

        Args:
            kind: `user`, `agent`, `knowledge`, `sessions`, or `events`.
            app: the application.
            limit: names a page, 1,000 at most.
            cursor: of the page before; None for the first.

        Raises:
            InvalidInput: an unknown kind, the limit, or a cursor that no listing gave.
        """
        if kind not in get_args(Kind):
            raise InvalidInput(f"A kind is one of {', '.join(get_args(Kind))}, not {shown(kind)}.")
        of = parse_app(app)
        checks.limit(limit)
        shard, after = place_of(cursor)
        names: list[str] = []
        with within(self._operation_timeout):
            while shard < self._shards:
                room = limit - len(names)
                found, after = await self._store.run(ListScopes(of, kind, shard, after, room))
                names += found
                if after is None:
                    shard += 1
                if len(names) >= limit:
                    break
        more = shard < self._shards
        return ScopePage(names, cursor_of(shard, after) if more else None)

    async def forget(self, user: str, *, app: str = "memory") -> int:
        """Delete all that is remembered of a user, of the user's sessions and events; how many.

        Entries of agents and categories stay. This process lets go of its search index at once,
        others when they search next. `store.admin.forget` does it in all rooms. A round trip for
        each 1,000 keys of the server.
        """
        name = parse_memory("user", user)
        of = parse_app(app)
        count = await self._store.run(ForgetScopes(of, name, OF_USERS))
        for kind in OF_USERS:
            self._searcher.forget(ScopeKey(of, kind, name))
        return count
