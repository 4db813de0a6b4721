"""Public API of the memory room."""

from __future__ import annotations

from typing import NamedTuple, get_args

from sojourn.calls.operation import RoomStore
from sojourn.codecs import shown
from sojourn.errors import InvalidInput
from sojourn.handles import stays_here
from sojourn.ids import parse_app, parse_memory
from sojourn.memory import checks
from sojourn.memory.cursor import cursor_of, place_of
from sojourn.memory.model import OF_USERS, Kind, ScopeKey, ScopePage
from sojourn.memory.operations.forget import ForgetScopes
from sojourn.memory.operations.read import ListScopes
from sojourn.memory.scope import MemoryLimits, MemoryScope
from sojourn.memory.search import Searcher
from sojourn.memory.vectors import Embed, Embedder
from sojourn.resilience.deadline import within


class Lives(NamedTuple):
    """Seconds that entries live if it is not said; None for ever.

    Attributes:
        memory: those of users and agents.
        knowledge: shared ones.
        history: those about sessions.
    """

    memory: float | None
    knowledge: float | None
    history: float | None


@stays_here("its URL, and open the store there")
class Memory:
    """The memory of a store. Made by `sojourn.open`, as `store.memory`.

    Every scope may be made with a `tenant`, a word of up to 256 bytes: then it has only this
    tenant's entries, and its puts belong to this tenant. With the empty tenant it has the entries
    of no tenant. Without one (None) it has the entries of all tenants, which is for trusted code:
    the scopes of `store.user` have those of no tenant.

    Args:
        store: where entries are kept.
        lives: how long.
        max_bytes: the largest entry.
        operation_timeout: seconds that a call may take.
        shards: over how many indexes the names of scopes are spread.
    """

    def __init__(
        self,
        store: RoomStore,
        lives: Lives,
        *,
        max_bytes: int,
        operation_timeout: float,
        shards: int,
    ) -> None:
        self._store = store
        self._lives = lives
        self._max_bytes = max_bytes
        self._operation_timeout = operation_timeout
        self._shards = shards
        self._searcher = Searcher(store)

    def user(self, user: str, *, app: str = "memory", tenant: str | None = None) -> MemoryScope:
        """Memories of a user. No round trip.

        Raises:
            InvalidId: it cannot name a key.
        """
        return self._scope(app, "user", user, self._lives.memory, tenant)

    def agent(self, agent: str, *, app: str = "memory", tenant: str | None = None) -> MemoryScope:
        """Memories of an agent. No round trip.

        Raises:
            InvalidId: it cannot name a key.
        """
        return self._scope(app, "agent", agent, self._lives.memory, tenant)

    def knowledge(
        self, category: str, *, app: str = "memory", tenant: str | None = None
    ) -> MemoryScope:
        """Knowledge of a category that all users and agents of an app share. No round trip.

        Raises:
            InvalidId: it cannot name a key.
        """
        return self._scope(app, "knowledge", category, self._lives.knowledge, tenant)

    def sessions(self, user: str, *, app: str = "memory", tenant: str | None = None) -> MemoryScope:
        """Memories of a user's sessions, by their ids; `store.remember` writes them.

        No round trip.

        Raises:
            InvalidId: it cannot name a key.
        """
        return self._scope(app, "sessions", user, self._lives.history, tenant)

    def events(self, user: str, *, app: str = "memory", tenant: str | None = None) -> MemoryScope:
        """Messages of a user's sessions, word for word. No round trip.

        ADK's memory service writes them. Entries live as long as those of `sessions`.

        Raises:
            InvalidId: it cannot name a key.
        """
        return self._scope(app, "events", user, self._lives.history, tenant)

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

    def embed_with(self, function: Embed, dimensions: int) -> None:
        """From now on search by meaning as well as by words. Asks nobody.

        Entries that this process puts get a vector, which is stored with them; a search ranks by
        words and by the vectors' cosine, and fuses both (reciprocal rank fusion). Entries without a
        vector, or with one of other dimensions, are still found by their words. All processes
        should use the same model.

        Args:
            function: makes vectors of texts, async or not; one that is not runs in a thread. Puts
                and searches raise its errors, and nothing was written.
            dimensions: numbers that a vector has.

        Raises:
            InvalidInput: it is not a function, or the dimensions. Puts and searches raise it when
                the function returns anything other than such vectors.
        """
        self._searcher.embedder = Embedder(function, dimensions)

    async def close(self) -> None:
        """Release the search indexes. Idempotent."""
        self._searcher.close()

    def _scope(
        self, app: str, kind: Kind, name: str, ttl: float | None, tenant: str | None
    ) -> MemoryScope:
        key = ScopeKey(parse_app(app), kind, parse_memory(kind, name))
        limits = MemoryLimits(ttl, self._max_bytes, self._operation_timeout)
        whose = None if tenant is None else checks.tenant(tenant)
        return MemoryScope(key, self._store, self._searcher, limits, whose)
