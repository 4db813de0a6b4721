"""Read what a session's log is known by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.calls.call import Call, only
from sojourn.calls.operation import Operation
from sojourn.ids import SessionKey
from sojourn.sessions.store import LogId

if TYPE_CHECKING:
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions


class ReadLogId(Operation[LogId | None], frozen=True):
    """The log's id and the incarnation of a session; None when there is none.

    Attributes:
        key: which session.
    """

    key: SessionKey

    async def on_server(self, server: RedisSessions) -> LogId | None:
        """One round trip."""
        head = server.keys.session(self.key).head
        call: Call[list[bytes | None]] = Call(
            "sessions.log_id",
            (head,),
            only,
            commands=[("HMGET", head, "incarnation", "log_id")],
        )
        incarnation, log_id = await server.engine.run(call)
        if incarnation is None:
            return None
        return LogId(incarnation.decode(errors="replace"), (log_id or b"").decode(errors="replace"))

    async def in_memory(self, memory: InMemorySessions) -> LogId | None:
        """As `Operation`."""
        session = memory.alive(self.key)
        return None if session is None else LogId(session.head.incarnation, session.head.log_id)
