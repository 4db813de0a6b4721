"""Delete an entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.cache.store import EntryKey
from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation

if TYPE_CHECKING:
    from sojourn.cache.inmemory import InMemoryCache
    from sojourn.cache.redis import RedisCache

SCRIPT = Script.beside(__name__)


class DeleteCached(Operation[bool], frozen=True):
    """Delete an entry, once, and revoke the lease on it; whether there was one.

    Attributes:
        key: which entry.
        operation_id: repeated with the same one, it takes effect once.
    """

    key: EntryKey
    operation_id: str

    async def on_server(self, server: RedisCache) -> bool:
        """One round trip."""
        keys = server.keys.cache(*self.key)
        call: Call[int] = Call(
            name="cache.delete",
            keys=(keys.entry, keys.lease, keys.operations),
            read=only,
            script=SCRIPT,
            args=(self.operation_id,),
            operation_id=self.operation_id,
        )
        return await server.engine.run(call) == 1

    async def in_memory(self, memory: InMemoryCache) -> bool:
        """As `Operation`."""
        operation = (self.key, "delete", self.operation_id)
        done = memory.done.get(operation)
        if done is not None:
            return done
        entry = memory.entries.pop(self.key, None)
        memory.leases.pop(self.key, None)
        found = entry is not None and entry.ends > memory.clock()
        memory.remember(operation, found=found)
        return found
