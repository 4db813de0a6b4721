"""Store entries in place of what is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sojourn.calls.call import Argument, Script
from sojourn.calls.operation import Operation
from sojourn.memory.coded import encoded_items
from sojourn.memory.entry_codec import fields_of, in_ms, stale, tenant_rule
from sojourn.memory.model import ScopeKey
from sojourn.memory.store import Item, MemoryRow

if TYPE_CHECKING:
    from sojourn.calls.coded import CodedStore
    from sojourn.memory.inmemory import InMemoryMemory
    from sojourn.memory.redis import RedisMemory

SCRIPT = Script.beside(__name__)


class PutEntries(Operation[int], frozen=True):
    """Store entries, all or none; returns the version of the last: they are consecutive.

    Raises StaleEntry when the one entry does not have the expected version, and Conflict when an
    entry there is another tenant's.

    Attributes:
        scope: whose entries.
        items: what to store.
        ttl: seconds until they expire; None for never.
        operation: a word for what is done, and the operation id.
        expected: the version that the entry must have, 0 for none; None for any.
        tenant: whose they are; None leaves the tenant of what is there.
    """

    scope: ScopeKey
    items: Sequence[Item]
    ttl: float | None
    operation: str
    expected: int | None = None
    tenant: str | None = None

    async def encoded(self, coded: CodedStore) -> PutEntries:
        """As `Operation`."""
        return replace(self, items=await encoded_items(coded, self.scope, self.items))

    async def on_server(self, server: RedisMemory) -> int:
        """One round trip; one more for the first in a scope by this process, and once a day."""
        expected = "" if self.expected is None else self.expected
        args: list[Argument] = [expected, in_ms(self.ttl), tenant_rule(self.tenant)]
        for item in self.items:
            fields = fields_of(item)
            args += [item.key, len(fields), *fields]
        keys = [item.key for item in self.items]
        status, number = await server.store_entries(SCRIPT, self, keys, args)
        if status == b"stale":
            raise stale(self.items[0].key, self.expected, number)
        return number

    async def in_memory(self, memory: InMemoryMemory) -> int:
        """As `Operation`."""
        ours, now = memory.scopes[self.scope], memory.now()
        done = (self.operation, tuple(item.key for item in self.items))
        if done in ours.done:
            return ours.done[done]
        ours.prune(now)
        for item in self.items:
            ours.writable(item.key, now, self.tenant)
            ours.check_version(item.key, now, self.expected)
        expires = None if self.ttl is None else now + self.ttl
        for item in self.items:
            old = ours.row(item.key, now)
            ours.seq += 1
            created, former = (old.created, old.item.tenant) if old else (now, "")
            stored = item._replace(tenant=self.tenant or former)
            ours.set(MemoryRow(stored, ours.seq, created, now, expires))
        ours.remember(done, ours.seq)
        return ours.seq
