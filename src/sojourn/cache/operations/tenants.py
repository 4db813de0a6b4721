"""List the entries of a tenant, and delete all of them. Both look at every key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.calls.operation import Operation
from sojourn.ids import unescape

if TYPE_CHECKING:
    from sojourn.cache.inmemory import InMemoryCache
    from sojourn.cache.redis import RedisCache


class ListCached(Operation[list[str]], frozen=True):
    """The names of a tenant's entries, in order.

    Attributes:
        tenant: whose entries.
    """

    tenant: str

    async def on_server(self, server: RedisCache) -> list[str]:
        """A round trip for each 1,000 keys of the server."""
        found = await server.find(self.tenant, "cached")
        return [unescape(key.rpartition(":")[2]) for key in found]

    async def in_memory(self, memory: InMemoryCache) -> list[str]:
        """As `Operation`."""
        now, entries = memory.clock(), memory.entries.items()
        return sorted(
            key.name for key, it in entries if key.tenant == self.tenant and it.ends > now
        )


class ForgetTenant(Operation[int], frozen=True):
    """Delete all that is kept of a tenant; how many entries.

    Attributes:
        tenant: whose entries.
    """

    tenant: str

    async def on_server(self, server: RedisCache) -> int:
        """A round trip for each 1,000 keys of the server, and for each 500 that are deleted."""
        keys = await server.find(self.tenant, "cached", "lease", "tags", "cacheops")
        await server.unlink(keys)
        return sum(":entry:" in key for key in keys)

    async def in_memory(self, memory: InMemoryCache) -> int:
        """As `Operation`."""
        tenant, names = self.tenant, await ListCached(self.tenant).in_memory(memory)
        for key in [each for each in (*memory.entries, *memory.leases) if each.tenant == tenant]:
            memory.entries.pop(key, None)
            memory.leases.pop(key, None)
        for tag in [each for each in memory.invalidated if each[0] == tenant]:
            del memory.invalidated[tag]
        for operation in [each for each in memory.done if each[0].tenant == tenant]:
            del memory.done[operation]
        return len(names)
