"""Public API of one scope of the memory: a user's, an agent's or a category's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sojourn import codecs
from sojourn.calls.operation import RoomStore
from sojourn.codecs import in_pieces
from sojourn.errors import CorruptRecord, InvalidInput, InvalidValue, StaleEntry
from sojourn.ids import operation_id_of, parse_entry, parse_prefix
from sojourn.memory import checks
from sojourn.memory.cursor import cursor_of, place_of
from sojourn.memory.entry_codec import entry_of
from sojourn.memory.model import KEEP, Draft, Entry, Hit, Keep, MemoryPage, ScopeKey
from sojourn.memory.operations.add import AddEntries
from sojourn.memory.operations.delete import ClearScope, DeleteEntry
from sojourn.memory.operations.put import PutEntries
from sojourn.memory.operations.read import GetEntries, ListEntries, ListLatest
from sojourn.memory.search import Searcher
from sojourn.memory.store import EntryPage, Item, MemoryRow
from sojourn.process_bound import stays_here
from sojourn.resilience.backoff import backoff
from sojourn.resilience.deadline import (
    current_deadline,
    end_of_operation,
    from_now,
    in_time,
    within,
)

_NEWEST_FIRST = 1
"""In the place of a shard in a cursor: the order is another one."""
_PAUSES = (0.002, 0.1)
"""Seconds, at random up to so long, until a merge that came too late tries again: first, and at
most."""


class MemoryLimits(NamedTuple):
    """Limits of a scope: sizes, and the time that a call may take.

    Attributes:
        ttl: seconds that an entry lives if it is not said; None for ever.
        max_bytes: the largest entry: value, metadata and text.
        operation_timeout: seconds for all round trips of one call, but for a search.
    """

    ttl: float | None
    max_bytes: int
    operation_timeout: float


@stays_here("the store's URL and the name of the user, agent or category")
class MemoryScope:
    """Memories of one user, one agent or one category. Made by `store.memory`.

    Values are JSON: text, numbers, booleans, None, lists and dicts; tuples come back as lists. A
    put renews an entry's lifetime, a read does not.

    A scope that was made with a tenant has that tenant's entries only: others are not read, listed,
    found or deleted, and one in the place of a put raises `Conflict`. With the empty tenant it has
    the entries of no tenant. Made without one, it has the entries of all: that is for trusted code.

    Every method may raise `Unavailable` or a subclass when no server answers in time, and writes
    `OutcomeUnknown` when they were sent and no reply came. All round trips of a call end within
    `operation_timeout`; but a search takes it for each step of learning what has changed, and
    `put_many` for each batch. All but `delete`, `clear` and the lists raise `Undecodable` for an
    entry that this process cannot decode: `NewerFormat` if a newer version of Sojourn wrote it,
    `KeyMissing` for a sealed one without its key. It can be deleted, but not replaced. One that
    was changed, moved or replaced raises `Tampered`, a `CorruptRecord`. After the keys of its user
    were destroyed, reads and writes raise `Erased`.

    Attributes:
        key: whose memory it is.
        tenant: whose entries it has; empty for those of no tenant, None for those of all.
    """

    def __init__(
        self,
        key: ScopeKey,
        store: RoomStore,
        searcher: Searcher,
        limits: MemoryLimits,
        tenant: str | None = None,
    ) -> None:
        self.key = key
        self.tenant = tenant
        self._store = store
        self._searcher = searcher
        self._limits = limits
        self._operation_timeout = limits.operation_timeout

    async def put(
        self,
        key: str,
        value: Any,
        *,
        text: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        ttl: float | Keep | None = KEEP,
        expected_version: int | None = None,
        operation_id: str | None = None,
    ) -> int:
        """Store a value, instead of what was there. One round trip; a scope's first takes two.

        Without a tenant of the scope, the entry keeps the one that it has.

        Args:
            key: of the entry, at most 512 bytes.
            value: JSON.
            text: the text that `search` uses instead of the texts in the value.
            metadata: JSON of the application's, not searched.
            ttl: seconds that it lives, instead of the scope's; None for ever.
            expected_version: the version that the entry must have; 0 if it must not exist.
            operation_id: repeat a put with the same id and it takes effect once.

        Returns:
            the entry's version.

        Raises:
            InvalidInput: the key, the lifetime, or a value that JSON cannot hold.
            TooLarge: the entry is over `max_event_bytes`.
            StaleEntry: it does not have the expected version; nothing was written.
            Conflict: the key has an entry of another tenant.
            CorruptRecord: the stored entry cannot be read; it can be deleted.
            NewerFormat: a newer version wrote the stored entry; it can be deleted.
            KeyMissing: it is sealed, and this process would write plain text; it can be deleted.
        """
        item = checks.item(key, value, metadata, text, self._limits.max_bytes)
        named = f"put {operation_id_of(operation_id)}"
        return await self._put([item], ttl, named, checks.version(expected_version))

    async def put_many(
        self,
        items: Mapping[str, Any],
        *,
        metadata: Mapping[str, Any] | None = None,
        ttl: float | Keep | None = KEEP,
        operation_id: str | None = None,
    ) -> dict[str, int]:
        """Store values, all or none. One round trip; a scope's first takes two.

        Args:
            items: values by key, 1,000 at most.
            metadata: of each of them.
            ttl: as in `put`.
            operation_id: repeat it with the same id and items and it takes effect once.

        Returns:
            the versions by key.

        Raises:
            InvalidInput: a key, a value, or too many of them.
            TooLarge: one of the entries is over `max_event_bytes`.
            CorruptRecord: a stored entry cannot be read; it can be deleted.
        """
        named = checks.json_object(items, "The items")
        checks.keys(named)
        cap = self._limits.max_bytes
        made = await in_pieces(
            lambda pair: checks.item(pair[0], pair[1], metadata, None, cap), named.items()
        )
        checks.together(made, cap)
        name = f"many {operation_id_of(operation_id)}"
        if not made:
            return {}
        last = await self._put(made, ttl, name)
        first = last - len(made) + 1
        return {item.key: first + place for place, item in enumerate(made)}

    async def add(
        self,
        drafts: Mapping[str, Draft],
        *,
        replace: bool = False,
        ttl: float | Keep | None = KEEP,
        operation_id: str | None = None,
    ) -> None:
        """Store the entries that do not exist yet. One round trip for each 500 entries or MiB.

        What is there stays as it is and lives on, as if it were stored now; an entry that keeps
        others away does, too, and counts if it was there before the call. All checks come before
        the first entry; of each 500, all or none are stored. A scope's first add takes one more
        round trip.

        Args:
            drafts: by key, as many as you like.
            replace: also replace entries that have another value, text or metadata.
            ttl: as in `put`; it never shortens a lifetime.
            operation_id: repeat it with the same id and drafts and it takes effect once.

        Raises:
            InvalidInput: a key, or a value that JSON cannot hold.
            TooLarge: one of the entries is over `max_event_bytes`.
            CorruptRecord: a stored entry cannot be read; it can be deleted.
        """
        cap = self._limits.max_bytes
        pairs = checks.drafts(drafts).items()
        made = await in_pieces(lambda pair: checks.draft(pair[0], pair[1], cap), pairs)
        life = checks.lifetime(self._limits.ttl if ttl == KEEP else ttl)
        named = f"add {operation_id_of(operation_id)}"
        for batch in checks.batches(made):
            with within(self._limits.operation_timeout):
                items = await self._searcher.placed(batch)
                await self._store.run(
                    AddEntries(self.key, items, life, named, self.tenant, replace)
                )

    @in_time
    async def get(self, key: str, default: Any = None) -> Any:
        """The value of an entry, or `default` when there is none. One round trip.

        Raises:
            CorruptRecord: it cannot be read; it can be deleted.
        """
        found = await self.entry(key)
        return default if found is None else found.value

    @in_time
    async def entry(self, key: str) -> Entry | None:
        """An entry with its version and times, or None when there is none. One round trip.

        Raises:
            CorruptRecord: it cannot be read; it can be deleted.
        """
        (row,) = await self._store.run(GetEntries(self.key, [parse_entry(key)], self.tenant))
        return None if row is None else entry_of(row)

    @in_time
    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of those entries that there are. One round trip.

        Args:
            keys: 1,000 at most.

        Raises:
            CorruptRecord: one of them cannot be read; it can be deleted.
        """
        wanted = checks.keys(keys)
        if not wanted:
            return {}
        rows = await self._store.run(GetEntries(self.key, wanted, self.tenant))
        entries = await in_pieces(entry_of, (row for row in rows if row is not None))
        return {entry.key: entry.value for entry in entries}

    @in_time
    async def merge(
        self,
        key: str,
        changes: Mapping[str, Any],
        *,
        ttl: float | Keep | None = KEEP,
        operation_id: str | None = None,
    ) -> int:
        """Set members of an object, and leave its others as they are. Nothing of others is lost.

        Two round trips; two more for each time that another writer comes in between. Without an
        entry the changes become one. Metadata and text stay.

        Args:
            key: of the entry.
            changes: JSON; each replaces the member of its name, and is not merged with it.
            ttl: as in `put`.
            operation_id: repeat a merge with the same id and it takes effect once.

        Returns:
            the entry's version.

        Raises:
            InvalidInput: the entry's value is not an object, or JSON cannot hold the changes.
            TooLarge: the entry would be over `max_event_bytes`.
            StaleEntry: others wrote in between until the time was up; nothing was written.
            CorruptRecord: the entry cannot be read; it can be deleted.
        """
        name = parse_entry(key)
        changed = checks.json_object(changes, "The changes")
        named = f"merge {operation_id_of(operation_id)}"
        late = 0
        while True:
            (row,) = await self._store.run(GetEntries(self.key, [name], self.tenant))
            item = self._merged(name, row, changed)
            try:
                return await self._put([item], ttl, named, 0 if row is None else row.version)
            except StaleEntry:
                pause = backoff(late, *_PAUSES)
                if from_now(pause) >= end_of_operation():
                    raise
            await asyncio.sleep(pause)
            late += 1

    @in_time
    async def delete(
        self, key: str, *, expected_version: int | None = None, operation_id: str | None = None
    ) -> bool:
        """Delete an entry; whether there was one. One round trip.

        Args:
            key: of the entry.
            expected_version: the version that it must have, if there is one.
            operation_id: repeat a delete with the same id and it takes effect once.

        Raises:
            StaleEntry: it has not the expected version; it is still there.
        """
        named = f"delete {operation_id_of(operation_id)}"
        expected = checks.version(expected_version)
        return await self._store.run(
            DeleteEntry(self.key, parse_entry(key), named, expected, self.tenant)
        )

    @in_time
    async def list(
        self,
        *,
        limit: int = 100,
        cursor: str | None = None,
        prefix: str = "",
        newest_first: bool = False,
    ) -> MemoryPage:
        """Entries in the order of their keys, or newest change first. Two round trips a page.

        An entry that is there all the time is on exactly one page. A page may be shorter than
        `limit`, as some have expired or are another tenant's.

        Args:
            limit: entries a page, 1,000 at most.
            cursor: of the page before; None for the first.
            prefix: only the entries whose keys start with it.
            newest_first: start with the latest change. An entry changed between two pages moves to
                the top and may be missing from later pages: start again to see it.
                A page may have fewer, even none, where many have other prefixes.

        Raises:
            InvalidInput: the limit, or a cursor that no listing of this order gave.
        """
        order, after = place_of(cursor)
        start, most = parse_prefix(prefix), checks.limit(limit)
        if order != (_NEWEST_FIRST if newest_first and cursor is not None else 0):
            raise InvalidInput("The cursor is of a listing in another order.")
        if newest_first:
            before = None if after is None else checks.version_of(after)
            found = await self._store.run(ListLatest(self.key, most, self.tenant, before))
            return await _page_of(_beginning(found, start), _NEWEST_FIRST)
        wanted = ListEntries(self.key, start, after, most, self.tenant)
        return await _page_of(await self._store.run(wanted))

    @in_time
    async def latest(self, *, limit: int = 10) -> MemoryPage:
        """The entries that were changed last, the newest first. Two round trips.

        There is one page of them: its cursor is None, and `list` has them all. It may be shorter
        than `limit`, as some have expired; a tenant's are looked for among the last `limit` of all.

        Args:
            limit: entries, 1,000 at most.

        Raises:
            InvalidInput: the limit.
        """
        found = await self._store.run(ListLatest(self.key, checks.limit(limit), self.tenant))
        return await _page_of(found._replace(last=None))

    @in_time
    async def clear(self) -> None:
        """Delete all entries that there are now. One round trip, and two for each 500 entries.

        Entries that others write meanwhile stay. After an error some are gone: clear it again.
        """
        named = f"clear {operation_id_of(None)}"
        await self._store.run(ClearScope(self.key, named, self.tenant))

    async def search(self, query: str, *, limit: int = 10) -> Sequence[Hit]:
        """Entries with words of a text, the best first.

        One round trip when nothing has changed since this process looked last, and one more for
        each 500 entries that have. Entries that this process cannot decode are not
        found: they are logged, and `list` names them.

        Args:
            query: any text; nothing in it is an operator.
            limit: how many at most.

        Raises:
            InvalidInput: the query is not text, or the limit.
            ConfigurationError: the SQLite of this Python has no FTS5.
            NewerFormat: a newer version keeps the changes of this scope in another way.
        """
        wanted = codecs.text(query, "query")
        return await self._searcher.search(self.key, wanted, checks.limit(limit), self.tenant)

    def _merged(self, name: str, row: MemoryRow | None, changed: dict[str, Any]) -> Item:
        old = None if row is None else entry_of(row)
        before: Any = {} if old is None else old.value
        if not isinstance(before, dict):
            raise InvalidValue(
                f"The value of {name!r} is no object, so nothing can be merged into it."
            )
        return checks.item(
            name,
            {**cast("dict[str, Any]", before), **changed},
            None if old is None else old.metadata,
            None if old is None else old.text,
            self._limits.max_bytes,
        )

    async def _put(
        self,
        items: Sequence[Item],
        ttl: float | Keep | None,
        named: str,
        expected: int | None = None,
    ) -> int:
        life = checks.lifetime(self._limits.ttl if ttl == KEEP else ttl)
        began = from_now(0)
        placed = await self._searcher.placed(items)
        if (ours := current_deadline()) is not None:
            ours.extend_to(ours.end + from_now(0) - began)  # an embedding takes its own time
        with within(self._limits.operation_timeout):
            return await self._store.run(
                PutEntries(self.key, placed, life, named, expected, self.tenant)
            )


def _beginning(found: EntryPage, prefix: str) -> EntryPage:
    """Those whose keys begin so."""
    return found._replace(
        rows=[row for row in found.rows if row.item.key.startswith(prefix)],
        corrupt=[key for key in found.corrupt if key.startswith(prefix)],
        newer=[key for key in found.newer if key.startswith(prefix)],
    )


async def _page_of(found: EntryPage, order: int = 0) -> MemoryPage:
    page = MemoryPage([], None if found.last is None else cursor_of(order, found.last))
    page.corrupt.extend(found.corrupt)
    page.newer.extend(found.newer)

    def read(row: MemoryRow) -> None:
        try:
            page.entries.append(entry_of(row))
        except CorruptRecord:
            page.corrupt.append(row.item.key)

    await in_pieces(read, found.rows)
    return page
