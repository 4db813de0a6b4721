"""Read entries by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from sojourn.calls.operation import Operation
from sojourn.memory.model import ScopeKey
from sojourn.memory.store import MemoryRow

if TYPE_CHECKING:
    from sojourn.memory.inmemory import InMemoryMemory
    from sojourn.memory.redis import RedisMemory


class GetEntries(Operation[list[MemoryRow | None]], frozen=True):
    """Entries, in the order of the keys; None for one that is not there.

    Attributes:
        scope: whose entries.
        keys: their names.
        tenant: only this tenant's; None for all.
    """

    scope: ScopeKey
    keys: Sequence[str]
    tenant: str | None = None

    async def on_server(self, server: RedisMemory) -> list[MemoryRow | None]:
        """One round trip."""
        server.register_owed(self.scope)
        ours = server.keys.memory(*self.scope)
        found = await server.read(ours, self.keys, self.tenant)
        for each in found:
            if isinstance(each, Exception):
                raise each
        return cast("list[MemoryRow | None]", found)

    async def in_memory(self, memory: InMemoryMemory) -> list[MemoryRow | None]:
        """As `Operation`."""
        ours, now = memory.scopes.get(self.scope, memory.nothing), memory.now()
        return [ours.row(key, now, self.tenant) for key in self.keys]
