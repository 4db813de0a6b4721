"""Store a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.cache.store import CacheEntry, EntryKey
from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.codecs.growth import refusal

if TYPE_CHECKING:
    from sojourn.cache.inmemory import InMemoryCache
    from sojourn.cache.redis import RedisCache

SCRIPT = Script.beside(__name__)


class PutCached(Operation[None], frozen=True):
    """Store a value, once, and revoke the lease.

    Raises `NewerFormat` where a newer version wrote the entry in a way that this one cannot read,
    and `CorruptRecord` where a damaged entry looks like one. It stays; it can be deleted and
    invalidated.

    Attributes:
        key: of which entry.
        entry: the value.
        operation_id: repeated with the same one, it takes effect once.
    """

    key: EntryKey
    entry: CacheEntry
    operation_id: str

    async def on_server(self, server: RedisCache) -> None:
        """One round trip."""
        keys = server.keys.cache(*self.key)
        call: Call[list[bytes]] = Call(
            name="cache.put",
            keys=(keys.entry, keys.lease, keys.operations, keys.tags),
            read=only,
            script=SCRIPT,
            args=(self.operation_id, *self.entry.arguments()),
            operation_id=self.operation_id,
        )
        status, *found = await server.engine.run(call)
        if status == b"newer":
            raise refusal("The cached entry", keys.entry, *found)

    async def in_memory(self, memory: InMemoryCache) -> None:
        """As `Operation`."""
        operation = (self.key, "put", self.operation_id)
        if operation not in memory.done:
            memory.remember(operation, found=True)
            memory.put(self.key, self.entry, memory.stamp())
            memory.leases.pop(self.key, None)
