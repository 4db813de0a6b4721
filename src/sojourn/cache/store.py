"""Protocol of a cache store, as the cache calls it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

LONGEST = 30 * 86_400.0
"""Seconds that no entry outlives: so long an invalidation is remembered."""


class EntryKey(NamedTuple):
    """The identity of an entry. Another tenant's entry of the same name is another entry."""

    tenant: str
    name: str


class CacheLifetime(NamedTuple):
    """How long an entry lives, in seconds: as fresh, and after that as stale."""

    fresh: float
    stale: float = 0.0


class CacheEntry(NamedTuple):
    """A value as JSON text, its lifetime, and the tags by which it can be invalidated."""

    value: bytes
    life: CacheLifetime
    tags: Sequence[str]


class Fetched(NamedTuple):
    """The answer of a store to `fetch`.

    Attributes:
        status: `hit` (fresh), `stale`, or `miss`.
        value: JSON text; empty for a miss.
        leased: the caller now holds the lease, and must compute the value.
        since: when that was, by the store's clock in microseconds; to be given with the value.
    """

    status: Literal["hit", "stale", "miss"]
    value: bytes
    leased: bool
    since: int


class CacheStore(Protocol):
    """Where entries are kept. Each method is one atomic step, and one round trip.

    All raise `Unavailable` and its kin when no server answers in time.

    `fetch` and `put` raise `NewerFormat` for an entry that a newer version wrote in a way that this
    one cannot read, and `CorruptRecord` for a damaged entry that looks like one. Such an entry is
    neither returned nor replaced; it can be deleted and invalidated.
    """

    async def fetch(self, key: EntryKey, token: str, lease: float) -> Fetched:
        """An entry; when it is not fresh and nobody computes it, a lease of so many seconds.

        An empty token requests no lease. An entry that a newer version wrote gets none.
        """
        ...

    async def put(self, key: EntryKey, entry: CacheEntry, operation_id: str) -> None:
        """Store a value, and revoke the lease; repeated with the same operation id, once."""
        ...

    async def fulfil(self, key: EntryKey, entry: CacheEntry | None, token: str, since: int) -> bool:
        """Give back a lease with the value that was computed, or without one.

        Returns:
            whether the lease was still held; if not, nothing is stored. Nor is it where a newer
            version has written meanwhile, in a way that this one cannot read.
        """
        ...

    async def renew(self, key: EntryKey, token: str, lease: float) -> bool:
        """Hold a lease for longer; whether it was still held."""
        ...

    async def delete(self, key: EntryKey, operation_id: str) -> bool:
        """Delete an entry, and revoke the lease on it; whether there was one."""
        ...

    async def names(self, tenant: str) -> list[str]:
        """The names of a tenant's entries, in order. Looks at every key."""
        ...

    async def forget(self, tenant: str) -> int:
        """Delete all that is kept of a tenant; how many entries. Looks at every key."""
        ...

    async def invalidate(self, tenant: str, tag: str) -> None:
        """Make all entries of a tag stored until now, or being computed now, count as missing."""
        ...
