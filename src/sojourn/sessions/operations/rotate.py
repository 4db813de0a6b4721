"""Give a session another id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.calls.call import Script
from sojourn.ids import SessionKey, parse_session
from sojourn.sessions import refusals
from sojourn.sessions.operation import SessionWrite
from sojourn.sessions.replies import DONE
from sojourn.sessions.store import IndexEntry, RotateResult, WriteOptions

if TYPE_CHECKING:
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions

SCRIPT = Script.beside(__name__)


class Rotate(SessionWrite[RotateResult], frozen=True):
    """Give a session the id and incarnation `new`, or those that this operation gave before.

    Raises SessionNotFound, SessionExists.

    Attributes:
        new: its identity from now on, of the same user.
        incarnation: its incarnation from now on.
        write: operation id, and the incarnation that it must have.
    """

    new: SessionKey
    incarnation: str
    write: WriteOptions

    async def on_server(self, server: RedisSessions) -> RotateResult:
        """One round trip."""
        new = self.new
        reply = await server.retire(
            *(SCRIPT, self.key, self.write, new.session, self.incarnation),
            others=server.keys.session(new),
        )
        if reply[0] == b"exists":
            raise refusals.exists(new)
        if reply[0] not in DONE:
            await server.refuse(reply, self.key, self.write)
        status, session, incarnation = (part.decode() for part in reply[:3])
        if status == "ok":
            now = IndexEntry(new, *reply[3:])
            server.recent.enter(IndexEntry(self.key, former=now.labels), now)
        return RotateResult(parse_session(session), incarnation, status == "duplicate")

    async def in_memory(self, memory: InMemorySessions) -> RotateResult:
        """As `Operation`."""
        key, new = self.key, self.new
        done = memory.done(key, "rotate", self.write.operation_id)
        if done is not None:
            return done._replace(repeated=True)
        session = memory.writable(key, self.write)
        if memory.alive(new) is not None:
            raise refusals.exists(new)
        done = RotateResult(new.session, self.incarnation)
        memory.remember(key, "rotate", self.write.operation_id, done)
        memory.remember(key, "rotated-from", session.head.incarnation)
        memory.sessions[new] = memory.sessions.pop(key)
        session.head = session.head._replace(incarnation=self.incarnation)
        session.place = max(session.place, memory.now())
        memory.tell(key, "deleted", session.head.version)
        memory.tell(new, "created", session.head.version)
        return done
