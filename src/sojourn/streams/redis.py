"""Stream store on a server: the basis of all operations."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from sojourn.calls.operation import Operation, R
from sojourn.engine.engine import Engine
from sojourn.engine.scan import found, unlink
from sojourn.streams.keys import StreamRoomKeys


class RedisStreams:
    """The connections of one deployment, over an engine. Public attributes are for operations.

    Args:
        engine: where calls go.
        keys: builds the keys.
    """

    def __init__(self, engine: Engine, keys: StreamRoomKeys) -> None:
        self.engine = engine
        self.keys = keys

    def run(self, operation: Operation[R]) -> Coroutine[Any, Any, R]:
        """As `RoomStore`."""
        return operation.on_server(self)

    async def unlink(self, pattern: str) -> int:
        """Delete all keys that match; how many."""
        names = await found(self.engine, pattern)
        await unlink(self.engine, names)
        return len(names)
