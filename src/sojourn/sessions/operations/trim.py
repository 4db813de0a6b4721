"""Cut events off the log of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.calls.call import Script
from sojourn.sessions.operation import SessionWrite
from sojourn.sessions.replies import seconds
from sojourn.sessions.store import IndexEntry, WriteOptions, WriteResult

if TYPE_CHECKING:
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions

SCRIPT = Script.beside(__name__)


class Trim(SessionWrite[WriteResult], frozen=True):
    """Drop rows at the end, then keep so many of the rest. Raises as `Update`.

    Attributes:
        drop: how many at the end.
        keep: of the rest only so many, the newest; None for all.
        write: operation id, incarnation, expected version.
    """

    drop: int
    keep: int | None
    write: WriteOptions

    async def on_server(self, server: RedisSessions) -> WriteResult:
        """One round trip."""
        keep = "" if self.keep is None else self.keep
        reply = await server.change(SCRIPT, self.key, self.write, self.drop, keep)
        server.registry.keep_alive(self.key.owner, seconds(reply[2]))
        server.recent.changed(IndexEntry(self.key, *reply[4:7]))
        return WriteResult(int(float(reply[1])), int(reply[3]), reply[0] == b"duplicate")

    async def in_memory(self, memory: InMemorySessions) -> WriteResult:
        """As `Operation`."""
        session = memory.writable(self.key, self.write)
        head, name = session.head, f"trim:{self.write.operation_id}"
        if name in session.operations:
            return WriteResult(session.operations[name], head.seq, repeated=True)
        memory.check_version(self.key, head, self.write)
        behind = min(self.drop, head.seq - head.dropped)
        left = head.seq - head.dropped - behind
        front = 0 if self.keep is None else max(0, left - self.keep)
        del session.rows[max(0, len(session.rows) - behind) :]
        del session.rows[:front]
        seqs = range(head.dropped + front + 1, head.seq - behind + 1)
        session.ids = {name: at for name, at in session.ids.items() if at in seqs}
        written = memory.changed(
            session,
            name,
            seq=head.seq - behind,
            dropped=head.dropped + front,
            epoch=head.epoch + (behind > 0),
            updated=memory.now(),
        )
        memory.tell(self.key, "trimmed", written.version)
        return written
