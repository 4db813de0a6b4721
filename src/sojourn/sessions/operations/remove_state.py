"""Remove values of a session's own state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sojourn.calls.call import Script
from sojourn.sessions.operation import SessionWrite
from sojourn.sessions.replies import seconds
from sojourn.sessions.store import IndexEntry, WriteOptions, WriteResult

if TYPE_CHECKING:
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions

SCRIPT = Script.beside(__name__)


class RemoveState(SessionWrite[WriteResult], frozen=True):
    """Remove values of a session's own state. Raises SessionNotFound, StaleSession.

    Attributes:
        names: of the values; those that are not there are no error.
        write: operation id, incarnation, expected version.
    """

    names: Sequence[str]
    write: WriteOptions

    async def on_server(self, server: RedisSessions) -> WriteResult:
        """One round trip."""
        reply = await server.change(SCRIPT, self.key, self.write, len(self.names), *self.names)
        server.registry.keep_alive(self.key.owner, seconds(reply[2]))
        server.recent.changed(IndexEntry(self.key, *reply[4:7]))
        return WriteResult(int(float(reply[1])), int(reply[3]), reply[0] == b"duplicate")

    async def in_memory(self, memory: InMemorySessions) -> WriteResult:
        """As `Operation`."""
        session = memory.writable(self.key, self.write)
        name = f"remove_state:{self.write.operation_id}"
        if name in session.operations:
            return WriteResult(session.operations[name], session.head.seq, repeated=True)
        memory.check_version(self.key, session.head, self.write)
        for each in self.names:
            session.state.pop(each, None)
        written = memory.changed(session, name, updated=memory.now())
        memory.tell(self.key, "updated", written.version)
        return written
