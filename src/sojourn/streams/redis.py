"""The connections of clients on a server."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import msgspec

from sojourn.calls.call import Call, Script, only
from sojourn.codecs import decode
from sojourn.codecs.growth import FORMAT, check_format, plain
from sojourn.engine.engine import Engine
from sojourn.engine.scan import found, unlink
from sojourn.errors import CorruptRecord, NewerFormat
from sojourn.ids import SessionKey, UserKey
from sojourn.streams.keys import StreamRoomKeys
from sojourn.streams.model import StreamMessage
from sojourn.streams.store import Reach

_LUA = files("sojourn.streams") / "lua"
_OPEN, _ADD = (Script.load(_LUA, name) for name in ("open", "add"))


class RedisStreams:
    """A `StreamStore` over an engine.

    Args:
        engine: where calls go.
        keys: builds the keys.
        reach: how much is kept.
    """

    def __init__(self, engine: Engine, keys: StreamRoomKeys, reach: Reach) -> None:
        self._engine = engine
        self._keys = keys
        self._reach = reach
        self._ttl = round(reach.ttl * 1000)

    async def open(self, key: SessionKey) -> None:
        """Begin a connection."""
        call: Call[int] = Call(
            "streams.open", (self._keys.mcp(key),), only, script=_OPEN, args=(self._ttl,)
        )
        await self._engine.run(call)

    async def forget(self, owner: UserKey) -> int:
        """Forget all connections of a user."""
        names = await found(self._engine, self._keys.mcp_by(owner))
        await unlink(self._engine, names)
        return len(names)

    async def touch(self, key: SessionKey) -> bool:
        """Let a connection live on."""
        name = self._keys.mcp(key)
        call: Call[int] = Call(
            "streams.touch", (name,), only, commands=[("PEXPIRE", name, self._ttl)]
        )
        return await self._engine.run(call) == 1

    async def add(self, key: SessionKey, stream: str, message: str, operation_id: str) -> int:
        """Add a message."""
        reach = self._reach
        call: Call[int] = Call(
            name="streams.add",
            keys=(self._keys.mcp(key),),
            read=only,
            script=_ADD,
            args=(
                operation_id,
                msgspec.json.encode((stream, message)),
                self._ttl,
                reach.messages,
                reach.bytes,
                len((stream + message).encode()),
            ),
            operation_id=operation_id,
        )
        return await self._engine.run(call)

    async def read(self, key: SessionKey) -> list[StreamMessage]:
        """The messages that are kept."""
        name = self._keys.mcp(key)
        call: Call[list[Any]] = Call(
            "streams.read", (name,), only, commands=[("HGETALL", name)], separate_connection=True
        )
        flat = await self._engine.run(call)
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        try:
            check_format(fields.get(b"format"), f"The connection {name}")
            told = [_told(name, *each) for each in fields.items() if each[0].isdigit()]
        except ValueError as error:
            raise CorruptRecord(
                f"What was kept for a client cannot be read ({error}): others wrote it, or it was "
                "damaged.",
                key=name,
                raw=b"\n".join(flat),
            ) from error
        return sorted(told)

    async def close(self, key: SessionKey) -> bool:
        """Forget a connection."""
        name = self._keys.mcp(key)
        call: Call[int] = Call("streams.close", (name,), only, commands=[("UNLINK", name)])
        return await self._engine.run(call) == 1


def _told(name: str, field: bytes, value: bytes) -> StreamMessage:
    """A message of its field.

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
