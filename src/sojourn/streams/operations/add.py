"""Add a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.ids import SessionKey
from sojourn.streams.model import MAX_BYTES, MAX_MESSAGES, TTL_MS, StreamMessage

if TYPE_CHECKING:
    from sojourn.streams.inmemory import InMemoryStreams
    from sojourn.streams.redis import RedisStreams

SCRIPT = Script.beside(__name__)


class AddMessage(Operation[int], frozen=True):
    """Add a message, once; its number, 0 when there is no such connection.

    Attributes:
        key: the name of the connection.
        stream: which of its streams.
        message: the text.
        operation_id: repeated with the same one, it takes effect once.
    """

    key: SessionKey
    stream: str
    message: str
    operation_id: str

    async def on_server(self, server: RedisStreams) -> int:
        """One round trip."""
        call: Call[int] = Call(
            name="streams.add",
            keys=(server.keys.mcp(self.key),),
            read=only,
            script=SCRIPT,
            args=(
                self.operation_id,
                msgspec.json.encode((self.stream, self.message)),
                TTL_MS,
                MAX_MESSAGES,
                MAX_BYTES,
                len((self.stream + self.message).encode()),
            ),
            operation_id=self.operation_id,
        )
        return await server.engine.run(call)

    async def in_memory(self, memory: InMemoryStreams) -> int:
        """As `Operation`."""
        found = memory.alive(self.key)
        if found is None:
            return 0
        if self.operation_id in found.messages:
            return found.messages[self.operation_id].number
        found.seq += 1
        found.messages[self.operation_id] = StreamMessage(found.seq, self.stream, self.message)
        while len(found.messages) > 1 and found.is_over():
            found.messages.popitem(last=False)
        return found.seq
