"""Protocol of a memory store, as the memory room calls it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from sojourn.ids import AppName
from sojourn.memory.model import Kind, ScopeKey

_NOTHING: Mapping[str, bytes] = MappingProxyType({})


class Item(NamedTuple):
    """An entry to store under a key.

    Attributes:
        key: the name of the entry.
        value: JSON text.
        metadata: JSON text of an object.
        text: what is searched instead of the texts in the value; None for those.
        vector: where the text stands among others, as float32 numbers; empty for nowhere.
        unless: the name of an entry that keeps it from being added; empty for no such.
        tenant: whose it is among the tenants of the scope; empty for nobody's in particular. A put
            or add takes it from its own argument.
    """

    key: str
    value: bytes
    metadata: bytes
    text: str | None = None
    vector: bytes = b""
    unless: str = ""
    tenant: str = ""


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


class MemoryWrite(NamedTuple):
    """Arguments that every write carries.

    Attributes:
        operation: a word for what is done, and the operation id.
        expected: the version that the entry must have, 0 for none; None for any.
        tenant: whose the entries are; None for any: a put then leaves that of what is there.
    """

    operation: str
    expected: int | None = None
    tenant: str | None = None


class EntryPage(NamedTuple):
    """A page of entries.

    Attributes:
        rows: in the order of their keys, or those that were changed last first.
        last: the key or the version where the page ends; None when nothing follows.
        corrupt: keys of entries that cannot be read.
        newer: keys of entries that a newer version wrote, in a way that this one cannot read.
    """

    rows: list[MemoryRow]
    last: str | None
    corrupt: list[str]
    newer: Sequence[str] = ()


class ScopeNames(NamedTuple):
    """A page of names, and where it ends; None when nothing follows."""

    names: list[str]
    last: str | None


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
        mark: what is known with this; None when the scope is not what the mark was made of (also
            as a backup was restored), or has forgotten what was deleted since: begin anew.
        rows: entries that were stored, as they are now.
        removed: entries that there are no more, with the number of the change that told so.
        more: there are further changes.
        now: the store's clock, seconds since the epoch.
        newer: how many entries were stored in a way that this version cannot read; they are among
            the `removed`.
    """

    mark: ChangeMark | None
    rows: list[MemoryRow]
    removed: list[tuple[str, int]]
    more: bool
    now: float
    newer: int = 0


class MemoryStore(Protocol):
    """Where entries are kept. Writes are atomic and happen once for each operation.

    All raise `Unavailable` and its kin when no server answers in time, `CorruptRecord` when others
    have written in their place, and `NewerFormat` when a newer version has, in a way that this one
    cannot read; what it wrote can be deleted, but not replaced.

    Where a tenant is given, entries of others, and for the empty one those of any, are not there:
    they are neither read nor deleted, and `Conflict` is raised instead of replacing one.
    """

    async def put(
        self, scope: ScopeKey, items: Sequence[Item], ttl: float | None, write: MemoryWrite
    ) -> int:
        """Store entries, all or none; returns the version of the last, they are consecutive.

        Raises:
            StaleEntry: the one entry has not the expected version.
            Conflict: an entry there is another tenant's.
        """
        ...

    async def add(
        self,
        scope: ScopeKey,
        items: Sequence[Item],
        ttl: float | None,
        write: MemoryWrite,
        *,
        replace: bool,
    ) -> None:
        """Store entries that are not there, and that no other keeps away.

        What is there lives as long as if it were new, or as before if that is longer; so does what
        keeps others away. With `replace` it becomes what is given, if that is something else.
        """
        ...

    async def delete(self, scope: ScopeKey, key: str, write: MemoryWrite) -> bool:
        """Delete an entry; whether there was one.

        Raises:
            StaleEntry: it has not the expected version.
        """
        ...

    async def clear(self, scope: ScopeKey, write: MemoryWrite) -> None:
        """Delete the entries that there are now."""
        ...

    async def forget(self, app: AppName, name: str, kinds: Sequence[Kind]) -> int:
        """Delete all that is kept of a name; how many entries. Looks at every key."""
        ...

    async def get(
        self, scope: ScopeKey, keys: Sequence[str], tenant: str | None = None
    ) -> list[MemoryRow | None]:
        """Entries, in the order of the keys; None for one that is not there."""
        ...

    async def page(
        self,
        scope: ScopeKey,
        prefix: str,
        after: str | None,
        limit: int,
        tenant: str | None = None,
    ) -> EntryPage:
        """Entries whose keys begin with a prefix, behind a key."""
        ...

    async def latest(
        self,
        scope: ScopeKey,
        limit: int,
        tenant: str | None = None,
        *,
        before: int | None = None,
    ) -> EntryPage:
        """The entries that were changed last, the newest first: so many changes are looked at.

        Only those that were changed before a version; `last` is the version where the page ends.
        """
        ...

    async def names(
        self, app: str, kind: Kind, shard: int, after: str | None, limit: int
    ) -> ScopeNames:
        """Those of one shard who have entries, behind a name."""
        ...

    async def changes(
        self, scope: ScopeKey, since: ChangeMark | None, latest: Sequence[Witness] = ()
    ) -> Changes:
        """What has changed, a bounded part of it; all that there is when `since` is None.

        `latest` are the latest entries known with `since`, the last first.
        """
        ...
