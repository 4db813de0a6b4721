"""Read the messages of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sojourn.calls.call import Call, only
from sojourn.calls.operation import Operation
from sojourn.codecs import decode
from sojourn.codecs.growth import FORMAT, check_format, plain
from sojourn.errors import CorruptRecord, NewerFormat
from sojourn.ids import SessionKey
from sojourn.streams.model import StreamMessage

if TYPE_CHECKING:
    from sojourn.streams.inmemory import InMemoryStreams
    from sojourn.streams.redis import RedisStreams


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
                f"What was kept for a client cannot be read ({error}): others wrote it, or it was "
                "damaged.",
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
            raise ValueError("a message is no pair of texts")
