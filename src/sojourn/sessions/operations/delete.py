"""Delete a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.calls.call import Script
from sojourn.sessions.operation import SessionWrite
from sojourn.sessions.store import IndexEntry, WriteOptions

if TYPE_CHECKING:
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions

SCRIPT = Script.beside(__name__)


class Delete(SessionWrite[bool], frozen=True):
    """Delete a session; whether there was one.

    Attributes:
        write: operation id and incarnation.
    """

    write: WriteOptions

    async def on_server(self, server: RedisSessions) -> bool:
        """One round trip."""
        reply = await server.retire(SCRIPT, self.key, self.write)
        if reply[0] == b"ok":
            server.recent.enter(IndexEntry(self.key, former=reply[1]))
        return bool(reply[0] != b"missing")

    async def in_memory(self, memory: InMemorySessions) -> bool:
        """As `Operation`."""
        key, operation_id = self.key, self.write.operation_id
        if memory.did(key, "delete", operation_id) or memory.did(key, "missed", operation_id):
            return memory.did(key, "delete", operation_id)
        session = memory.alive(key)
        found = session is not None and self.write.incarnation in {"", session.head.incarnation}
        memory.remember(key, "delete" if found else "missed", operation_id)
        if session is not None and found:
            del memory.sessions[key]
            memory.tell(key, "deleted", session.head.version)
        return found
