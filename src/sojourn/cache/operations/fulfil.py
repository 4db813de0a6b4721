"""Give back a lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.cache.store import CacheEntry, EntryKey
from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation

if TYPE_CHECKING:
    from sojourn.cache.inmemory import InMemoryCache
    from sojourn.cache.redis import RedisCache

SCRIPT = Script.beside(__name__)


class FulfilLease(Operation[bool], frozen=True):
    """Give back a lease with the value that was computed; whether it was still held.

    If it was not, nothing is stored. Nor is it where a newer version has written meanwhile, in a
    way that this one cannot read.

    Attributes:
        key: of which entry.
        entry: the value; None to store nothing.
        token: names the lease.
        since: when it was taken, as `Fetched` says.
    """

    key: EntryKey
    entry: CacheEntry | None
    token: str
    since: int

    async def on_server(self, server: RedisCache) -> bool:
        """One round trip."""
        keys = server.keys.cache(*self.key)
        call: Call[int] = Call(
            name="cache.fulfil",
            keys=(keys.entry, keys.lease, keys.tags),
            read=only,
            script=SCRIPT,
            args=(self.token, self.since, *(self.entry.arguments() if self.entry else ())),
            operation_id=self.token,
        )
        return await server.engine.run(call) == 1

    async def in_memory(self, memory: InMemoryCache) -> bool:
        """As `Operation`."""
        if memory.holder(self.key) != self.token:
            return False
        del memory.leases[self.key]
        if self.entry is not None:
            memory.put(self.key, self.entry, self.since)
        return True
