"""Open a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.ids import SessionKey
from sojourn.streams.model import TTL_MS

if TYPE_CHECKING:
    from sojourn.streams.inmemory import InMemoryStreams
    from sojourn.streams.redis import RedisStreams

SCRIPT = Script.beside(__name__)


class OpenConnection(Operation[None], frozen=True):
    """Open a connection, if there is none of this name.

    Attributes:
        key: its name.
    """

    key: SessionKey

    async def on_server(self, server: RedisStreams) -> None:
        """One round trip."""
        name = server.keys.mcp(self.key)
        await server.engine.run(Call("streams.open", (name,), only, script=SCRIPT, args=(TTL_MS,)))

    async def in_memory(self, memory: InMemoryStreams) -> None:
        """As `Operation`."""
        if memory.alive(self.key) is None:
            memory.open(self.key)
