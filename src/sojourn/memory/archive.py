"""Protocol that export and import need of a memory store, beyond `MemoryStore`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sojourn.memory.model import ScopeKey
from sojourn.memory.store import MemoryRow


class MemoryArchive(Protocol):
    """Entries as they are stored, in again. Out, `MemoryStore.page` gives them."""

    async def apps(self) -> set[str]:
        """The apps that have entries. On a server it looks at all keys."""
        ...

    async def restore(
        self, scope: ScopeKey, rows: Sequence[MemoryRow], operation: str, *, replace: bool
    ) -> list[str]:
        """Write entries with their versions, times and lifetimes, all or none, once.

        A version that another change of the scope has already becomes a new one. What has expired
        is not written.

        Returns:
            the keys of entries that were there and stay: all that were, unless they are to be
            replaced; then those that a newer version wrote, in a way that this one cannot read.

        Raises:
            CorruptRecord: others have written in the scope's place.
            NewerFormat: a newer version has.
        """
        ...
