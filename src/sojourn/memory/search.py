"""Search of scopes, with an index for each in this process that follows the store."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TypeVar

from sojourn.calls.operation import RoomStore
from sojourn.codecs import in_pieces
from sojourn.errors import Closed, CorruptRecord
from sojourn.memory.entry_codec import entry_of
from sojourn.memory.index import Index, IndexHit, searched
from sojourn.memory.model import Hit, ScopeKey
from sojourn.memory.operations.changes import ReadChanges
from sojourn.memory.store import Changes, Item
from sojourn.memory.vectors import Embedder

T = TypeVar("T")

log = logging.getLogger("sojourn.memory")

_ROOM = 128 * 1024 * 1024
"""Bytes of all indexes together; the least recently used are dropped first."""
_FEW = 200
"""Entries up to which a search or an update runs on the event loop."""
_BRIEF = 4096
"""Bytes up to which an update does: some grow eighteenfold when they are normalised."""
_RETRY = 60.0
"""Seconds after which entries that could not be decoded are tried again: keys may be there now."""
_LONG = 1000
"""Characters from which a query runs in a thread."""


class Searcher:
    """Searches the scopes of a store.

    Args:
        store: where entries are kept.
        room: bytes for all indexes together.

    Attributes:
        embedder: makes vectors of texts; None for a search by words alone.
    """

    def __init__(self, store: RoomStore, room: int = _ROOM) -> None:
        self._store = store
        self._room = room
        self._lock = threading.Lock()
        self._indexes: OrderedDict[ScopeKey, Index] = OrderedDict()
        self._closed = False
        self.embedder: Embedder | None = None

    async def search(
        self, scope: ScopeKey, query: str, limit: int, tenant: str | None = None
    ) -> list[Hit]:
        """The entries that match a query, the best first; of a tenant, or of all for None."""
        vector = b""
        if self.embedder is not None and query.strip():
            (vector,) = await self.embedder.vectors([query])
        while True:
            with self._borrowed(scope) as index:
                async with self._turn(index):
                    now = await self._catch_up(scope, index)
                if now is not None:
                    find = partial(index.find, query, limit, now, vector, tenant)
                    big = index.entries > _FEW or len(query) > _LONG
                    return await _hits(await _aside(find, big=big))
                self._drop(scope, index)

    async def placed(self, items: Sequence[Item]) -> Sequence[Item]:
        """Items with their vectors, when there is an embedding."""
        if self.embedder is None:
            return items
        vectors = await self.embedder.vectors([searched(item) or item.key for item in items])
        return [item._replace(vector=vector) for item, vector in zip(items, vectors, strict=True)]

    def forget(self, scope: ScopeKey) -> None:
        """Drop the index of a scope; if it is in use, when it no longer is."""
        with self._lock:
            index = self._indexes.pop(scope, None)
            if index is not None and index.users == 0:
                index.close()

    def close(self) -> None:
        """Drop all indexes, for good; those in use when they no longer are."""
        with self._lock:
            self._closed = True
            indexes = list(self._indexes.values())
            self._indexes.clear()
            for index in indexes:
                if index.users == 0:
                    index.close()

    async def _catch_up(self, scope: ScopeKey, index: Index) -> float | None:
        """Apply the changes; returns the store's time, or None to start over."""
        if index.lacks_since is not None and monotonic() - index.lacks_since > _RETRY:
            return None
        while True:
            since, latest = index.known()
            changes = await self._store.run(ReadChanges(scope, since, latest))
            if changes.mark is None:
                return None
            if changes.newer:
                index.lacks_since = index.lacks_since or monotonic()
                log.warning(
                    "Searches leave out %d entries that this process cannot decode: they are of a "
                    "newer format, or sealed with a key that it does not have.",
                    changes.newer,
                )
            if changes.mark != since:
                await _aside(partial(index.apply, since, changes), big=_is_big(changes))
            if not changes.more:
                return changes.now

    @contextmanager
    def _borrowed(self, scope: ScopeKey) -> Generator[Index, None, None]:
        """The index of a scope, kept while it is in use; then others may be dropped."""
        with self._lock:
            if self._closed:
                raise Closed("This store is closed: open a new one.")
            index = self._indexes.get(scope)
            if index is None:
                index = self._indexes[scope] = Index()
            self._indexes.move_to_end(scope)
            index.users += 1
        try:
            yield index
        finally:
            with self._lock:
                index.users -= 1
                if index.users == 0 and self._indexes.get(scope) is not index:
                    index.close()
                self._make_room(scope)

    def _make_room(self, latest: ScopeKey) -> None:
        total = sum(index.size for index in self._indexes.values())
        for scope, index in list(self._indexes.items()):
            if total <= self._room:
                return
            if index.users == 0 and scope != latest:
                del self._indexes[scope]
                total -= index.size
                index.close()

    def _drop(self, scope: ScopeKey, index: Index) -> None:
        with self._lock:
            if self._indexes.get(scope) is index:
                del self._indexes[scope]

    def _turn(self, index: Index) -> asyncio.Lock:
        """A lock, so that only one task of an event loop reads the changes of a scope at a time."""
        with self._lock:
            return index.turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())


async def _aside(work: Callable[[], T], *, big: bool) -> T:
    """Run work of SQLite, in another thread when it takes long."""
    return await asyncio.to_thread(work) if big else work()


def _is_big(changes: Changes) -> bool:
    bytes_of_all = sum(len(row.item.value) + len(row.item.text or b"") for row in changes.rows)
    return len(changes.rows) + len(changes.removed) > _FEW or bytes_of_all > _BRIEF


async def _hits(found: list[IndexHit]) -> list[Hit]:
    hits: list[Hit] = []

    def read(one: IndexHit) -> None:
        row, score = one
        try:
            hits.append(Hit(entry_of(row), score))
        except CorruptRecord as error:
            log.warning("A search leaves out what cannot be read: %s", error)

    await in_pieces(read, found)
    return hits
