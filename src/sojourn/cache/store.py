"""Values that pass between the cache and its store, which keeps values as JSON text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from sojourn.calls.call import Argument

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

    def arguments(self) -> tuple[Argument, ...]:
        """The same as scripts take it."""
        fresh, stale = self.life
        return self.value, round(fresh * 1000), round(stale * 1000), "\n".join(self.tags)


class Fetched(NamedTuple):
    """The answer of a store to `FetchCached`.

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


class ArchivedResult(NamedTuple):
    """An entry as it is stored.

    Attributes:
        value: JSON text.
        fresh: until when it is fresh, seconds since the epoch; it may be in the past.
        ends: until when it is kept, seconds since the epoch.
        tags: names by which it can be invalidated.
        more: fields that this version does not know, for an export.
    """

    value: bytes
    fresh: float
    ends: float
    tags: Sequence[str]
    more: Mapping[str, bytes] = MappingProxyType({})
