"""Open, touch, close and forget connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.ids import SessionKey, UserKey
from sojourn.streams.model import TTL_MS

if TYPE_CHECKING:
    from sojourn.streams.inmemory import InMemoryStreams
    from sojourn.streams.redis import RedisStreams


_OPEN = Script.beside(__name__, "open")


class OpenConnection(Operation[None], frozen=True):
    """Open a connection, if there is none of this name.

    Attributes:
        key: its name.
    """

    key: SessionKey

    async def on_server(self, server: RedisStreams) -> None:
        """One round trip."""
        name = server.keys.mcp(self.key)
        await server.engine.run(Call("streams.open", (name,), only, script=_OPEN, args=(TTL_MS,)))

    async def in_memory(self, memory: InMemoryStreams) -> None:
        """As `Operation`."""
        if memory.alive(self.key) is None:
            memory.open(self.key)


class TouchConnection(Operation[bool], frozen=True):
    """Let a connection live for its TTL from now; whether there is one.

    Attributes:
        key: its name.
    """

    key: SessionKey

    async def on_server(self, server: RedisStreams) -> bool:
        """One round trip."""
        name = server.keys.mcp(self.key)
        commands = [("PEXPIRE", name, TTL_MS)]
        call: Call[int] = Call("streams.touch", (name,), only, commands=commands)
        return await server.engine.run(call) == 1

    async def in_memory(self, memory: InMemoryStreams) -> bool:
        """As `Operation`."""
        return memory.alive(self.key) is not None


class CloseConnection(Operation[bool], frozen=True):
    """Forget a connection and its messages; whether there was one.

    Attributes:
        key: its name.
    """

    key: SessionKey

    async def on_server(self, server: RedisStreams) -> bool:
        """One round trip."""
        name = server.keys.mcp(self.key)
        call: Call[int] = Call("streams.close", (name,), only, commands=[("UNLINK", name)])
        return await server.engine.run(call) == 1

    async def in_memory(self, memory: InMemoryStreams) -> bool:
        """As `Operation`."""
        found = memory.alive(self.key) is not None
        memory.connections.pop(self.key, None)
        return found


class ForgetConnections(Operation[int], frozen=True):
    """Forget all connections of a user; how many.

    Attributes:
        owner: which user.
    """

    owner: UserKey

    async def on_server(self, server: RedisStreams) -> int:
        """A round trip for each 1,000 keys of the server, and for each 500 that are deleted."""
        names = await server.find(server.keys.mcp_by(self.owner))
        await server.unlink(names)
        return len(names)

    async def in_memory(self, memory: InMemoryStreams) -> int:
        """As `Operation`."""
        ours = [key for key in memory.connections if key.owner == self.owner]
        for key in ours:
            del memory.connections[key]
        return len(ours)
