"""What the memory asks of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sojourn.ids import AppName
from sojourn.memory.model import Kind, ScopeKey


class Item(NamedTuple):
    """What to store under a key.

    Attributes:
        key: the name of the entry.
        value: JSON text.
        metadata: JSON text of an object.
        text: what is searched instead of the texts in the value; None for those.
        vector: where the text stands among others, as float32 numbers; empty for nowhere.
        unless: the name of an entry that keeps it from being added; empty for no such.
    """

    key: str
    value: bytes
    metadata: bytes
    text: str | None = None
    vector: bytes = b""
    unless: str = ""


class Row(NamedTuple):
    """An entry as it is stored; times are seconds since the epoch."""

    item: Item
    version: int
    created: float
    updated: float
    expires: float | None


class Write(NamedTuple):
    """What every write carries.

    Attributes:
        operation: a word for what is done, and the operation id.
        expected: the version that the entry must have, 0 for none; None for any.
    """

    operation: str
    expected: int | None = None


class Listed(NamedTuple):
    """A page of entries.

    Attributes:
        rows: in the order of their keys.
        last: the key where the page ends; None when nothing follows.
        corrupt: keys of entries that cannot be read.
    """

    rows: list[Row]
    last: str | None
    corrupt: list[str]


class Named(NamedTuple):
    """A page of names, and where it ends; None when nothing follows."""

    names: list[str]
    last: str | None


class Mark(NamedTuple):
    """How much of a scope is known: all changes up to a number, in the scope's life of that id."""

    id: str
    seq: int


class Changes(NamedTuple):
    """What has changed in a scope since a mark.

    Attributes:
        mark: what is known with this; None when the scope is not what the mark was made of, or has
            forgotten what was deleted since: begin anew.
        rows: entries that were stored, as they are now.
        removed: entries that there are no more, with the number of the change that told so.
        more: there are further changes.
        now: the store's clock, seconds since the epoch.
    """

    mark: Mark | None
    rows: list[Row]
    removed: list[tuple[str, int]]
    more: bool
    now: float


class MemoryStore(Protocol):
    """Where entries are kept. Writes are atomic and happen once for each operation.

    All raise `Unavailable` and its kin when no server answers in time, and `CorruptRecord` when
    others have written in their place.
    """

    async def put(
        self, scope: ScopeKey, items: Sequence[Item], ttl: float | None, write: Write
    ) -> int:
        """Store entries, all or none; returns the version of the last, they are consecutive.

        Raises:
            StaleEntry: the one entry has not the expected version.
        """
        ...

    async def add(
        self,
        scope: ScopeKey,
        items: Sequence[Item],
        ttl: float | None,
        operation: str,
        *,
        replace: bool,
    ) -> None:
        """Store entries that are not there, and that no other keeps away.

        What is there lives as long as if it were new, or as before if that is longer; so does what
        keeps others away. With `replace` it becomes what is given, if that is something else.
        """
        ...

    async def delete(self, scope: ScopeKey, key: str, write: Write) -> bool:
        """Delete an entry; whether there was one.

        Raises:
            StaleEntry: it has not the expected version.
        """
        ...

    async def clear(self, scope: ScopeKey, operation: str) -> None:
        """Delete the entries that there are now."""
        ...

    async def forget(self, app: AppName, name: str, kinds: Sequence[Kind]) -> int:
        """Delete all that is kept of a name; how many entries. Looks at every key."""
        ...

    async def get(self, scope: ScopeKey, keys: Sequence[str]) -> list[Row | None]:
        """Entries, in the order of the keys; None for one that is not there."""
        ...

    async def page(self, scope: ScopeKey, prefix: str, after: str | None, limit: int) -> Listed:
        """Entries whose keys begin with a prefix, behind a key."""
        ...

    async def latest(self, scope: ScopeKey, limit: int) -> Listed:
        """The entries that were changed last, the newest first; nothing is said of what follows."""
        ...

    async def names(self, app: str, kind: Kind, shard: int, after: str | None, limit: int) -> Named:
        """Those of one shard who have entries, behind a name."""
        ...

    async def changes(self, scope: ScopeKey, since: Mark | None) -> Changes:
        """What has changed, a bounded part of it; all that there is when `since` is None."""
        ...
