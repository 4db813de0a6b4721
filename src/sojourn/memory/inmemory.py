"""Memory in this process: the same contract and answers as on a server, and no network."""

from __future__ import annotations

import heapq
import secrets
import time
from bisect import bisect_left, insort
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from sojourn.calls.operation import Operation
from sojourn.memory.entry_codec import of_others, stale
from sojourn.memory.model import Kind, ScopeKey
from sojourn.memory.store import MemoryRow
from sojourn.resilience.atomic import atomic

R = TypeVar("R")

_REMEMBERED = 1000
"""Operations and deletions of a scope that are remembered, as on a server."""


class ScopeInMemory:
    """The entries of one scope; its attributes are for operations."""

    def __init__(self) -> None:
        self.id = secrets.token_urlsafe(12)
        self.seq = 0
        self.floor = 0
        self.rows: dict[str, MemoryRow] = {}
        self.names: list[str] = []
        self.changes: OrderedDict[str, int] = OrderedDict()
        self.deleted: OrderedDict[str, int] = OrderedDict()
        self.done: OrderedDict[tuple[str, tuple[str, ...]], int] = OrderedDict()
        self._expiry: list[tuple[float, str, int]] = []

    def row(self, key: str, now: float, tenant: str | None = None) -> MemoryRow | None:
        """An entry that has not expired; None for none, and for one of another tenant."""
        found = self.rows.get(key)
        if found is None or (found.expires is not None and found.expires <= now):
            return None
        return found if tenant is None or found.item.tenant == tenant else None

    def writable(self, key: str, now: float, tenant: str | None) -> MemoryRow | None:
        """What is there to be replaced.

        Raises:
            Conflict: it is another tenant's.
        """
        found = self.row(key, now)
        if found is not None and tenant is not None and found.item.tenant != tenant:
            raise of_others(key)
        return found

    def check_version(self, key: str, now: float, expected: int | None) -> None:
        """Raise StaleEntry unless the entry has the version, 0 for none."""
        row = self.row(key, now)
        actual = 0 if row is None else row.version
        if expected is not None and expected != actual:
            raise stale(key, expected, actual)

    def set(self, row: MemoryRow) -> None:
        """Store an entry under the number of its change, which is the latest."""
        key = row.item.key
        if key not in self.rows:
            insort(self.names, key)
        self.rows[key] = row
        self.changes[key] = row.version
        self.changes.move_to_end(key)
        self.deleted.pop(key, None)
        if row.expires is not None:
            heapq.heappush(self._expiry, (row.expires, key, row.version))

    def drop(self, key: str, seq: int) -> None:
        """Remove an entry; the last thousand removals are remembered for search indexes."""
        if self.rows.pop(key, None) is not None:
            del self.names[bisect_left(self.names, key)]
        self.changes.pop(key, None)
        self.deleted[key] = seq
        while len(self.deleted) > _REMEMBERED:
            _, oldest = self.deleted.popitem(last=False)
            self.floor = max(self.floor, oldest)

    def prune(self, now: float) -> None:
        """Remove the entries that have expired."""
        while self._expiry and self._expiry[0][0] <= now:
            _, key, version = heapq.heappop(self._expiry)
            row = self.rows.get(key)
            if row is not None and row.version == version:
                self.drop(key, version)

    def remember(self, operation: tuple[str, tuple[str, ...]], result: int) -> None:
        """Remember what an operation returned, for its repetition."""
        self.done[operation] = result
        if len(self.done) > _REMEMBERED:
            self.done.popitem(last=False)


@atomic
class InMemoryMemory:
    """A `RoomStore` in this process. Its attributes are for operations.

    Args:
        clock: seconds since the epoch.

    Attributes:
        scopes: what there is; a look at one that is not there makes it.
        nothing: to be read in place of a scope that is not there.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.now = clock
        self.scopes: defaultdict[ScopeKey, ScopeInMemory] = defaultdict(ScopeInMemory)
        self.nothing = ScopeInMemory()

    async def run(self, operation: Operation[R]) -> R:
        """As `RoomStore`."""
        return await operation.in_memory(self)

    def apps_of(self, user: str, kinds: Sequence[Kind]) -> set[str]:
        """The apps in which something is kept of a user."""
        return {app for app, kind, name in self.scopes if name == user and kind in kinds}
