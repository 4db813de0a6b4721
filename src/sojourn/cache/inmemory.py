"""Cache store in this process: the same contract and answers as on a server."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from sojourn.cache.keys import app_of_tenant
from sojourn.cache.store import CacheEntry, EntryKey
from sojourn.calls.operation import Operation, R
from sojourn.resilience.atomic import atomic

_ENTRIES = 100_000
"""How many are kept; those not used for longest go first."""


class _EntryInMemory(NamedTuple):
    value: bytes
    since: int
    fresh: float
    ends: float
    tags: tuple[str, ...]


class _Lease(NamedTuple):
    token: str
    ends: float


@atomic
class InMemoryCache:
    """Entries in this process, gone with it. Public attributes are for operations.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.entries: OrderedDict[EntryKey, _EntryInMemory] = OrderedDict()
        self.leases: dict[EntryKey, _Lease] = {}
        self.invalidated: dict[tuple[str, str], int] = {}
        self.done: OrderedDict[tuple[EntryKey, str, str], bool] = OrderedDict()
        self._stamp = 0

    async def run(self, operation: Operation[R]) -> R:
        """As `RoomStore`."""
        return await operation.in_memory(self)

    def tenants(self) -> set[str]:
        """All tenants that have data here."""
        keys = [*self.entries, *self.leases, *(key for key, _, _ in self.done)]
        return {key.tenant for key in keys} | {tenant for tenant, _ in self.invalidated}

    def apps_of(self, user: str) -> set[str]:
        """The apps in which a user has a tenant."""
        return {app for each in self.tenants() if (app := app_of_tenant(each, user)) is not None}

    def stamp(self) -> int:
        """Microseconds, each later than the last, as no two scripts run at once on a server."""
        self._stamp = max(self._stamp + 1, int(self.clock() * 1_000_000))
        return self._stamp

    def use(self, key: EntryKey) -> _EntryInMemory | None:
        """An entry that has neither expired nor been invalidated, which is thereby the last used.

        None when there is none.
        """
        entry = self.entries.get(key)
        if entry is None:
            return None
        if entry.ends <= self.clock():
            del self.entries[key]
            return None
        if any(self.invalidated.get((key.tenant, tag), 0) >= entry.since for tag in entry.tags):
            return None
        self.entries.move_to_end(key)
        return entry

    def holder(self, key: EntryKey) -> str:
        """The token of the lease on an entry; empty when nobody holds it."""
        lease = self.leases.get(key)
        if lease is not None and lease.ends <= self.clock():
            del self.leases[key]
            lease = None
        return "" if lease is None else lease.token

    def lend(self, key: EntryKey, token: str, seconds: float) -> None:
        """Give somebody the lease on an entry."""
        self.leases[key] = _Lease(token, self.clock() + seconds)

    def put(self, key: EntryKey, entry: CacheEntry, since: int) -> None:
        """Store a value whose computation began at a stamp."""
        fresh = self.clock() + entry.life.fresh
        ends = fresh + entry.life.stale
        self.entries[key] = _EntryInMemory(entry.value, since, fresh, ends, tuple(entry.tags))
        self.entries.move_to_end(key)
        if len(self.entries) > _ENTRIES:
            self.entries.popitem(last=False)

    def remember(self, operation: tuple[EntryKey, str, str], *, found: bool) -> None:
        """Remember an operation on an entry, and whether there was one."""
        self.done[operation] = found
        if len(self.done) > _ENTRIES:
            self.done.popitem(last=False)
