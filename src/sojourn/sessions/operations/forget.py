"""Delete all that is kept of a user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.calls.operation import Operation
from sojourn.ids import UserKey
from sojourn.sessions.tombstones import Forgotten

if TYPE_CHECKING:
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions


class Forget(Operation[Forgotten], frozen=True):
    """Delete all that is kept of a user. Interrupted, it can be done again.

    Attributes:
        owner: which user.
    """

    owner: UserKey

    async def on_server(self, server: RedisSessions) -> Forgotten:
        """A round trip for each 1,000 keys of the server, two for each 200 sessions, and some."""
        return await server.forgetting.forget(self.owner)

    async def in_memory(self, memory: InMemorySessions) -> Forgotten:
        """As `Operation`."""
        owner, ours = self.owner, memory.keys_of(self.owner)
        gone = [session for key in ours if (session := memory.alive(key)) is not None]
        done = Forgotten(
            sessions=len(gone),
            events=sum(len(session.rows) for session in gone),
            operations=sum(len(session.operations) for session in gone)
            + len(memory.operations.get(owner, ())),
            user_state=len(memory.values(owner)),
        )
        for key in ours:
            memory.sessions.pop(key, None)
        for key, name in [each for each in memory.staged if each[0].owner == owner]:
            del memory.staged[key, name]
        memory.shared_state.pop(owner, None)
        memory.operations.pop(owner, None)
        return done
