"""A file into a store."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from sojourn.artifacts.archive import Kept
from sojourn.artifacts.records import chunks_of
from sojourn.artifacts.store import Place
from sojourn.cache.store import Entry, EntryKey, Life
from sojourn.errors import Conflict, CorruptRecord, InvalidArchive
from sojourn.ids import SessionKey, new_operation_id
from sojourn.memory.model import ScopeKey
from sojourn.memory.store import Row
from sojourn.sessions.archive import Image, Outcome
from sojourn.sessions.store import Pairs, Stored, Window
from sojourn.transfer.comparing import (
    Rows,
    born,
    same_entry,
    same_fields,
    same_values,
    same_versions,
    was_restored,
)
from sojourn.transfer.lines import (
    ArtifactLine,
    CacheLine,
    Counts,
    DataLine,
    EventsLine,
    Line,
    MemoryLine,
    SessionLine,
    StateLine,
    UnreadableLine,
    VoidLine,
)
from sojourn.transfer.logs import MOST, SIZE, name_of
from sojourn.transfer.model import Existing, Progress, Told, Watch
from sojourn.transfer.reading import Reader
from sojourn.transfer.values import (
    Digest,
    key_of,
    pairs_of,
    place_of,
    row_of,
    rows_of,
    scope_of,
    state_owner,
    version_of,
)
from sojourn.wiring import Stores

_TOGETHER = 32
"""Small things that are written at the same time,"""
_TOGETHER_BYTES = 4 * 1024 * 1024
"""or so many bytes of them."""
_TRIES = 3
"""How often a long session is begun anew whose events are gone before it is whole."""


class Import:
    """One run of an import. The archive was made sure of.

    Args:
        stores: where to write.
        reader: at the beginning of the archive.
        existing: what to do with what is there and is something else.
        told: gets a line for each conflict.
        watch: gets the progress.
    """

    def __init__(
        self, stores: Stores, reader: Reader, existing: Existing, told: Told, watch: Watch
    ) -> None:
        self._stores = stores
        self._reader = reader
        self._existing = existing
        self._told = told
        self._watch = watch
        self._written: Counter[str] = Counter()
        self._pending: list[Coroutine[Any, Any, None]] = []
        self._from = 0
        self.identical = 0
        self.conflicts = 0
        self.expired = 0

    @property
    def counts(self) -> Counts:
        """What was written."""
        return Counts(**self._written)

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
                self._pending.append(self._short(line))
            case SessionLine():
                await self._settle()
                await self._long(line)
            case StateLine():
                self._pending.append(self._state(line))
            case MemoryLine():
                self._pending.append(self._memories(line))
            case ArtifactLine():
                await self._settle()
                await self._artifact(line)
            case CacheLine():
                self._pending.append(self._cached(line))
            case UnreadableLine():
                self._written["unreadable"] += 1
            case _:  # the header, the end, and what belongs to something void
                pass

    async def _settle(self) -> None:
        """Write what is pending."""
        pending, self._pending = self._pending, []
        results = await asyncio.gather(*pending, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        self._from = self._reader.at.offset
        at, size = self._reader.at.offset, self._reader.size
        self._watch(Progress(step="importing", counts=self.counts, bytes=at, total=size))

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
        await self._restore(key, line, Image(born(line, name), pairs_of(line.state), name, 0, rows))

    async def _long(self, line: SessionLine) -> None:
        """A session of several lines: read once for its digest, and again to be written."""
        begin, digest = self._reader.at, Digest(line)
        digest.add(rows_of(line.events))
        seq = line.dropped + len(line.events)
        while seq < line.seq:
            match self._next():
                case EventsLine() as more:
                    digest.add(rows_of(more.events))
                    seq += len(more.events)
                case VoidLine():
                    return
                case UnreadableLine():
                    self._written["unreadable"] += 1
                case _:
                    raise self._broken()
        end, key, name = self._reader.at, key_of(line), digest.text()
        log = Rows(self._reader, line, begin)
        if not await self._has(key, line, name, log.same):
            await self._stage(key, line, name, log)
        self._reader.seek(end)

    async def _stage(self, key: SessionKey, line: SessionLine, name: str, log: Rows) -> None:
        for _ in range(_TRIES):
            if await self._upload(key, name, log):  # else it has waited for too long
                break
        image = Image(
            *(born(line, name), pairs_of(line.state)), name, line.seq - line.dropped, rows=()
        )
        await self._restore(key, line, image)

    async def _upload(self, key: SessionKey, name: str, log: Rows) -> bool:
        """Send the events that are not there; whether all are then."""
        archive = self._stores.session_archive
        there, before = await archive.stage(key, name, 0, ()), 0
        log.rewind()
        while (rows := log.next()) is not None:
            behind = before + len(rows)
            if there < behind:
                there = await archive.stage(key, name, before, rows)
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
            found = await self._stores.sessions.read(key, Window(last=0))
            if found is None:
                return False
            if was_restored(found.head, line, name) or await self._is_same(key, line, found, same):
                self.identical += 1
                return True
        except CorruptRecord:
            pass  # what cannot be read is something else
        return self._stays(name_of(key))

    async def _is_same(
        self,
        key: SessionKey,
        line: SessionLine,
        found: Stored,
        same: Callable[[int, Sequence[bytes]], Awaitable[bool]],
    ) -> bool:
        if not same_fields(found, line):
            return False
        first = line.dropped + 1
        while first <= line.seq:
            stretch = await self._stores.session_archive.stretch(key, first, MOST, SIZE)
            if stretch is None or stretch.first != first or not stretch.rows:
                return False
            rows = stretch.rows[: line.seq - first + 1]
            if not await same(first, rows):
                return False
            first += len(rows)
        return True

    async def _restore(self, key: SessionKey, line: SessionLine, image: Image) -> None:
        replace = self._existing == "replace"
        outcome = await self._stores.session_archive.restore(key, image, replace=replace)
        if self._settled(outcome, name_of(key), "sessions"):
            self._written["events"] += line.seq - line.dropped

    # ── state, memory, cache ───────────────────────────────────────────────────────────────────

    async def _state(self, line: StateLine) -> None:
        of, pairs = state_owner(line), pairs_of(line.values)
        what = f"state of app {line.app!r}"
        if line.user is not None:
            what = f"state of user {line.user!r} of app {line.app!r}"
        archive = self._stores.session_archive
        try:
            found: Pairs = (await archive.shared(of)).pairs
        except CorruptRecord:
            found = {"": b""}
        if found and same_values(found, pairs):
            self.identical += 1
        elif not (found and self._stays(what)):
            replace = self._existing == "replace"
            outcome = await archive.reinstate(of, pairs, line.expires, replace=replace)
            self._settled(outcome, what, "states")

    async def _memories(self, line: MemoryLine) -> None:
        scope = scope_of(line)
        rows = [row_of(entry) for entry in line.entries]
        now = time.time()
        alive = [row for row in rows if row.expires is None or row.expires > now]
        self.expired += len(rows) - len(alive)
        wanted: list[Row] = []
        for row, found in zip(alive, await self._found(scope, alive), strict=True):
            what = f"memory {row.item.key!r} of {scope.kind} {scope.name!r} of app {scope.app!r}"
            if isinstance(found, Row) and same_entry(found, row):
                self.identical += 1
            elif found is None or not self._stays(what):
                wanted.append(row)
        if not wanted:
            return
        there = await self._stores.memory_archive.restore(
            scope, wanted, new_operation_id(), replace=self._existing == "replace"
        )
        self._written["memories"] += len(wanted) - len(there)
        for key in there:  # since a moment
            self._stays(f"memory {key!r} of {scope.kind} {scope.name!r} of app {scope.app!r}")

    async def _found(
        self, scope: ScopeKey, rows: Sequence[Row]
    ) -> list[Row | CorruptRecord | None]:
        if not rows:
            return []
        try:
            return [*await self._stores.memory.get(scope, [row.item.key for row in rows])]
        except CorruptRecord as error:
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
            self.expired += 1
            return
        key, value = EntryKey(line.tenant, line.name), bytes(line.value)
        there = await self._stores.cache.fetch(key, "", 0)
        if there.status != "miss" and there.value == value:
            self.identical += 1
        elif there.status == "miss" or not self._stays(f"cached value {line.name!r}"):
            life = Life(line.fresh - now, line.ends - line.fresh)
            await self._stores.cache.put(key, Entry(value, life, line.tags), new_operation_id())
            self._written["cached"] += 1

    # ── artifacts ──────────────────────────────────────────────────────────────────────────────

    async def _artifact(self, line: ArtifactLine) -> None:
        place, archive = place_of(line), self._stores.artifact_archive
        what = f"artifact {line.name!r} of user {line.user!r} of app {line.app!r}"
        word = secrets.token_urlsafe(12)
        versions = [
            version_of(record, f"restored-{word}-{number}")
            for number, record in enumerate(line.versions)
        ]
        gone = line.expires is not None and line.expires <= time.time()
        wanted = not gone and not await self._has_artifact(
            place, Kept(line.expires, versions), what
        )
        self.expired += gone
        done = 0
        while done < len(versions):
            match self._next():
                case DataLine() as data:
                    if wanted:
                        name = versions[data.version].data
                        await archive.upload(place, name, data.chunk, data.data)
                        self._report()
                    done += data.chunk + 1 == chunks_of(versions[data.version].size)
                case VoidLine():
                    return
                case UnreadableLine():
                    self._written["unreadable"] += 1
                case _:
                    raise self._broken()
        if wanted:
            if self._existing == "replace":
                await self._stores.artifacts.delete(place, new_operation_id())
            outcome = await archive.restore(place, Kept(line.expires, versions))
            self._settled(outcome, what, "artifacts")

    async def _has_artifact(self, place: Place, kept: Kept, what: str) -> bool:
        try:
            found = await self._stores.artifact_archive.kept(place)
            if found is None:
                return False
        except CorruptRecord:
            return self._stays(what)
        if same_versions(found.versions, kept.versions):
            self.identical += 1
            return True
        return self._stays(what)

    # ── around ─────────────────────────────────────────────────────────────────────────────────

    def _stays(self, what: str) -> bool:
        """Count a conflict and tell it; whether what is there stays.

        Raises:
            Conflict: that is to end the import.
        """
        if self._existing == "fail":
            raise Conflict(f"There is another {what} already. What stands before it was imported.")
        self.conflicts += 1
        stays = self._existing == "skip"
        self._told(f"another one was there and {'stays' if stays else 'is replaced'}: {what}")
        return stays

    def _settled(self, outcome: Outcome, what: str, count: str) -> bool:
        """Count what became of a write; whether it was done."""
        if outcome == "expired":
            self.expired += 1
        elif outcome == "exists":  # since a moment
            self._stays(what)
        else:
            self._written[count] += 1
        return outcome == "restored"

    def _next(self) -> Line | None:
        return self._reader.next()

    def _broken(self) -> InvalidArchive:
        line = self._reader.at.line
        return InvalidArchive(
            f"The archive has changed while it was read: line {line:,}.", line=line
        )

    def _report(self) -> None:
        at, size = self._reader.at.offset, self._reader.size
        self._watch(Progress(step="importing", counts=self.counts, bytes=at, total=size))
