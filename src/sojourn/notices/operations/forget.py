"""Delete the notices of a user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sojourn.calls.call import Call
from sojourn.calls.operation import Operation
from sojourn.ids import UserKey

if TYPE_CHECKING:
    from sojourn.notices.inmemory import InMemoryNotices
    from sojourn.notices.redis import RedisNotices


class ForgetNotices(Operation[int], frozen=True):
    """Delete all notices of a user; how many.

    Attributes:
        owner: which user.
    """

    owner: UserKey

    async def on_server(self, server: RedisNotices) -> int:
        """One round trip."""
        stream = server.stream(self.owner)
        call: Call[list[Any]] = Call(
            name="notices.forget",
            keys=(stream,),
            read=list,
            commands=[("XLEN", stream), ("UNLINK", stream)],
            allow_wrong_type=True,
        )
        count, _ = await server.engine.run(call)
        return count if isinstance(count, int) else 0

    async def in_memory(self, memory: InMemoryNotices) -> int:
        """As `Operation`."""
        stream = memory.streams.pop(self.owner, None)
        return 0 if stream is None else len(stream.entries)
