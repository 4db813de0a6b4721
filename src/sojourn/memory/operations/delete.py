"""Delete an entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.calls.call import Script
from sojourn.calls.operation import Operation
from sojourn.memory.entry_codec import stale, tenant_rule
from sojourn.memory.model import ScopeKey

if TYPE_CHECKING:
    from sojourn.memory.inmemory import InMemoryMemory
    from sojourn.memory.redis import RedisMemory

SCRIPT = Script.beside(__name__)


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
