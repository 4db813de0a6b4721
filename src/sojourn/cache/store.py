"""Values that pass between the cache and its store: JSON text, or as that is encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from sojourn.calls.call import Argument
from sojourn.calls.coded import CodedStore
from sojourn.caps import CEILING
from sojourn.codecs.codec import Codec, Coder, Place
from sojourn.codecs.growth import MARK
from sojourn.errors import CorruptRecord
from sojourn.ids import owner_of

LONGEST = 30 * 86_400.0
"""Seconds that no entry outlives: so long an invalidation is remembered."""


class EntryKey(NamedTuple):
    """The identity of an entry. Another tenant's entry of the same name is another entry."""

    tenant: str
    name: str

    @property
    def place(self) -> Place:
        """Where its value stands: with its user, or with an app of the tenant's name."""
        return Place("cache", "value", *whose(self.tenant), within=self.tenant, name=self.name)


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


_NO_TENANT = "cache"
"""The app of the entries of no tenant."""


def whose(tenant: str) -> tuple[str, str | None]:
    """The app and the user of which the data key seals a tenant's entries."""
    owner = owner_of(tenant)
    return (tenant or _NO_TENANT, None) if owner is None else (owner.app, owner.user)


async def encoded_entry(codec: Codec, key: EntryKey, entry: CacheEntry) -> CacheEntry:
    """An entry with its value as it is stored; one that is encoded already stays so.

    Raises:
        As `Codec.coder`.
    """
    if entry.value[:1] == MARK:
        return entry
    place = key.place
    coder = await codec.coder(place.app, place.user, create=True)
    return entry._replace(value=coder.encode(entry.value, place))


async def decoded_value(coded: CodedStore, key: EntryKey, value: bytes) -> bytes:
    """The JSON text of a value that the store gave.

    Raises:
        CorruptRecord: it was damaged; `Tampered`: it was changed or moved.
        Undecodable: this process has not what it needs to decode it.
        Erased: its key was destroyed.
    """
    if not coded.codec.decodes([value]):
        return value
    place = key.place
    coder: Coder = await coded.codec.coder(place.app, place.user, [value])
    try:
        return coder.decode(value, place, CEILING.event)
    except ValueError as error:
        raise CorruptRecord(
            f"A cached value cannot be read ({error}): another program wrote it, or it was "
            "damaged. Delete the entry.",
            key=key.name,
            raw=value,
        ) from error
