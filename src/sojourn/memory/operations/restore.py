"""Write entries as they were stored, for an import."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from sojourn.calls.call import Argument, Script
from sojourn.calls.operation import Operation
from sojourn.memory.coded import encoded_items
from sojourn.memory.entry_codec import fields_of
from sojourn.memory.model import ScopeKey
from sojourn.memory.store import MemoryRow

if TYPE_CHECKING:
    from sojourn.calls.coded import CodedStore
    from sojourn.memory.inmemory import InMemoryMemory
    from sojourn.memory.redis import RedisMemory

SCRIPT = Script.beside(__name__)


class RestoreEntries(Operation[list[str]], frozen=True):
    """Write entries with their versions, times and lifetimes, all or none, once.

    A version that another change of the scope has already becomes a new one. What has expired is
    not written.

    Returns the keys of entries that were there and stay: all that were, unless they are to be
    replaced; then those that a newer version wrote, in a way that this one cannot read.

    Attributes:
        scope: whose entries.
        rows: what to write.
        operation: a word for what is done, and the operation id.
        replace: replace what is there.
    """

    scope: ScopeKey
    rows: Sequence[MemoryRow]
    operation: str
    replace: bool

    async def encoded(self, coded: CodedStore) -> RestoreEntries:
        """As `Operation`."""
        items = await encoded_items(coded, self.scope, [row.item for row in self.rows])
        rows = [row._replace(item=item) for row, item in zip(self.rows, items, strict=True)]
        return structs.replace(self, rows=rows)

    async def on_server(self, server: RedisMemory) -> list[str]:
        """Two round trips."""
        ends = [row.expires for row in self.rows if row.expires is not None]
        left = None if len(ends) < len(self.rows) else max(0.0, max(ends) - time.time())
        await server.engine.run(server.registration(self.scope, left))
        args: list[Argument] = ["replace" if self.replace else ""]
        for row in self.rows:
            fields = fields_of(row.item)
            expires = "" if row.expires is None else round(row.expires * 1000)
            args += [row.item.key, row.version, row.created, row.updated, expires]
            args += [len(fields), *fields]
        keys = [row.item.key for row in self.rows]
        _, *stay = await server.write(
            SCRIPT, self.scope, keys, self.operation, args, separate_connection=True
        )
        return [key.decode() for key in stay]

    async def in_memory(self, memory: InMemoryMemory) -> list[str]:
        """As `Operation`."""
        ours, now = memory.scopes[self.scope], memory.now()
        done = (self.operation, tuple(row.item.key for row in self.rows))
        if done in ours.done:
            return []
        ours.prune(now)
        there = [row.item.key for row in self.rows if ours.row(row.item.key, now) is not None]
        for row in self.rows:
            key = row.item.key
            if (key in there and not self.replace) or (row.expires or now + 1) <= now:
                continue
            numbers = {*ours.changes.values(), *ours.deleted.values()}
            taken = key in there or row.version in numbers
            ours.set(row._replace(version=ours.seq + 1) if taken else row)
            ours.seq = max(ours.seq, ours.rows[key].version)
        ours.changes = OrderedDict(sorted(ours.changes.items(), key=lambda change: change[1]))
        ours.id = secrets.token_urlsafe(12)
        ours.remember(done, ours.seq)
        return [] if self.replace else there
