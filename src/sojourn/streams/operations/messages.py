"""Add messages to a connection, and read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from sojourn.calls.call import Call, Script, only
from sojourn.calls.coded import CodedStore
from sojourn.calls.operation import Operation
from sojourn.caps import CEILING
from sojourn.codecs.codec import Place
from sojourn.codecs.growth import check_format, check_stored
from sojourn.errors import CorruptRecord
from sojourn.ids import SessionKey
from sojourn.streams.model import MAX_BYTES, MAX_MESSAGES, TTL_MS, StoredMessage

if TYPE_CHECKING:
    from sojourn.streams.inmemory import InMemoryStreams
    from sojourn.streams.redis import RedisStreams

LONGEST = CEILING.event
"""Bytes of a row that is read: a tool's answer, like an event, is no longer."""
_ADD = Script.beside(__name__, "add")


class AddMessage(Operation[int], frozen=True):
    """Add a message, once; its number, 0 when there is no such connection.

    Attributes:
        key: the name of the connection.
        row: JSON array of the stream and the text.
        size: bytes of the two.
        operation_id: repeated with the same one, it takes effect once.
    """

    key: SessionKey
    row: bytes
    size: int
    operation_id: str

    async def encoded(self, coded: CodedStore) -> AddMessage:
        """As `Operation`; bound to the connection and the operation."""
        coder = await coded.codec.coder(self.key.app, self.key.user, create=True)
        return replace(self, row=coder.encode(self.row, place_of(self.key, self.operation_id)))

    async def on_server(self, server: RedisStreams) -> int:
        """One round trip."""
        call: Call[int] = Call(
            name="streams.add",
            keys=(server.keys.mcp(self.key),),
            read=only,
            script=_ADD,
            args=(
                self.operation_id,
                self.row,
                TTL_MS,
                MAX_MESSAGES,
                MAX_BYTES,
                self.size,
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
        stored = StoredMessage(found.seq, self.operation_id, self.row, self.size)
        found.messages[self.operation_id] = stored
        while len(found.messages) > 1 and found.is_over():
            found.messages.popitem(last=False)
        return found.seq


class ReadMessages(Operation[list[StoredMessage]], frozen=True):
    """The messages that are kept, oldest first. Raises `CorruptRecord` and `Undecodable`.

    Attributes:
        key: the name of the connection.
    """

    key: SessionKey

    async def decoded(self, result: list[StoredMessage], coded: CodedStore) -> list[StoredMessage]:
        """As `Operation`."""
        if not coded.codec.decodes(each.row for each in result):
            return result
        key = self.key
        coder = await coded.codec.coder(key.app, key.user, [each.row for each in result])
        try:
            return [
                each._replace(row=coder.decode(each.row, place_of(key, each.operation), LONGEST))
                for each in result
            ]
        except ValueError as error:
            raise _corrupt(key.session, error, [each.row for each in result]) from error

    async def on_server(self, server: RedisStreams) -> list[StoredMessage]:
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
            raise _corrupt(name, error, flat) from error
        return sorted(found)

    async def in_memory(self, memory: InMemoryStreams) -> list[StoredMessage]:
        """As `Operation`."""
        found = memory.connections.get(self.key)
        if found is None or found.ends <= memory.clock():
            return []
        return list(found.messages.values())


def _message(name: str, field: bytes, value: bytes) -> StoredMessage:
    """The message of a field.

    Raises:
        NewerFormat: a newer version wrote it.
        ValueError: it cannot be read.
    """
    operation, _, rest = value.partition(b"\n")
    row = rest.partition(b"\n")[2]
    check_stored(row, f"Message {field.decode()} of the connection {name}")
    return StoredMessage(int(field), operation.decode(), row)


def place_of(key: SessionKey, operation: str) -> Place:
    """Where a message stands: with the operation that added it."""
    return Place("streams", "message", key.app, key.user, key.session, operation)


def _corrupt(name: str, error: ValueError, raw: Sequence[bytes]) -> CorruptRecord:
    return CorruptRecord(
        f"The messages for a client cannot be read ({error}): another program wrote them, or they "
        "were damaged.",
        key=name,
        raw=b"\n".join(raw),
    )
