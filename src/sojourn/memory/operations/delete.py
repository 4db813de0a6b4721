"""Delete one entry, or all entries of a scope."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.calls.call import Argument, Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.memory.entry_codec import MOST, stale, tenant_rule
from sojourn.memory.model import ScopeKey

if TYPE_CHECKING:
    from sojourn.memory.inmemory import InMemoryMemory
    from sojourn.memory.redis import RedisMemory

SCRIPT = Script.beside(__name__)
CLEAR = Script.beside(__name__, "clear")
_STEP = 500
"""Entries that one call of `ClearScope` deletes."""


class DeleteEntry(Operation[bool], frozen=True):
    """Delete an entry; returns whether there was one. Raises StaleEntry.

    Attributes:
        scope: whose entry.
        key: its name.
        operation: a word for what is done, and the operation id.
        expected: the version that it must have; None for any.
        tenant: whose it must be; None for anybody's.
    """

    scope: ScopeKey
    key: str
    operation: str
    expected: int | None = None
    tenant: str | None = None

    async def on_server(self, server: RedisMemory) -> bool:
        """One round trip."""
        expected = "" if self.expected is None else self.expected
        args = (expected, tenant_rule(self.tenant), self.key)
        status, number = await server.write(SCRIPT, self.scope, [self.key], self.operation, args)
        if status == b"stale":
            raise stale(self.key, self.expected, int(number))
        return bool(number == 1)

    async def in_memory(self, memory: InMemoryMemory) -> bool:
        """As `Operation`."""
        ours, now = memory.scopes[self.scope], memory.now()
        done = (self.operation, (self.key,))
        if done in ours.done:
            return bool(ours.done[done])
        found = ours.row(self.key, now, self.tenant) is not None
        if found:
            ours.check_version(self.key, now, self.expected)
            ours.seq += 1
            ours.drop(self.key, ours.seq)
        ours.remember(done, int(found))
        return found


class ClearScope(Operation[None], frozen=True):
    """Delete the entries that there are now.

    Attributes:
        scope: whose entries.
        operation: a word for what is done, and the operation id.
        tenant: only this tenant's; None for all.
    """

    scope: ScopeKey
    operation: str
    tenant: str | None = None

    async def on_server(self, server: RedisMemory) -> None:
        """One round trip, and two for each 500 entries."""
        ours = server.keys.memory(*self.scope)
        call: Call[bytes | None] = Call(
            "memory.clear", (ours.head,), only, commands=[("HGET", ours.head, "seq")]
        )
        seq = await server.engine.run(call)
        last_change = int(seq) if seq and seq.isdigit() else MOST  # evicted, or a newer version's
        after: str | None = None
        while True:
            keys, after = await server.engine.run(server.names_in(ours.names, "", after, _STEP))
            if keys:
                args: list[Argument] = [last_change, tenant_rule(self.tenant), *keys]
                await server.write(CLEAR, self.scope, keys, self.operation, args)
            if after is None:
                return

    async def in_memory(self, memory: InMemoryMemory) -> None:
        """As `Operation`."""
        ours = memory.scopes.get(self.scope, memory.nothing)
        for key, row in list(ours.rows.items()):
            if self.tenant in (None, row.item.tenant):
                ours.seq += 1
                ours.drop(key, ours.seq)
