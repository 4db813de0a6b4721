"""Read entries by their keys; list entries, scopes and apps."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from sojourn.calls.call import Call, Command
from sojourn.calls.operation import Operation
from sojourn.ids import AppName
from sojourn.memory.coded import decoded_page, decoded_rows
from sojourn.memory.entry_codec import texts
from sojourn.memory.model import Kind, ScopeKey
from sojourn.memory.store import EntryPage, MemoryRow, NamesPage

if TYPE_CHECKING:
    from sojourn.calls.coded import CodedStore
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

    async def decoded(
        self, result: list[MemoryRow | None], coded: CodedStore
    ) -> list[MemoryRow | None]:
        """As `Operation`."""
        there = [row for row in result if row is not None]
        opened = iter(await decoded_rows(coded, self.scope, there))
        rows: list[MemoryRow | None] = []
        for stored in result:
            row = None if stored is None else next(opened)
            if isinstance(row, Exception):
                raise row
            rows.append(row)
        return rows

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


class ListEntries(Operation[EntryPage], frozen=True):
    """Entries in the order of their keys.

    Attributes:
        scope: whose entries.
        prefix: only the keys that start with it.
        after: behind which key; None for the first page.
        limit: how many at most.
        tenant: only this tenant's; None for all.
    """

    scope: ScopeKey
    prefix: str
    after: str | None
    limit: int
    tenant: str | None = None

    async def decoded(self, result: EntryPage, coded: CodedStore) -> EntryPage:
        """As `Operation`."""
        return await decoded_page(coded, self.scope, result)

    async def on_server(self, server: RedisMemory) -> EntryPage:
        """Two round trips."""
        server.register_owed(self.scope)
        ours = server.keys.memory(*self.scope)
        index = server.names_in(ours.names, self.prefix, self.after, self.limit)
        return await server.page(ours, index, self.tenant)

    async def in_memory(self, memory: InMemoryMemory) -> EntryPage:
        """As `Operation`."""
        ours = memory.scopes.get(self.scope, memory.nothing)
        now, limit = memory.now(), self.limit
        names, after = ours.names, self.after
        first = bisect_left(names, self.prefix) if after is None else bisect_right(names, after)
        found = [
            name for name in islice(names, first, first + limit + 1) if name.startswith(self.prefix)
        ]
        rows = [row for name in found[:limit] if (row := ours.row(name, now, self.tenant))]
        return EntryPage(rows, found[limit - 1] if len(found) > limit else None, [], [])


class ListLatest(Operation[EntryPage], frozen=True):
    """The entries that were changed last, the newest first: so many changes are looked at.

    Attributes:
        scope: whose entries.
        limit: how many at most.
        tenant: only this tenant's; None for all.
        before: only what was changed before this version; None for all. The page's `last` is the
            version where it ends.
    """

    scope: ScopeKey
    limit: int
    tenant: str | None = None
    before: int | None = None

    async def decoded(self, result: EntryPage, coded: CodedStore) -> EntryPage:
        """As `Operation`."""
        return await decoded_page(coded, self.scope, result)

    async def on_server(self, server: RedisMemory) -> EntryPage:
        """Two round trips."""
        server.register_owed(self.scope)
        ours, limit = server.keys.memory(*self.scope), self.limit
        top = "+inf" if self.before is None else f"({self.before}"
        command: Command = ("ZREVRANGEBYSCORE", ours.changes, top, "-inf", "WITHSCORES")

        def read(replies: list[Any]) -> NamesPage:
            (flat,) = replies
            last = flat[2 * limit - 1].decode() if len(flat) > 2 * limit else None
            return texts(ours.changes, flat[: 2 * limit : 2]), last

        commands = [(*command, "LIMIT", 0, limit + 1)]
        index = Call("memory.index", (ours.changes,), read, commands=commands)
        return await server.page(ours, index, self.tenant)

    async def in_memory(self, memory: InMemoryMemory) -> EntryPage:
        """As `Operation`."""
        ours = memory.scopes.get(self.scope, memory.nothing)
        now, limit = memory.now(), self.limit
        changes = (
            change
            for change in reversed(ours.changes.items())
            if self.before is None or change[1] < self.before
        )
        found = list(islice(changes, limit + 1))
        rows = [row for key, _ in found[:limit] if (row := ours.row(key, now, self.tenant))]
        return EntryPage(rows, str(found[limit - 1][1]) if len(found) > limit else None, [], [])


class ListScopes(Operation[NamesPage], frozen=True):
    """Names of one shard that have entries.

    Attributes:
        app: of which application.
        kind: of which kind.
        shard: of the index; there is one in memory.
        after: behind which name; None for the first page.
        limit: how many at most.
    """

    app: AppName
    kind: Kind
    shard: int
    after: str | None
    limit: int

    async def on_server(self, server: RedisMemory) -> NamesPage:
        """Two round trips: a name whose entries have expired stays in the index for a while."""
        index, _ = server.keys.memories(self.app, self.kind, self.shard)
        names, last = await server.engine.run(server.names_in(index, "", self.after, self.limit))
        ends = [server.keys.memory(self.app, self.kind, name).expiry for name in names]
        calls = [
            Call(
                "memory.last",
                (expiry,),
                _is_alive,
                commands=[("ZREVRANGE", expiry, 0, 0, "WITHSCORES"), ("TIME",)],
            )
            for expiry in ends
        ]
        alive = await server.engine.run_all(calls)
        return [name for name, lives in zip(names, alive, strict=True) if lives], last

    async def in_memory(self, memory: InMemoryMemory) -> NamesPage:
        """As `Operation`."""
        now, limit = memory.now(), self.limit
        found = sorted(
            scope.name
            for scope, ours in memory.scopes.items()
            if scope[:2] == (self.app, self.kind)
            and (self.after is None or scope.name > self.after)
            and any(ours.row(key, now) for key in ours.names)
        )
        return found[:limit], found[limit - 1] if len(found) > limit else None


class ListMemoryApps(Operation[set[str]], frozen=True):
    """The apps that have entries."""

    async def on_server(self, server: RedisMemory) -> set[str]:
        """One round trip for each 1,000 keys of the server."""
        keys = await server.find(server.keys.pattern("memories"))
        return {server.keys.tag_of(key)[0] for key in keys}

    async def in_memory(self, memory: InMemoryMemory) -> set[str]:
        """As `Operation`."""
        return {scope.app for scope in memory.scopes}


def _is_alive(replies: list[Any]) -> bool:
    """Whether the last entry of a scope has not expired, by the server's clock."""
    last, clock = replies
    return bool(last) and float(last[1]) > int(clock[0]) * 1000 + int(clock[1]) / 1000
