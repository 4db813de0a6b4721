"""Values that the operations of the memory room take and return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

EMPTY = b"{}"
"""Metadata of nothing, which are never encoded: they are the same as none."""
_NOTHING: Mapping[str, bytes] = MappingProxyType({})


class Item(NamedTuple):
    """An entry to store under a key; or its content as it is stored, with encodings.

    Attributes:
        key: the name of the entry.
        value: JSON text.
        metadata: JSON text of an object.
        text: what is searched instead of the texts in the value, in UTF-8; None for those.
        vector: where the text stands among others, as float32 numbers; empty for nowhere.
        unless: the name of an entry that keeps it from being added; empty for no such.
        tenant: whose it is among the tenants of the scope; empty for nobody's in particular. A put
            or add takes it from its own argument.
        vector_encoding: what was done to the vector; empty for nothing.
        digest: of what it held before it was encoded; empty for what is not.
    """

    key: str
    value: bytes
    metadata: bytes
    text: bytes | None = None
    vector: bytes = b""
    unless: str = ""
    tenant: str = ""
    vector_encoding: str = ""
    digest: str = ""

    def is_as(self, other: Item) -> bool:
        """Whether two hold the same; of encoded ones their digests say so."""
        if self.digest or other.digest:
            return self.digest == other.digest and self.tenant == other.tenant
        return self == other


class MemoryRow(NamedTuple):
    """An entry as it is stored; times are seconds since the epoch.

    Attributes:
        item: what was stored.
        version: number of the change that stored it.
        created: when its key was first stored.
        updated: when it was stored.
        expires: when it is forgotten; None for never.
        more: fields that this version does not know, for an export; they stay where they are.
    """

    item: Item
    version: int
    created: float
    updated: float
    expires: float | None
    more: Mapping[str, bytes] = _NOTHING


class EntryPage(NamedTuple):
    """A page of entries.

    Attributes:
        rows: in the order of their keys, or those that were changed last first.
        last: the key or the version where the page ends; None when nothing follows.
        corrupt: keys of entries that cannot be read.
        newer: keys of entries that are sound, and cannot be decoded here.
    """

    rows: list[MemoryRow]
    last: str | None
    corrupt: list[str]
    newer: list[str]


NamesPage: TypeAlias = tuple[list[str], str | None]
"""Names, and where the page of them ends; None when nothing follows."""


class ChangeMark(NamedTuple):
    """How much of a scope is known: all changes up to a number, in the scope's life of that id."""

    id: str
    seq: int


WITNESSES = 3
"""How many entries show that a scope has only gone on: its latest ones."""


class Witness(NamedTuple):
    """An entry as it was known: that it still is shows that a scope has only gone on since.

    Attributes:
        key: of the entry.
        version: the number of its last change.
        updated: when that was, seconds since the epoch by the store's clock.
        expires: when it expires; None for never.
    """

    key: str
    version: int
    updated: float
    expires: float | None


class Changes(NamedTuple):
    """Changes of a scope since a mark.

    Attributes:
        mark: what is known with this; None to start over: the scope is another than the one the
            mark was made of (a backup was restored), or no longer remembers what was deleted.
        rows: entries that were stored, as they are now.
        removed: entries that were deleted or have expired, with the number of that change.
        more: there are further changes.
        now: the store's clock, seconds since the epoch.
        newer: how many entries cannot be decoded here; they are among the `removed`.
        unexpected: entries of the time of the mark that were not known. If one can be decoded, the
            scope is another than the one the mark was made of.
    """

    mark: ChangeMark | None
    rows: list[MemoryRow]
    removed: list[tuple[str, int]]
    more: bool
    now: float
    newer: int = 0
    unexpected: Sequence[MemoryRow] = ()

    @classmethod
    def start_over(cls, now: float) -> Changes:
        """Nothing is known of what changed."""
        return cls(None, [], [], more=True, now=now)
