"""List sessions, users and apps, page by page."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, TypeVar

from sojourn.calls.operation import Operation
from sojourn.errors import CorruptRecord
from sojourn.ids import (
    AppName,
    SessionId,
    SessionKey,
    UserKey,
    escape,
    parse_app,
    parse_session,
    parse_user,
)
from sojourn.resilience.deadline import gather_in_time
from sojourn.sessions.keys import SHARDS
from sojourn.sessions.recent import as_json, entry_of, named
from sojourn.sessions.replies import range_of, size_of
from sojourn.sessions.store import (
    FoundSessions,
    IndexEntry,
    IndexPlace,
    Label,
    SessionSnapshot,
    StoredNames,
    StoredPage,
    has,
)

if TYPE_CHECKING:
    from sojourn.sessions.coded import CodedSessions
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions

V = TypeVar("V")

_OF_EACH = 100
"""Entries of a user's index that are read where many users' are: most have fewer."""

_REPAIRED = 1000
"""Sessions that have gone which one page of a list takes out."""

_Order = list[tuple[IndexPlace, SessionKey]]


class ListSessions(Operation[StoredPage], frozen=True):
    """A page of a user's sessions with state and no rows, least recently updated first.

    Or the other way round, where what is updated between two pages is not on the second.

    Attributes:
        owner: which user.
        after: behind which place it begins.
        limit: how many sessions at most.
        label: only those that have it.
        newest_first: begin with what was updated last.
    """

    owner: UserKey
    after: IndexPlace | None
    limit: int
    label: Label | None = None
    newest_first: bool = False

    async def decoded(self, result: StoredPage, coded: CodedSessions) -> StoredPage:
        """As `Operation`."""
        return await coded.decoded_page(result)

    async def on_server(self, server: RedisSessions) -> StoredPage:
        """Two round trips."""
        owner, label = self.owner, self.label
        index = server.keys.user(owner).by_update
        if label is not None:
            index = server.keys.labelled(index, label)
        page = await server.indexes.page(
            owner, index, self.after, self.limit, parse_session, newest_first=self.newest_first
        )
        keys = [SessionKey(*owner, SessionId(place.name)) for place in page.places]
        found = await server.indexes.read(keys)
        if found.gone:
            server.engine.send_nowait(server.indexes.remove_expired_call(owner))
        moved = [key for key, stored in found.sessions if not has(stored.head, label)]
        if amiss := [*found.gone, *moved][:_REPAIRED]:  # evicted, or of another label by now
            server.engine.send_nowait(server.indexes.repair_call(owner, amiss, label))
        after = page.places[-1] if page.more else None
        places = dict(zip(keys, page.places, strict=True))
        return StoredPage(found.sessions, after, found.corrupt, found.newer, places)

    async def in_memory(self, memory: InMemorySessions) -> StoredPage:
        """As `Operation`."""
        order: _Order = []
        for key in list(memory.sessions):
            session = memory.alive(key) if key.owner == self.owner else None
            if session is not None and has(session.head, self.label):
                insort(order, (IndexPlace(session.place, key.session), key))
        page = _page(order, self.after, self.limit, newest_first=self.newest_first)
        return _listed(memory, *page)


class ListIds(Operation[StoredNames], frozen=True):
    """A page of the ids of a user's sessions, least recently updated first.

    Attributes:
        owner: which user.
        after: behind which place it begins.
        limit: how many at most.
        newest_first: begin with what was updated last.
    """

    owner: UserKey
    after: IndexPlace | None
    limit: int
    newest_first: bool = False

    async def on_server(self, server: RedisSessions) -> StoredNames:
        """One round trip."""
        owner, index, after = self.owner, server.keys.user(self.owner).by_update, self.after
        return await server.indexes.page(
            owner, index, after, self.limit, parse_session, newest_first=self.newest_first
        )

    async def in_memory(self, memory: InMemorySessions) -> StoredNames:
        """As `Operation`."""
        listed = ListSessions(self.owner, self.after, self.limit, newest_first=self.newest_first)
        page = await memory.run(listed)
        return StoredNames([*page.places.values()], page.after is not None)


class ListUsers(Operation[Sequence[StoredPage | CorruptRecord]], frozen=True):
    """Pages as of `ListSessions` of several users at once, in order, up to so many sessions.

    Of each user the sessions behind a place, or what is wrong with its index. Users may be left
    out at the end; only the last of those that are not may have more.

    Attributes:
        users: which users, and behind which place each begins.
        limit: how many sessions at most.
    """

    users: Sequence[tuple[UserKey, IndexPlace | None]]
    limit: int

    async def decoded(
        self, result: Sequence[StoredPage | CorruptRecord], coded: CodedSessions
    ) -> Sequence[StoredPage | CorruptRecord]:
        """As `Operation`."""

        async def decoded(page: StoredPage | CorruptRecord) -> StoredPage | CorruptRecord:
            return page if isinstance(page, CorruptRecord) else await coded.decoded_page(page)

        return await asyncio.gather(*map(decoded, result))  # their keys in one round trip

    async def on_server(self, server: RedisSessions) -> Sequence[StoredPage | CorruptRecord]:
        """Two round trips."""
        limit = self.limit
        size = min(limit, _OF_EACH)
        indexes = [server.keys.user(owner).by_update for owner, _ in self.users]
        commands = [
            [range_of(index, after, size_of(size, after))]
            for index, (_, after) in zip(indexes, self.users, strict=True)
        ]
        replies = await server.indexes.ask("sessions.index", commands)
        places: dict[UserKey, StoredNames | CorruptRecord] = {}
        for (owner, after), index, (first,) in zip(self.users, indexes, replies, strict=True):
            try:
                page = await server.indexes.page(
                    owner, index, after, size, parse_session, first=first
                )
            except CorruptRecord as error:
                places[owner] = error
                continue
            more = page.more or len(page.places) > limit
            places[owner] = StoredNames(page.places[:limit], more)
            limit -= min(limit, len(page.places))
            if more or not limit:
                break
        found = await server.indexes.read(
            [
                SessionKey(*owner, SessionId(place.name))
                for owner, page in places.items()
                if isinstance(page, StoredNames)
                for place in page.places
            ]
        )
        return _by_user(server, places, found)

    async def in_memory(self, memory: InMemorySessions) -> Sequence[StoredPage | CorruptRecord]:
        """As `Operation`."""
        order: dict[UserKey, _Order] = {owner: [] for owner, _ in self.users}
        for key in list(memory.sessions):
            session = memory.alive(key) if key.owner in order else None
            if session is not None:
                insort(order[key.owner], (IndexPlace(session.place, key.session), key))
        pages: list[StoredPage] = []
        limit = self.limit
        for owner, after in self.users:
            page = _listed(memory, *_page(order[owner], after, limit))
            pages.append(page)
            limit -= len(page.sessions)
            if page.after is not None or not limit:
                break
        return pages


class ListRecent(Operation[StoredPage], frozen=True):
    """A page of an app's sessions with state and no rows, most recently updated first.

    The name of a place is user and session, both escaped, a colon between them. What is as new as
    a minute may be missing or stand further back.

    Attributes:
        app: which app.
        after: behind which place it begins.
        limit: how many at most.
        label: only those that have it.
    """

    app: AppName
    after: IndexPlace | None
    limit: int
    label: Label | None = None

    async def decoded(self, result: StoredPage, coded: CodedSessions) -> StoredPage:
        """As `Operation`."""
        return await coded.decoded_page(result)

    async def on_server(self, server: RedisSessions) -> StoredPage:
        """Two round trips."""
        app, after, limit, label = self.app, self.after, self.limit, self.label
        indexes = [server.keys.recent(app, shard).by_update for shard in range(SHARDS)]
        if label is not None:
            indexes = [server.keys.labelled(index, label) for index in indexes]
        pages = await gather_in_time(
            *(server.indexes.newest(index, after, limit) for index in indexes)
        )
        places = sorted((place for page in pages for place in page.places), reverse=True)
        more = len(places) > limit or any(page.more for page in pages)
        places = places[:limit]
        met = {key: place for place in places if (key := named(app, place.name))}
        found = await server.indexes.read(list(met))
        for key in found.gone[:_REPAIRED]:  # unless it has been entered again meanwhile
            server.recent.enter(IndexEntry(key, expires=met[key].score, former=as_json(label)))
        for key, stored in found.sessions:
            if not has(stored.head, label):  # of another label by now
                server.recent.enter(entry_of(key, stored.head, as_json(label)))
        after = places[-1] if more else None
        return StoredPage(found.sessions, after, found.corrupt, found.newer, met)

    async def in_memory(self, memory: InMemorySessions) -> StoredPage:
        """As `Operation`."""
        order: _Order = []
        for key in list(memory.sessions):
            session = memory.alive(key) if key.app == self.app else None
            if session is not None and has(session.head, self.label):
                name = f"{escape(key.user)}:{escape(key.session)}"
                order.append((IndexPlace(session.place, name), key))
        order.sort()
        return _listed(memory, *_page(order, self.after, self.limit, newest_first=True))


class ListNames(Operation[StoredNames], frozen=True):
    """A page of the users in a shard of an app, or of the apps.

    Attributes:
        app: which app; None for the apps.
        shard: which part of the index.
        after: behind which place it begins.
        limit: how many at most.
    """

    app: str | None
    shard: int
    after: IndexPlace | None
    limit: int

    async def on_server(self, server: RedisSessions) -> StoredNames:
        """One round trip."""
        index = server.keys.users(self.app, self.shard) if self.app else server.keys.apps()
        parse = parse_user if self.app else parse_app
        return await server.indexes.page(None, index, self.after, self.limit, parse)

    async def in_memory(self, memory: InMemorySessions) -> StoredNames:
        """As `Operation`: all are in the first shard."""
        alive: list[SessionKey | UserKey] = [
            key for key in list(memory.sessions) if memory.alive(key) is not None
        ]
        shared = [of for of in list(memory.shared_state) if memory.values(of)]
        alive += [of for of in shared if isinstance(of, UserKey)]
        apps = {key.app for key in alive} | {of for of in shared if isinstance(of, str)}
        names: set[str] = (
            {key.user for key in alive if key.app == self.app} if self.app else {*apps}
        )
        order = [(IndexPlace(inf, name), name) for name in sorted(names)] if self.shard == 0 else []
        page, more = _page(order, self.after, self.limit)
        return StoredNames([place for place, _ in page], more)


def _by_user(
    server: RedisSessions, places: dict[UserKey, StoredNames | CorruptRecord], found: FoundSessions
) -> list[StoredPage | CorruptRecord]:
    """What was found, a page for each user."""
    parts = {owner: FoundSessions([], [], [], []) for owner in places}
    for key, stored in found.sessions:
        parts[key.owner].sessions.append((key, stored))
    for key in found.corrupt:
        parts[key.owner].corrupt.append(key)
    for key in found.newer:
        parts[key.owner].newer.append(key)
    for key in found.gone:
        parts[key.owner].gone.append(key)
    listed: list[StoredPage | CorruptRecord] = []
    for owner, page in places.items():
        if isinstance(page, CorruptRecord):
            listed.append(page)
            continue
        part = parts[owner]
        if part.gone:  # evicted, or expired
            server.engine.send_nowait(server.indexes.remove_expired_call(owner))
            server.engine.send_nowait(server.indexes.repair_call(owner, part.gone[:_REPAIRED]))
        after = page.places[-1] if page.more else None
        listed.append(StoredPage(part.sessions, after, part.corrupt, part.newer))
    return listed


def _listed(
    memory: InMemorySessions, page: Sequence[tuple[IndexPlace, SessionKey]], more: bool
) -> StoredPage:
    sessions = [(key, _without_rows(memory, key)) for _, key in page]
    places = {key: place for place, key in page}
    return StoredPage(sessions, page[-1][0] if more else None, places=places)


def _without_rows(memory: InMemorySessions, key: SessionKey) -> SessionSnapshot:
    session = memory.sessions[key]
    user, app = memory.values(key.owner), memory.values(key.app)
    return SessionSnapshot(session.head, dict(session.state), user, app, [], 0)


def _page(
    order: Sequence[tuple[IndexPlace, V]],
    after: IndexPlace | None,
    limit: int,
    *,
    newest_first: bool = False,
) -> tuple[list[tuple[IndexPlace, V]], bool]:
    if newest_first:
        rest = [entry for entry in reversed(order) if after is None or entry[0] < after]
    else:
        rest = [entry for entry in order if after is None or entry[0] > after]
    return rest[:limit], len(rest) > limit
