"""The in-memory cache store."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from sojourn.cache.archive import ArchivedResult
from sojourn.cache.store import CacheEntry, EntryKey, Fetched
from sojourn.resilience.atomic import atomic

_ENTRIES = 100_000
"""How many are kept; those not used for longest go first."""


class _ResultInMemory(NamedTuple):
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
    """A `CacheStore` in this process.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._entries: OrderedDict[EntryKey, _ResultInMemory] = OrderedDict()
        self._leases: dict[EntryKey, _Lease] = {}
        self._invalidated: dict[tuple[str, str], int] = {}
        self._done: OrderedDict[tuple[EntryKey, str, str], bool] = OrderedDict()
        self._stamp = 0

    async def fetch(self, key: EntryKey, token: str, lease: float) -> Fetched:
        """An entry, or the lease on it."""
        now, stamp = self._clock(), self._now()
        entry = self._entries.get(key)
        if entry is not None and entry.ends <= now:
            del self._entries[key]
            entry = None
        if entry is not None and any(
            self._invalidated.get((key.tenant, tag), 0) >= entry.since for tag in entry.tags
        ):
            entry = None
        if entry is not None:
            self._entries.move_to_end(key)
            if entry.fresh > now:
                return Fetched("hit", entry.value, leased=False, since=stamp)
        holder = self._holder(key)
        leased = bool(token) and holder in ("", token)
        if leased and not holder:
            self._leases[key] = _Lease(token, now + lease)
        if entry is None:
            return Fetched("miss", b"", leased, stamp)
        return Fetched("stale", entry.value, leased, stamp)

    async def put(self, key: EntryKey, entry: CacheEntry, operation_id: str) -> None:
        """Store a value."""
        operation = (key, "put", operation_id)
        if operation not in self._done:
            self._remember(operation, found=True)
            self._set(key, entry, self._now())
            self._leases.pop(key, None)

    async def fulfil(self, key: EntryKey, entry: CacheEntry | None, token: str, since: int) -> bool:
        """Give back a lease."""
        if self._holder(key) != token:
            return False
        del self._leases[key]
        if entry is not None:
            self._set(key, entry, since)
        return True

    async def renew(self, key: EntryKey, token: str, lease: float) -> bool:
        """Hold a lease for longer."""
        if self._holder(key) != token:
            return False
        self._leases[key] = _Lease(token, self._clock() + lease)
        return True

    async def delete(self, key: EntryKey, operation_id: str) -> bool:
        """Delete an entry."""
        operation = (key, "delete", operation_id)
        done = self._done.get(operation)
        if done is not None:
            return done
        entry = self._entries.pop(key, None)
        self._leases.pop(key, None)
        found = entry is not None and entry.ends > self._clock()
        self._remember(operation, found=found)
        return found

    async def invalidate(self, tenant: str, tag: str) -> None:
        """Make the entries of a tag count as missing."""
        self._invalidated[(tenant, tag)] = self._now()

    async def names(self, tenant: str) -> list[str]:
        """The names of a tenant's entries."""
        now = self._clock()
        entries = self._entries.items()
        return sorted(key.name for key, it in entries if key.tenant == tenant and it.ends > now)

    async def forget(self, tenant: str) -> int:
        """Delete all that is kept of a tenant."""
        names = await self.names(tenant)
        for key in [each for each in (*self._entries, *self._leases) if each.tenant == tenant]:
            self._entries.pop(key, None)
            self._leases.pop(key, None)
        for tag in [each for each in self._invalidated if each[0] == tenant]:
            del self._invalidated[tag]
        for operation in [each for each in self._done if each[0].tenant == tenant]:
            del self._done[operation]
        return len(names)

    def tenants(self) -> set[str]:
        """Those of whom something is kept."""
        keys = [*self._entries, *self._leases, *(key for key, _, _ in self._done)]
        return {key.tenant for key in keys} | {tenant for tenant, _ in self._invalidated}

    async def every(self) -> AsyncIterator[EntryKey]:
        """Those that there are."""
        for key in list(self._entries):
            yield key

    async def kept(self, key: EntryKey) -> ArchivedResult | None:
        """An entry that counts."""
        found = await self.fetch(key, "", 0)
        if found.status == "miss":
            return None
        entry = self._entries[key]
        return ArchivedResult(entry.value, entry.fresh, entry.ends, entry.tags)

    def _now(self) -> int:
        """Microseconds, each later than the last, as no two scripts run at once on a server."""
        self._stamp = max(self._stamp + 1, int(self._clock() * 1_000_000))
        return self._stamp

    def _holder(self, key: EntryKey) -> str:
        lease = self._leases.get(key)
        if lease is not None and lease.ends <= self._clock():
            del self._leases[key]
            lease = None
        return "" if lease is None else lease.token

    def _set(self, key: EntryKey, entry: CacheEntry, since: int) -> None:
        fresh = self._clock() + entry.life.fresh
        ends = fresh + entry.life.stale
        self._entries[key] = _ResultInMemory(entry.value, since, fresh, ends, tuple(entry.tags))
        self._entries.move_to_end(key)
        if len(self._entries) > _ENTRIES:
            self._entries.popitem(last=False)

    def _remember(self, operation: tuple[EntryKey, str, str], *, found: bool) -> None:
        self._done[operation] = found
        if len(self._done) > _ENTRIES:
            self._done.popitem(last=False)
