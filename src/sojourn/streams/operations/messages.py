"""Add messages to a connection, and read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.codecs import decode
from sojourn.codecs.growth import FORMAT, check_format, plain
from sojourn.errors import CorruptRecord, NewerFormat
from sojourn.ids import SessionKey
from sojourn.streams.model import MAX_BYTES, MAX_MESSAGES, TTL_MS, StreamMessage

if TYPE_CHECKING:
    from sojourn.streams.inmemory import InMemoryStreams
    from sojourn.streams.redis import RedisStreams

_ADD = Script.beside(__name__, "add")


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
            script=_ADD,
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


class ReadMessages(Operation[list[StreamMessage]], frozen=True):
    """The messages that are kept, oldest first. Raises `CorruptRecord` and `NewerFormat`.

    Attributes:
        key: the name of the connection.
    """

    key: SessionKey

    async def on_server(self, server: RedisStreams) -> list[StreamMessage]:
        """One round trip."""
        name = server.keys.mcp(self.key)
        call: Call[list[Any]] = Call(
            "streams.read", (name,), only, commands=[("HGETALL", name)], separate_connection=True
        )
        flat = await server.engine.run(call)
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        try:
            check_format(fields.get(b"format"), f"The connection {name}")
            found = [_message(name, *each) for each in fields.items() if each[0].isdigit()]
        except ValueError as error:
            raise CorruptRecord(
                f"The messages for a client cannot be read ({error}): another program wrote them, "
                "or they were damaged.",
                key=name,
                raw=b"\n".join(flat),
            ) from error
        return sorted(found)

    async def in_memory(self, memory: InMemoryStreams) -> list[StreamMessage]:
        """As `Operation`."""
        found = memory.connections.get(self.key)
        if found is None or found.ends <= memory.clock():
            return []
        return list(found.messages.values())


def _message(name: str, field: bytes, value: bytes) -> StreamMessage:
    """The message of a field.

    Raises:
        NewerFormat: a newer version wrote it, in a way that this one cannot read.
        ValueError: it cannot be read.
    """
    what = f"Message {field.decode()} of the connection {name}"
    match decode(plain(value.split(b"\n", 2)[-1], what)):
        case [str(stream), str(message), *_]:
            return StreamMessage(int(field), stream, message)
        case {} | [str(), dict(), *_]:
            raise NewerFormat(
                f"{what} has a form that this version of Sojourn cannot read. Upgrade it; nothing "
                "was changed.",
                found=str(FORMAT),
                known=str(FORMAT),
            )
        case _:
            raise ValueError("a message is not a pair of texts")
