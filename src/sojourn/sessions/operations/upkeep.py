"""Count a user's sessions, and repair indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.calls.operation import Operation
from sojourn.ids import AppName, UserKey
from sojourn.sessions.store import Repaired

if TYPE_CHECKING:
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions


class CountSessions(Operation[int], frozen=True):
    """How many sessions a user has, as far as the index knows.

    Attributes:
        owner: which user.
    """

    owner: UserKey

    async def on_server(self, server: RedisSessions) -> int:
        """One round trip."""
        return await server.upkeep.count(self.owner)

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
        return await server.upkeep.tidy(self.owner)

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
        return await server.upkeep.tidy_recent(self.app, self.shard)

    async def in_memory(self, memory: InMemorySessions) -> int:  # noqa: ARG002 - as `Operation`
        """There is no index that could be wrong."""
        return 0
