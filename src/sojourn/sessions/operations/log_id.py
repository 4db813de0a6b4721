"""Read what a session's log is known by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sojourn.calls.call import Call
from sojourn.calls.operation import Operation
from sojourn.ids import SessionKey
from sojourn.sessions.store import LogId

if TYPE_CHECKING:
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions


class ReadLogId(Operation[LogId | None], frozen=True):
    """The log's id and the incarnation of a session; None when there is none.

    Raises CorruptRecord when its key holds something else.

    Attributes:
        key: which session.
    """

    key: SessionKey

    async def on_server(self, server: RedisSessions) -> LogId | None:
        """One round trip."""
        head = server.keys.session(self.key).head
        call: Call[list[Any]] = Call(
            "sessions.log_id",
            (head,),
            list,
            commands=[("HMGET", head, "incarnation", "log_id"), ("EXISTS", head)],
        )
        (incarnation, log_id), there = await server.engine.run(call)
        if incarnation is None and there:
            server.refuse_size([b"corrupt"], self.key)
        return None if incarnation is None else LogId.read(incarnation, log_id or b"")

    async def in_memory(self, memory: InMemorySessions) -> LogId | None:
        """As `Operation`."""
        session = memory.alive(self.key)
        return None if session is None else LogId(session.head.incarnation, session.head.log_id)
