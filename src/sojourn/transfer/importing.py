"""A file into a store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from sojourn.cache.operations.reads import FetchCached
from sojourn.cache.operations.writes import PutCached
from sojourn.cache.store import CacheEntry, CacheLifetime, EntryKey
from sojourn.calls.room import RoomRecord
from sojourn.codecs import decode
from sojourn.errors import CorruptRecord, Erased, Undecodable
from sojourn.ids import SessionKey, new_operation_id
from sojourn.memory.model import ScopeKey
from sojourn.memory.operations.read import GetEntries
from sojourn.memory.operations.restore import RestoreEntries
from sojourn.memory.store import MemoryRow
from sojourn.sessions.archive import ArchivedSession
from sojourn.sessions.operations.archive import ReadLogSlice, ReadStoredSession, ReadStoredState
from sojourn.sessions.operations.restore import RestoreSession, RestoreState, StageEvents
from sojourn.sessions.store import Pairs, SessionSnapshot
from sojourn.transfer.artifacts_in import ArtifactsIn
from sojourn.transfer.comparing import (
    Rows,
    born,
    log_id_of,
    same_entry,
    same_fields,
    same_values,
    was_restored,
)
from sojourn.transfer.lines import (
    ArtifactLine,
    CacheLine,
    EventsLine,
    Known,
    Line,
    MemoryLine,
    NewerLine,
    RoomLine,
    SessionLine,
    StateLine,
    UnknownLine,
    UnreadableLine,
    VoidLine,
)
from sojourn.transfer.logs import MOST, SIZE, name_of
from sojourn.transfer.model import NOT_HERE, NOT_READ, Progress, Watch
from sojourn.transfer.reading import ArchiveReader, changed
from sojourn.transfer.tally import ImportStats
from sojourn.transfer.values import (
    Digest,
    key_of,
    pairs_of,
    row_of,
    rows_of,
    scope_of,
    state_owner,
    stored,
)
from sojourn.wiring import Stores

_TOGETHER = 32
"""Small things that are written at the same time,"""
_TOGETHER_BYTES = 4 * 1024 * 1024
"""or so many bytes of them."""
_TRIES = 3
"""How often a long session is begun anew whose events are gone before it is whole."""

_L = TypeVar("_L", bound=Known)


class Import:
    """One run of an import. The archive was made sure of.

    Args:
        stores: where to write.
        reader: at the beginning of the archive.
        tally: counts what becomes of what.
        watch: gets the progress.
    """

    def __init__(
        self, stores: Stores, reader: ArchiveReader, tally: ImportStats, watch: Watch
    ) -> None:
        self._stores = stores
        self._reader = reader
        self._tally = tally
        self._watch = watch
        self._pending: list[Coroutine[Any, Any, None]] = []
        self._from = 0
        self._artifacts = ArtifactsIn(stores, reader, tally, self._report)

    async def run(self) -> None:
        """Write all that is not there yet."""
        try:
            while (line := self._reader.next()) is not None:
                await self._take(line)
                many = self._reader.at.offset - self._from > _TOGETHER_BYTES
                if many or len(self._pending) >= _TOGETHER:
                    await self._settle()
            await self._settle()
        finally:
            for each in self._pending:
                each.close()

    async def _take(self, line: Line) -> None:
        match line:
            case SessionLine() if len(line.events) == line.seq - line.dropped:
                self._pending.append(self._unless_erased(self._short, line))
            case SessionLine():
                await self._settle()
                await self._unless_erased(self._long, line)
            case StateLine():
                self._pending.append(self._unless_erased(self._state, line))
            case MemoryLine():
                self._pending.append(self._unless_erased(self._memories, line))
            case ArtifactLine():
                await self._settle()
                await self._artifacts.take(line)
            case CacheLine():
                self._pending.append(self._unless_erased(self._cached, line))
            case RoomLine():
                self._pending.append(self._unless_erased(self._record, line))
            case UnreadableLine() | NewerLine():
                self._tally.left_out(line)
            case _:  # the header, the end, what belongs to something void, and what is not known
                pass

    async def _unless_erased(self, write: Callable[[_L], Awaitable[None]], line: _L) -> None:
        """Write a line, unless its user was forgotten: the keys are gone, and come back no more."""
        try:
            await write(line)
        except Erased:
            self._tally.erased(_shown(line))

    async def _settle(self) -> None:
        """Write what is pending."""
        pending, self._pending = self._pending, []
        results = await asyncio.gather(*pending, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        self._from = self._reader.at.offset
        self._report()

    # ── sessions ───────────────────────────────────────────────────────────────────────────────

    async def _short(self, line: SessionLine) -> None:
        """A session that is one line."""
        rows, digest = rows_of(line.events), Digest(line)
        digest.add(rows)
        key, name = key_of(line), digest.text()

        async def same(first: int, found: Sequence[bytes]) -> bool:
            start = first - line.dropped - 1
            return list(found) == rows[start : start + len(found)]

        if await self._has(key, line, name, same):
            return
        await self._restore(
            key, line, ArchivedSession(born(line, name), pairs_of(line.state), name, 0, rows)
        )

    async def _long(self, line: SessionLine) -> None:
        """A session of several lines: read once for its digest, and again to be written."""
        begin, digest = self._reader.at, Digest(line)
        digest.add(rows_of(line.events))
        seq = line.dropped + len(line.events)
        while seq < line.seq:
            match self._reader.next():
                case EventsLine() as more:
                    digest.add(rows_of(more.events))
                    seq += len(more.events)
                case VoidLine():
                    return
                case UnreadableLine() | NewerLine() as left_out:
                    self._tally.left_out(left_out)
                case UnknownLine():
                    pass
                case _:
                    raise changed(self._reader)
        end, key, name = self._reader.at, key_of(line), digest.text()
        log = Rows(self._reader, line, begin)
        if not await self._has(key, line, name, log.same):
            await self._stage(key, line, name, log)
        self._reader.seek(end)

    async def _stage(self, key: SessionKey, line: SessionLine, name: str, log: Rows) -> None:
        for _ in range(_TRIES):
            if await self._upload(key, name, line, log):  # else it has waited for too long
                break
        image = ArchivedSession(
            *(born(line, name), pairs_of(line.state)), name, line.seq - line.dropped, rows=()
        )
        await self._restore(key, line, image)

    async def _upload(self, key: SessionKey, name: str, line: SessionLine, log: Rows) -> bool:
        """Send the events that are not there; whether all are then."""
        store, before, dropped = self._stores.sessions, 0, line.dropped
        log_id = log_id_of(line, name)
        there = await store.run(StageEvents(key, name, dropped, 0, (), log_id))
        log.rewind()
        while (rows := log.next()) is not None:
            behind = before + len(rows)
            if there < behind:
                there = await store.run(StageEvents(key, name, dropped, before, rows, log_id))
                if there < behind:
                    return False
                self._report()
            before = behind
        return True

    async def _has(
        self,
        key: SessionKey,
        line: SessionLine,
        name: str,
        same: Callable[[int, Sequence[bytes]], Awaitable[bool]],
    ) -> bool:
        """Whether a session is there and stays: the same, or something else that is kept."""
        try:
            found = await self._stores.sessions.run(ReadStoredSession(key))
            if found is None:
                return False
            if was_restored(found.head, line, name) or await self._is_same(key, line, found, same):
                self._tally.identical += 1
                return True
        except NOT_HERE:
            self._tally.stays_newer(name_of(key))
            return True
        except CorruptRecord:
            pass  # what cannot be read is something else
        return self._tally.stays(name_of(key))

    async def _is_same(
        self,
        key: SessionKey,
        line: SessionLine,
        found: SessionSnapshot,
        same: Callable[[int, Sequence[bytes]], Awaitable[bool]],
    ) -> bool:
        if not same_fields(found, line):
            return False
        first = line.dropped + 1
        while first <= line.seq:
            part = await self._stores.sessions.run(ReadLogSlice(key, first, MOST, SIZE))
            if part is None or part.first != first or not part.rows:
                return False
            rows = part.rows[: line.seq - first + 1]
            if not await same(first, rows):
                return False
            first += len(rows)
        return True

    async def _restore(self, key: SessionKey, line: SessionLine, image: ArchivedSession) -> None:
        restore = RestoreSession(key, image, self._tally.replaces)
        outcome = await self._stores.sessions.run(restore)
        if self._tally.settled(outcome, name_of(key), "sessions"):
            self._tally.written["events"] += line.seq - line.dropped

    # ── state, memory, cache ───────────────────────────────────────────────────────────────────

    async def _state(self, line: StateLine) -> None:
        of, pairs = state_owner(line), pairs_of(line.values)
        what = f"state of app {line.app!r}"
        if line.user is not None:
            what = f"state of user {line.user!r} of app {line.app!r}"
        store = self._stores.sessions
        try:
            found: Pairs = (await store.run(ReadStoredState(of))).pairs
        except NOT_HERE:
            self._tally.stays_newer(what)
            return
        except CorruptRecord:
            found = {"": b""}
        if found and same_values(found, pairs):
            self._tally.identical += 1
        elif not (found and self._tally.stays(what)):
            restore = RestoreState(of, pairs, line.expires, self._tally.replaces)
            outcome = await store.run(restore)
            self._tally.settled(outcome, what, "states")

    async def _memories(self, line: MemoryLine) -> None:
        scope = scope_of(line)
        rows = [row_of(entry) for entry in line.entries]
        now = time.time()
        alive = [row for row in rows if row.expires is None or row.expires > now]
        self._tally.expired += len(rows) - len(alive)
        wanted: list[MemoryRow] = []
        for row, found in zip(alive, await self._found(scope, alive), strict=True):
            what = f"memory {row.item.key!r} of {scope.kind} {scope.name!r} of app {scope.app!r}"
            if isinstance(found, MemoryRow) and same_entry(found, row):
                self._tally.identical += 1
            elif isinstance(found, NOT_HERE):
                self._tally.stays_newer(what)
            elif found is None or not self._tally.stays(what):
                wanted.append(row)
        if not wanted:
            return
        named = f"restore {new_operation_id()}"
        there = await self._stores.memory.run(
            RestoreEntries(scope, wanted, named, self._tally.replaces)
        )
        self._tally.written["memories"] += len(wanted) - len(there)
        stays = self._tally.stays_newer if self._tally.replaces else self._tally.stays
        for key in there:  # since a moment
            stays(f"memory {key!r} of {scope.kind} {scope.name!r} of app {scope.app!r}")

    async def _found(
        self, scope: ScopeKey, rows: Sequence[MemoryRow]
    ) -> list[MemoryRow | CorruptRecord | Undecodable | Erased | None]:
        if not rows:
            return []
        try:
            found = GetEntries(scope, [row.item.key for row in rows])
            return [*await self._stores.memory.run(found)]
        except NOT_READ as error:
            if len(rows) == 1:
                return [error]
            half = len(rows) // 2
            return [
                *await self._found(scope, rows[:half]),
                *await self._found(scope, rows[half:]),
            ]

    async def _cached(self, line: CacheLine) -> None:
        now = time.time()
        if line.ends <= now:
            self._tally.expired += 1
            return
        key, value = EntryKey(line.tenant, line.name), stored(line.value)
        what = f"cached value {line.name!r}"
        try:
            there = await self._stores.cache.run(FetchCached(key))
            if there.status != "miss" and there.value == value:
                self._tally.identical += 1
            elif there.status == "miss" or not self._tally.stays(what):
                life = CacheLifetime(line.fresh - now, line.ends - line.fresh)
                entry = CacheEntry(value, life, line.tags)
                await self._stores.cache.run(PutCached(key, entry, new_operation_id()))
                self._tally.written["cached"] += 1
        except NOT_HERE:  # also one that counts as missing, as it was invalidated
            self._tally.stays_newer(what)

    async def _record(self, line: RoomLine) -> None:
        room = self._stores.rooms.get(line.room)
        what = f"record {line.key!r} of the room {line.room!r}"
        if room is None or room.restore is None:
            self._tally.told(f"this program has no such room, and passes it over: {what}")
            return
        value = decode(stored(line.value))
        record = RoomRecord(line.app, line.user, line.key, value)
        outcome = await room.restore(record, "skip")
        if outcome == "exists" and not self._tally.stays(what):
            outcome = await room.restore(record, "replace")
        if outcome == "identical":
            self._tally.identical += 1
        elif outcome == "restored":
            self._tally.written["records"] += 1

    # ── around ─────────────────────────────────────────────────────────────────────────────────

    def _report(self) -> None:
        at, size = self._reader.at.offset, self._reader.size
        self._watch(Progress(step="importing", counts=self._tally.counts, bytes=at, total=size))


def _shown(line: Known) -> str:
    """A line in a sentence."""
    match line:
        case SessionLine():
            return name_of(key_of(line))
        case StateLine():
            return f"state of user {line.user!r} of app {line.app!r}"
        case MemoryLine():
            return f"memories of {line.scope} {line.name!r} of app {line.app!r}"
        case CacheLine():
            return f"cached value {line.name!r} of tenant {line.tenant!r}"
        case RoomLine():
            return f"record {line.key!r} of the room {line.room!r}"
        case _:
            return "a line of the archive"
