"""Public API of the memory room."""

from __future__ import annotations

from typing import NamedTuple

from sojourn.calls.operation import RoomStore
from sojourn.ids import parse_app, parse_memory
from sojourn.memory import checks
from sojourn.memory.model import Kind, ScopeKey
from sojourn.memory.scope import MemoryLimits, MemoryScope
from sojourn.memory.search import Searcher
from sojourn.memory.vectors import Embed, Embedder
from sojourn.process_bound import stays_here


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
        searcher: the search indexes of this process.
    """

    def __init__(
        self,
        store: RoomStore,
        lives: Lives,
        searcher: Searcher,
        *,
        max_bytes: int,
        operation_timeout: float,
    ) -> None:
        self._store = store
        self._lives = lives
        self._max_bytes = max_bytes
        self._operation_timeout = operation_timeout
        self._searcher = searcher

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
