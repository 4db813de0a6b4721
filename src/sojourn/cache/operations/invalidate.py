"""Invalidate the entries of a tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.cache.store import LONGEST
from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation

if TYPE_CHECKING:
    from sojourn.cache.inmemory import InMemoryCache
    from sojourn.cache.redis import RedisCache

SCRIPT = Script.beside(__name__)
_LONGEST = round(LONGEST * 1000)


class InvalidateTag(Operation[None], frozen=True):
    """Make all entries of a tag stored until now, or being computed now, count as missing.

    Attributes:
        tenant: whose entries.
        tag: which of them.
    """

    tenant: str
    tag: str

    async def on_server(self, server: RedisCache) -> None:
        """One call for each shard of a tenant's entries, all in one round trip."""
        await server.engine.run_all(
            [
                Call("cache.invalidate", (tags,), only, script=SCRIPT, args=(self.tag, _LONGEST))
                for tags in server.tags_of(self.tenant)
            ]
        )

    async def in_memory(self, memory: InMemoryCache) -> None:
        """As `Operation`."""
        memory.invalidated[self.tenant, self.tag] = memory.stamp()
