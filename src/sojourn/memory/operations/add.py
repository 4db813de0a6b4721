"""Store entries that are not there yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from sojourn.calls.call import Argument, Script
from sojourn.calls.operation import Operation
from sojourn.memory.coded import encoded_items
from sojourn.memory.entry_codec import fields_of, in_ms, tenant_rule
from sojourn.memory.model import ScopeKey
from sojourn.memory.store import Item, MemoryRow

if TYPE_CHECKING:
    from sojourn.calls.coded import CodedStore
    from sojourn.memory.inmemory import InMemoryMemory
    from sojourn.memory.redis import RedisMemory

SCRIPT = Script.beside(__name__)
_NEARLY = 0.99
"""The part of a lifetime that is not worth a renewal."""


class AddEntries(Operation[None], frozen=True):
    """Store entries that are not there, and that no other keeps away.

    What is there lives as long as if it were new, or as before if that is longer; so does what
    keeps others away.

    Attributes:
        scope: whose entries.
        items: what to store.
        ttl: seconds until they expire; None for never.
        operation: a word for what is done, and the operation id.
        tenant: as in `PutEntries`.
        replace: replace what is there, if it is something else.
    """

    scope: ScopeKey
    items: Sequence[Item]
    ttl: float | None
    operation: str
    tenant: str | None = None
    replace: bool = False

    async def encoded(self, coded: CodedStore) -> AddEntries:
        """As `Operation`."""
        return structs.replace(self, items=await encoded_items(coded, self.scope, self.items))

    async def on_server(self, server: RedisMemory) -> None:
        """As many round trips as `PutEntries`."""
        mode = "replace" if self.replace else ""
        args: list[Argument] = [mode, in_ms(self.ttl), tenant_rule(self.tenant)]
        for item in self.items:
            fields = fields_of(item)
            args += [item.key, item.unless, len(fields), *fields]
        keys = [key for item in self.items for key in (item.key, item.unless or item.key)]
        await server.store_entries(SCRIPT, self, keys, args)

    async def in_memory(self, memory: InMemoryMemory) -> None:
        """As `Operation`."""
        ours, now, ttl = memory.scopes[self.scope], memory.now(), self.ttl
        done = (self.operation, tuple(f"{item.key} {item.unless}" for item in self.items))
        if done in ours.done:
            return
        ours.prune(now)
        expires = None if ttl is None else now + ttl
        plan: list[tuple[str, MemoryRow | None]] = []  # None: what is there then lives longer
        for item in self.items:
            guard = ours.writable(item.unless, now, self.tenant) if item.unless else None
            old = guard or ours.writable(item.key, now, self.tenant)
            former = old.item.tenant if old else ""
            new = item._replace(unless="", tenant=self.tenant or former)
            if old is None:
                plan.append((item.key, MemoryRow(new, 0, now, now, expires)))
            elif guard is None and self.replace and not old.item.is_as(new):
                plan.append((item.key, MemoryRow(new, 0, old.created, now, expires)))
            elif old.expires is not None and (ttl is None or old.expires < now + ttl * _NEARLY):
                plan.append((old.item.key, None))
        for key, row in plan:
            ours.seq += 1
            changed = row or ours.rows[key]._replace(expires=expires)
            ours.set(changed._replace(version=ours.seq))
        if plan:
            ours.remember(done, ours.seq)
