"""A store into a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import get_args

import msgspec

from sojourn.cache.operations.reads import EveryCached, ReadCached
from sojourn.cache.store import EntryKey
from sojourn.calls.room import RoomRecord
from sojourn.codecs import encode
from sojourn.codecs.growth import is_json
from sojourn.codecs.pieces import Turns
from sojourn.errors import CorruptRecord, Erased, KeyMissing, NewerFormat, SojournError
from sojourn.ids import AppName, SessionKey, UserKey, parse_app, parse_memory
from sojourn.memory.model import OF_USERS, Kind, ScopeKey
from sojourn.memory.operations.read import ListEntries, ListMemoryApps, ListScopes
from sojourn.memory.store import MemoryRow
from sojourn.sessions.archive import ArchivedState, LogSlice
from sojourn.sessions.operations import ListNames, ListSessions, ListUsers
from sojourn.sessions.operations.archive import ReadStoredState
from sojourn.sessions.store import SessionSnapshot, StoredPage
from sojourn.transfer.artifacts_out import ArtifactsOut, Picks
from sojourn.transfer.growing import more_of
from sojourn.transfer.lines import (
    CacheLine,
    EntryRecord,
    MemoryLine,
    NewerLine,
    RoomLine,
    Selection,
    StateLine,
    UnreadableLine,
    VoidLine,
)
from sojourn.transfer.logs import Firsts, Logs, name_of
from sojourn.transfer.model import NOT_HERE, NOT_READ, Progress, Told, Watch
from sojourn.transfer.plan import plan
from sojourn.transfer.resuming import (
    app_place,
    cache_place,
    record_place,
    scope_place,
    user_place,
)
from sojourn.transfer.values import entry_record, in_ms, written
from sojourn.transfer.writing import Writer
from sojourn.wiring import Stores

_ENTRIES, _NAMES = 32, 500
"""How many are asked for at once: values may be megabytes, names are not."""
_FEW, _MANY = 16, 500
"""How many sessions are asked for at once: at first, and at most where they are small."""
_AHEAD = 4
"""Parts of an app's users whose names are read at once."""
_SMALL = 1024 * 1024
"""Bytes of sessions that were asked for at once up to which the next time it may be more."""
_LINE = 1024 * 1024
"""Bytes of entries after which a line is ended."""


class Export:
    """One run of an export.

    Args:
        stores: what is exported.
        writer: writes it.
        wanted: what of it.
        told: gets a line for each record that cannot be read.
        watch: gets the progress.
    """

    def __init__(
        self, stores: Stores, writer: Writer, wanted: Selection, told: Told, watch: Watch
    ) -> None:
        self._stores = stores
        self._writer = writer
        self._wanted = wanted
        self._picks = Picks(wanted)
        self._told = told
        self._watch = watch
        self._at_once = _FEW
        self._done = writer.done
        self._logs = Logs(stores.sessions, writer, self._left_out)

    async def run(self) -> None:
        """Write all that is wanted and not there yet."""
        if self._writer.walk.artifact is not None:
            self._writer.write(VoidLine())
        await self._logs.go_on()
        for name in sorted({*await self._apps()}):
            await self._app(parse_app(name))
        for name in sorted(await self._memory_apps()):
            await self._memories(parse_app(name))
        artifacts = ArtifactsOut(self._stores, self._writer, self._picks, self._left_out)
        await artifacts.run(self._report)
        if self._wanted.cache:
            await self._cached()
        for name, room in sorted(self._stores.rooms.items()):
            if room.records is not None:
                await self._records(name, room.records(self._wanted.app, self._wanted.user))

    # ── sessions and state ─────────────────────────────────────────────────────────────────────

    async def _apps(self) -> list[str]:
        app = self._wanted.app
        return await self._names(None, 0) if app is None else [app]

    async def _names(self, app: str | None, shard: int) -> list[str]:
        """The users of a part of an app, or the apps."""
        names: list[str] = []
        after = None
        try:
            while True:
                page = await self._stores.sessions.run(ListNames(app, shard, after, _NAMES))
                names += [place.name for place in page.places]
                if not page.more:
                    return names
                after = page.places[-1]
        except CorruptRecord as error:
            self._left_out("names", error)
            return names

    async def _app(self, app: AppName) -> None:
        if self._wanted.user is not None:
            await self._users(self._missing(app, [self._wanted.user]))
        else:
            owners: list[UserKey] = []
            for first in range(0, shards := self._stores.shards, _AHEAD):
                parts = range(first, min(first + _AHEAD, shards))
                for names in await asyncio.gather(*(self._names(app, part) for part in parts)):
                    owners += self._missing(app, names)
                if len(owners) >= _MANY:
                    await self._users(owners)
                    owners = []
            await self._users(owners)
        if self._wanted.user is None and not self._done.has_whole(app_place(app)):
            await self._state(app, f"the state of app {app!r}")

    def _missing(self, app: AppName, users: Iterable[str]) -> list[UserKey]:
        """Those that are not in the archive yet, in their order there."""
        ordered = sorted({*users}, key=lambda name: user_place(app, name))
        return [
            UserKey.of(app, user) for user in ordered if not self._done.has(user_place(app, user))
        ]

    async def _users(self, owners: Sequence[UserKey]) -> None:
        """Users in their order, as many at once as have a page of sessions together."""
        while owners:
            pages = await self._stores.sessions.run(
                ListUsers([(owner, None) for owner in owners[: self._at_once]], self._at_once)
            )
            states = await asyncio.gather(
                *(
                    self._stores.sessions.run(ReadStoredState(owner))
                    for owner in owners[: len(pages)]
                ),
                return_exceptions=True,
            )
            found = [
                one for page in pages if isinstance(page, StoredPage) for one in self._of(page)
            ]
            first = await self._first(found)
            for owner, state, page in zip(owners, states, pages, strict=False):
                await self._user(owner, state, page, first)
            owners = owners[len(pages) :]

    async def _first(self, found: Sequence[tuple[SessionKey, SessionSnapshot]]) -> Firsts:
        """How the logs of some sessions begin; and how many are asked for the next time."""
        first = await self._logs.first(found)
        size = sum(len(value) for _, stored in found for value in stored.state.values()) + sum(
            len(row) for log in first.values() if isinstance(log, LogSlice) for row in log.rows
        )
        more = 4 * self._at_once if size < _SMALL else self._at_once * _SMALL // size
        self._at_once = min(max(more, _FEW), _MANY)
        return first

    def _of(self, page: StoredPage) -> list[tuple[SessionKey, SessionSnapshot]]:
        """The sessions of a page that are wanted and not there yet."""
        return [
            (key, stored)
            for key, stored in page.sessions
            if self._picks.in_time(stored.head.updated) and not self._done.of(key)
        ]

    async def _user(
        self,
        owner: UserKey,
        state: ArchivedState | BaseException,
        page: StoredPage | CorruptRecord,
        first: Firsts,
    ) -> None:
        here = user_place(*owner)
        if not (self._done.last == here and self._done.state):
            what = f"the state of user {owner.user!r} of app {owner.app!r}"
            await self._shared(owner, what, state)
        while True:
            if isinstance(page, CorruptRecord):
                self._left_out(f"the sessions of user {owner.user!r} of app {owner.app!r}", page)
                return
            for key in page.corrupt:
                self._left_out(name_of(key))
            for key in page.newer:  # it, or only the state of its user or app
                if not self._done.of(key):
                    await self._logs.write_one(key, self._picks.in_time)
            await self._logs.write(self._of(page), first)
            self._report()
            if page.after is None:
                return
            try:
                page = await self._stores.sessions.run(
                    ListSessions(owner, page.after, self._at_once)
                )
                first = await self._first(self._of(page))
            except CorruptRecord as error:
                page = error

    async def _state(self, of: UserKey | AppName, what: str) -> None:
        try:
            found: ArchivedState | Exception = await self._stores.sessions.run(ReadStoredState(of))
        except NOT_READ as error:
            found = error
        await self._shared(of, what, found)

    async def _shared(
        self, of: UserKey | AppName, what: str, found: ArchivedState | BaseException
    ) -> None:
        if isinstance(found, NOT_READ):
            self._left_out(what, found)
            return
        if isinstance(found, BaseException):
            raise found
        if not found.readable:
            self._left_out(f"{what}: a field of it")
        if found.newer:
            self._newer(f"{what}: {found.newer:,} changes of the app's state that wait there")
        values = await self._logs.readable(what, found.pairs)
        more = more_of(found.more)
        if values or more:
            app, user = of if isinstance(of, UserKey) else (of, None)
            expires = in_ms(found.expires)
            line = StateLine(app=app, user=user, expires=expires, values=values, more=more)
            self._writer.write(line)

    # ── memory ─────────────────────────────────────────────────────────────────────────────────

    async def _memory_apps(self) -> set[str]:
        if self._wanted.app is not None:
            return {self._wanted.app}
        return await self._stores.memory.run(ListMemoryApps())

    async def _memories(self, app: AppName) -> None:
        user = self._wanted.user
        for kind in sorted(get_args(Kind)):
            if user is None:
                async for name in self._scopes(app, kind):
                    await self._scope(ScopeKey(app, kind, name))
            elif kind in OF_USERS:
                await self._scope(ScopeKey(app, kind, parse_memory(kind, user)))

    async def _scopes(self, app: AppName, kind: Kind) -> AsyncIterator[str]:
        shards = range(self._stores.shards)
        run = self._stores.memory.run
        pages = await asyncio.gather(
            *(run(ListScopes(app, kind, shard, None, _NAMES)) for shard in shards)
        )
        for shard, (first, last) in zip(shards, pages, strict=True):
            names, after = [*first], last
            while after is not None:
                found, after = await run(ListScopes(app, kind, shard, after, _NAMES))
                names += found
            for name in sorted(names, key=lambda each: scope_place(app, kind, each)):
                yield name

    async def _scope(self, scope: ScopeKey) -> None:
        here = scope_place(*scope)
        if self._done.has(here):
            return
        after = self._done.key if self._done.last == here else None
        while True:
            try:
                page = await self._stores.memory.run(ListEntries(scope, "", after, _ENTRIES))
            except NOT_READ as error:
                what = f"memories of {scope.kind} {scope.name!r} of app {scope.app!r}"
                self._left_out(what, error)
                return
            for key in page.corrupt:
                self._left_out(_entry(scope, key))
            for key in page.newer:
                self._newer(_entry(scope, key))
            await self._write_entries(
                scope, [row for row in page.rows if self._picks.in_time(row.updated)]
            )
            self._report()
            after = page.last
            if after is None:
                return

    async def _write_entries(self, scope: ScopeKey, rows: list[MemoryRow]) -> None:
        line: list[EntryRecord] = []
        size = 0
        turns = Turns()
        for row in rows:
            await turns.rest()
            item = row.item
            if not (is_json(item.value) and is_json(item.metadata, an_object=True)):
                self._left_out(_entry(scope, item.key))
                continue
            if size > _LINE:
                self._write_line(scope, line)
                line, size = [], 0
            line.append(entry_record(row))
            size += len(item.value) + len(item.vector) + len(item.metadata)
        self._write_line(scope, line)

    def _write_line(self, scope: ScopeKey, entries: list[EntryRecord]) -> None:
        if entries:
            app, kind, name = scope
            self._writer.write(MemoryLine(app=app, scope=kind, name=name, entries=entries))

    # ── the cache ──────────────────────────────────────────────────────────────────────────────

    async def _cached(self) -> None:
        cache = self._stores.cache
        with plan() as entries:
            async for key in await cache.run(EveryCached()):
                entries.add(*key)
            for tenant, name, _ in entries:
                if self._done.has_whole(cache_place(tenant, name)):
                    continue
                what = f"cached value {name!r} of tenant {tenant!r}"
                try:
                    found = await cache.run(ReadCached(EntryKey(tenant, name)))
                except NOT_READ as error:
                    self._left_out(what, error)
                    continue
                if found is None:
                    continue
                if not is_json(found.value):
                    self._left_out(what)
                    continue
                self._writer.write(
                    CacheLine(
                        tenant=tenant,
                        name=name,
                        value=written(found.value),
                        fresh=found.fresh,
                        ends=found.ends,
                        tags=list(found.tags),
                        more=more_of(found.more),
                    )
                )
                self._report()

    # ── rooms from outside ─────────────────────────────────────────────────────────────────────

    async def _records(self, room: str, records: AsyncIterator[RoomRecord]) -> None:
        """Those of a room, which are in memory together while they are put in order."""
        app, user = self._wanted.app, self._wanted.user
        found = {
            record_place(room, *each[:3]): each
            async for each in records
            if app in (None, each.app) and user in (None, each.user)
        }
        for place in sorted(found):
            if not self._done.has_whole(place):
                app, user, key, value = found[place]
                value = msgspec.Raw(encode(value, "The value of a record"))
                self._writer.write(RoomLine(room=room, app=app, user=user, key=key, value=value))
        self._report()

    # ── around ─────────────────────────────────────────────────────────────────────────────────

    def _left_out(self, what: str, error: SojournError | None = None) -> None:
        if isinstance(error, NOT_HERE):
            self._newer(what, error)
            return
        if error is not None:
            what = f"{what}: {error}"
        if what in self._done.left_out:  # by a run before, or at the first attempt
            return
        self._writer.write(UnreadableLine(what=what))
        self._told(f"cannot be read, and is not in the archive: {what}")

    def _newer(self, what: str, error: SojournError | None = None) -> None:
        if what in self._done.left_out:
            return
        self._writer.write(NewerLine(what=what))
        why = "this process cannot decode it"
        if isinstance(error, NewerFormat):
            why = "only a newer version can read it"
        elif isinstance(error, KeyMissing):
            why = f"it is sealed with the key {error.key_id}, which is not here"
        elif isinstance(error, Erased):
            why = "its key was destroyed"
        self._told(f"{why}, and it is not in the archive: {what}")

    def _report(self) -> None:
        self._writer.flush()
        self._watch(
            Progress(step="exporting", counts=self._writer.walk.counts, bytes=self._writer.bytes)
        )


def _entry(scope: ScopeKey, key: str) -> str:
    return f"memory {key!r} of {scope.kind} {scope.name!r} of app {scope.app!r}"
