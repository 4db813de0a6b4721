"""Read a session, or the state that it shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.calls.operation import Operation
from sojourn.ids import SessionKey, UserKey
from sojourn.sessions.event_codec import first_seq, wanted
from sojourn.sessions.session_codec import FOREIGN
from sojourn.sessions.store import EventWindow, Pairs, SessionSnapshot

if TYPE_CHECKING:
    from sojourn.sessions.coded import CodedSessions
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions


class Read(Operation[SessionSnapshot | None], frozen=True):
    """A consistent snapshot of a session, or None when there is none.

    What else cannot be read is left out; without its head nothing is served: CorruptRecord.

    Attributes:
        key: which session.
        window: which of its events.
    """

    key: SessionKey
    window: EventWindow

    async def on_server(self, server: RedisSessions) -> SessionSnapshot | None:
        """One round trip; one more when other writers moved the rows while they were read."""
        return await server.snapshots.read(self.key, self.window)

    async def decoded(
        self, result: SessionSnapshot | None, coded: CodedSessions
    ) -> SessionSnapshot | None:
        """As `Operation`."""
        return None if result is None else await coded.decoded_snapshot(self.key, result)

    async def in_memory(self, memory: InMemorySessions) -> SessionSnapshot | None:
        """As `Operation`."""
        session = memory.alive(self.key)
        if session is None:
            return None
        head, places = session.head, wanted(session.head, self.window)
        rows = session.rows[places.start : places.stop]
        user, app = memory.touch(self.key.owner), memory.touch(self.key.app)
        return SessionSnapshot(head, dict(session.state), user, app, rows, first_seq(head, rows))


class ReadSharedState(Operation[tuple[Pairs, Pairs]], frozen=True):
    """The state of a user and of its app. Raises CorruptRecord when the user's is foreign.

    Attributes:
        owner: which user.
    """

    owner: UserKey

    async def on_server(self, server: RedisSessions) -> tuple[Pairs, Pairs]:
        """One round trip."""
        owner, shared_state = self.owner, server.shared_state
        user, app = await server.engine.run_all(shared_state.state_calls(owner))
        if FOREIGN in user.flaws:
            key = server.keys.user(owner).state
            raise await server.inspection.refusal(owner, None, "user state", key, user.flaws)
        await shared_state.report(owner, user, app)
        return user.known(), app.known()

    async def decoded(
        self, result: tuple[Pairs, Pairs], coded: CodedSessions
    ) -> tuple[Pairs, Pairs]:
        """As `Operation`."""
        user, app = result
        return (
            await coded.decoded_state(user, self.owner),
            await coded.decoded_state(app, self.owner.app),
        )

    async def in_memory(self, memory: InMemorySessions) -> tuple[Pairs, Pairs]:
        """As `Operation`."""
        return dict(memory.values(self.owner)), dict(memory.values(self.owner.app))
