"""The in-memory memory store."""

from __future__ import annotations

import heapq
import secrets
import time
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice

from sojourn.ids import AppName
from sojourn.memory.model import Kind, ScopeKey
from sojourn.memory.rows import of_others, stale
from sojourn.memory.store import (
    ChangeMark,
    Changes,
    EntryPage,
    Item,
    MemoryRow,
    MemoryWrite,
    ScopeNames,
    Witness,
)
from sojourn.resilience.atomic import atomic

_REMEMBERED = 1000
"""Operations and deletions of a scope that are remembered, as on a server."""
_STEP = 500
_NEARLY = 0.99
"""The part of a lifetime that is not worth a renewal."""


class _Scope:
    """The entries of one scope."""

    def __init__(self) -> None:
        self.id = secrets.token_urlsafe(12)
        self.seq = 0
        self.floor = 0
        self.rows: dict[str, MemoryRow] = {}
        self.names: list[str] = []
        self.changes: OrderedDict[str, int] = OrderedDict()
        self.deleted: OrderedDict[str, int] = OrderedDict()
        self.done: OrderedDict[tuple[str, tuple[str, ...]], int] = OrderedDict()
        self._expiry: list[tuple[float, str, int]] = []

    def row(self, key: str, now: float, tenant: str | None = None) -> MemoryRow | None:
        found = self.rows.get(key)
        if found is None or (found.expires is not None and found.expires <= now):
            return None
        return found if tenant is None or found.item.tenant == tenant else None

    def writable(self, key: str, now: float, tenant: str | None) -> MemoryRow | None:
        """What is there to be replaced.

        Raises:
            Conflict: it is another tenant's.
        """
        found = self.row(key, now)
        if found is not None and tenant is not None and found.item.tenant != tenant:
            raise of_others(key)
        return found

    def set(self, row: MemoryRow) -> None:
        key = row.item.key
        if key not in self.rows:
            insort(self.names, key)
        self.rows[key] = row
        self.changes[key] = row.version
        self.changes.move_to_end(key)
        self.deleted.pop(key, None)
        if row.expires is not None:
            heapq.heappush(self._expiry, (row.expires, key, row.version))

    def drop(self, key: str, seq: int) -> None:
        if self.rows.pop(key, None) is not None:
            del self.names[bisect_left(self.names, key)]
        self.changes.pop(key, None)
        self.deleted[key] = seq
        while len(self.deleted) > _REMEMBERED:
            _, oldest = self.deleted.popitem(last=False)
            self.floor = max(self.floor, oldest)

    def prune(self, now: float) -> None:
        while self._expiry and self._expiry[0][0] <= now:
            _, key, version = heapq.heappop(self._expiry)
            row = self.rows.get(key)
            if row is not None and row.version == version:
                self.drop(key, version)

    def remember(self, operation: tuple[str, tuple[str, ...]], result: int) -> None:
        self.done[operation] = result
        if len(self.done) > _REMEMBERED:
            self.done.popitem(last=False)


@atomic
class InMemoryMemory:
    """A `MemoryStore` in this process.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._scopes: dict[ScopeKey, _Scope] = {}

    async def put(
        self, scope: ScopeKey, items: Sequence[Item], ttl: float | None, write: MemoryWrite
    ) -> int:
        """Store entries."""
        ours, now = self._scopes.setdefault(scope, _Scope()), self._clock()
        operation = (write.operation, tuple(item.key for item in items))
        if operation in ours.done:
            return ours.done[operation]
        ours.prune(now)
        for item in items:
            ours.writable(item.key, now, write.tenant)
            _expect(ours, item.key, now, write.expected)
        for item in items:
            old = ours.row(item.key, now)
            ours.seq += 1
            expires = None if ttl is None else now + ttl
            created = now if old is None else old.created
            ours.set(MemoryRow(_of(item, write.tenant, old), ours.seq, created, now, expires))
        ours.remember(operation, ours.seq)
        return ours.seq

    async def add(
        self,
        scope: ScopeKey,
        items: Sequence[Item],
        ttl: float | None,
        write: MemoryWrite,
        *,
        replace: bool,
    ) -> None:
        """Store entries that are not there."""
        ours, now = self._scopes.setdefault(scope, _Scope()), self._clock()
        done = (write.operation, tuple(f"{item.key} {item.unless}" for item in items))
        if done in ours.done:
            return
        ours.prune(now)
        expires = None if ttl is None else now + ttl
        plan: list[tuple[str, MemoryRow | None]] = []  # None: what is there then lives longer
        for item in items:
            guard = ours.writable(item.unless, now, write.tenant) if item.unless else None
            old = guard or ours.writable(item.key, now, write.tenant)
            new = _of(item._replace(unless=""), write.tenant, old)
            if old is None:
                plan.append((item.key, MemoryRow(new, 0, now, now, expires)))
            elif guard is None and replace and old.item != new:
                plan.append((item.key, MemoryRow(new, 0, old.created, now, expires)))
            elif old.expires is not None and (ttl is None or old.expires < now + ttl * _NEARLY):
                plan.append((old.item.key, None))
        for key, row in plan:
            ours.seq += 1
            changed = row or ours.rows[key]._replace(expires=expires)
            ours.set(changed._replace(version=ours.seq))
        if plan:
            ours.remember(done, ours.seq)

    async def delete(self, scope: ScopeKey, key: str, write: MemoryWrite) -> bool:
        """Delete an entry."""
        ours, now = self._scopes.setdefault(scope, _Scope()), self._clock()
        operation = (write.operation, (key,))
        if operation in ours.done:
            return bool(ours.done[operation])
        found = ours.row(key, now, write.tenant) is not None
        if found:
            _expect(ours, key, now, write.expected)
            ours.seq += 1
            ours.drop(key, ours.seq)
        ours.remember(operation, int(found))
        return found

    async def clear(self, scope: ScopeKey, write: MemoryWrite) -> None:
        """Delete all entries."""
        ours = self._scopes.get(scope)
        for key, row in list(ours.rows.items()) if ours else ():
            assert ours is not None  # noqa: S101 - for the type checkers
            if write.tenant in (None, row.item.tenant):
                ours.seq += 1
                ours.drop(key, ours.seq)

    async def forget(self, app: AppName, name: str, kinds: Sequence[Kind]) -> int:
        """Delete all that is kept of a name."""
        now, count = self._clock(), 0
        for kind in kinds:
            ours = self._scopes.pop(ScopeKey(app, kind, name), None)
            count += sum(ours.row(key, now) is not None for key in ours.names) if ours else 0
        return count

    def apps_of(self, user: str, kinds: Sequence[Kind]) -> set[str]:
        """The apps in which something is kept of a user."""
        return {app for app, kind, name in self._scopes if name == user and kind in kinds}

    async def get(
        self, scope: ScopeKey, keys: Sequence[str], tenant: str | None = None
    ) -> list[MemoryRow | None]:
        """Entries by their keys."""
        ours, now = self._scopes.get(scope), self._clock()
        return [None if ours is None else ours.row(key, now, tenant) for key in keys]

    async def page(
        self,
        scope: ScopeKey,
        prefix: str,
        after: str | None,
        limit: int,
        tenant: str | None = None,
    ) -> EntryPage:
        """A page of entries."""
        ours, now = self._scopes.get(scope) or _Scope(), self._clock()
        names = ours.names
        first = bisect_left(names, prefix) if after is None else bisect_right(names, after)
        found = [
            name for name in islice(names, first, first + limit + 1) if name.startswith(prefix)
        ]
        rows = [row for name in found[:limit] if (row := ours.row(name, now, tenant)) is not None]
        return EntryPage(rows, found[limit - 1] if len(found) > limit else None, [])

    async def latest(
        self,
        scope: ScopeKey,
        limit: int,
        tenant: str | None = None,
        *,
        before: int | None = None,
    ) -> EntryPage:
        """The entries that were changed last."""
        ours, now = self._scopes.get(scope) or _Scope(), self._clock()
        changes = (
            change
            for change in reversed(ours.changes.items())
            if before is None or change[1] < before
        )
        found = list(islice(changes, limit + 1))
        rows = [row for key, _ in found[:limit] if (row := ours.row(key, now, tenant)) is not None]
        return EntryPage(rows, str(found[limit - 1][1]) if len(found) > limit else None, [])

    async def names(
        self,
        app: str,
        kind: Kind,
        shard: int,  # noqa: ARG002 - there is one
        after: str | None,
        limit: int,
    ) -> ScopeNames:
        """Those who have entries."""
        now = self._clock()
        found = sorted(
            scope.name
            for scope, ours in self._scopes.items()
            if scope[:2] == (app, kind)
            and (after is None or scope.name > after)
            and any(ours.row(key, now) for key in ours.names)
        )
        return ScopeNames(found[:limit], found[limit - 1] if len(found) > limit else None)

    async def apps(self) -> set[str]:
        """The apps that have entries."""
        return {scope.app for scope in self._scopes}

    async def restore(
        self, scope: ScopeKey, rows: Sequence[MemoryRow], operation: str, *, replace: bool
    ) -> list[str]:
        """Write entries with their versions, times and lifetimes."""
        ours, now = self._scopes.setdefault(scope, _Scope()), self._clock()
        done = (f"restore {operation}", tuple(row.item.key for row in rows))
        if done in ours.done:
            return []
        ours.prune(now)
        there = [row.item.key for row in rows if ours.row(row.item.key, now) is not None]
        for row in rows:
            key = row.item.key
            if (key in there and not replace) or (row.expires or now + 1) <= now:
                continue
            numbers = {*ours.changes.values(), *ours.deleted.values()}
            taken = key in there or row.version in numbers
            ours.set(row._replace(version=ours.seq + 1) if taken else row)
            ours.seq = max(ours.seq, ours.rows[key].version)
        ours.changes = OrderedDict(sorted(ours.changes.items(), key=lambda change: change[1]))
        ours.id = secrets.token_urlsafe(12)
        ours.remember(done, ours.seq)
        return [] if replace else there

    async def changes(
        self,
        scope: ScopeKey,
        since: ChangeMark | None,
        latest: Sequence[Witness] = (),  # noqa: ARG002 - no memory goes back
    ) -> Changes:
        """What has changed."""
        ours, now = self._scopes.get(scope), self._clock()
        if ours is None:
            return Changes(ChangeMark("", 0), [], [], more=False, now=now)
        seq = since.seq if since else 0
        if since and (since.id != ours.id or 0 < seq < ours.floor):
            return Changes(None, [], [], more=True, now=now)
        found: list[str] = []
        for key, at in reversed(ours.changes.items()):  # in the order of their numbers
            if at <= seq:
                break
            found.append(key)
        found.reverse()
        more = len(found) > _STEP
        found = found[:_STEP]
        removed = [(key, at) for key, at in ours.deleted.items() if at > seq]
        removed += [(key, ours.changes[key]) for key in found if ours.row(key, now) is None]
        rows = [row for key in found if (row := ours.row(key, now)) is not None]
        reached = ours.changes[found[-1]] if more else ours.seq
        return Changes(ChangeMark(ours.id, reached), rows, removed, more, now)


def _of(item: Item, tenant: str | None, old: MemoryRow | None) -> Item:
    """An item with its tenant: as on a server, that of what is there stays."""
    kept = "" if old is None else old.item.tenant
    return item._replace(tenant=tenant or kept)


def _expect(ours: _Scope, key: str, now: float, expected: int | None) -> None:
    row = ours.row(key, now)
    actual = 0 if row is None else row.version
    if expected is not None and expected != actual:
        raise stale(key, expected, actual)
