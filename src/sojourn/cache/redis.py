"""Cache store on a server: the basis of all operations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from sojourn.cache.keys import CacheRoomKeys
from sojourn.cache.store import EntryKey
from sojourn.calls.operation import Operation, R
from sojourn.engine.engine import Engine
from sojourn.engine.scan import found, scan, unlink


class RedisCache:
    """The entries of one deployment, over an engine. Public attributes are for operations.

    Args:
        engine: where calls go.
        keys: builds the keys.
    """

    def __init__(self, engine: Engine, keys: CacheRoomKeys) -> None:
        self.engine = engine
        self.keys = keys

    def run(self, operation: Operation[R]) -> Coroutine[Any, Any, R]:
        """As `CacheStore`."""
        return operation.on_server(self)

    async def every(self) -> AsyncIterator[EntryKey]:
        """One round trip for each 1,000 keys."""
        async for key in scan(self.engine, self.keys.pattern("cache")):
            kind = self.keys.kind_of(key)
            if kind is not None and kind.name == "cached":
                tenant, _, name = self.keys.named(key)
                yield EntryKey(tenant, name)

    async def find(self, tenant: str, *kinds: str) -> list[str]:
        """The keys of a tenant that are of some kinds, in order."""
        keys = await found(self.engine, self.keys.cached_by(tenant))
        return [key for key in keys if (kind := self.keys.kind_of(key)) and kind.name in kinds]

    async def unlink(self, names: Sequence[str]) -> None:
        """Delete keys."""
        await unlink(self.engine, names)
