"""Protocol that export needs of a cache store, beyond `CacheStore`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from sojourn.cache.store import EntryKey


class ArchivedResult(NamedTuple):
    """An entry as it is kept.

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


class CacheArchive(Protocol):
    """Entries as they are kept, out. In again, `CacheStore.put` takes them."""

    def every(self) -> AsyncIterator[EntryKey]:
        """Those that there are, some perhaps twice. On a server it looks at all keys."""
        ...

    async def kept(self, key: EntryKey) -> ArchivedResult | None:
        """An entry that counts, or None.

        Raises:
            CorruptRecord: it is there and cannot be read.
            NewerFormat: a newer version wrote it, in a way that this one cannot read.
        """
        ...
