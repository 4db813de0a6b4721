"""List sessions, users and apps, page by page."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, TypeVar

from sojourn.calls.operation import Operation
from sojourn.errors import CorruptRecord
from sojourn.ids import AppName, SessionKey, UserKey, escape
from sojourn.sessions.store import IndexPlace, Label, SessionSnapshot, StoredNames, StoredPage, has

if TYPE_CHECKING:
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions

V = TypeVar("V")
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

    async def on_server(self, server: RedisSessions) -> StoredPage:
        """Two round trips."""
        return await server.indexes.list_sessions(
            self.owner, self.after, self.limit, self.label, newest_first=self.newest_first
        )

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
    """

    owner: UserKey
    after: IndexPlace | None
    limit: int

    async def on_server(self, server: RedisSessions) -> StoredNames:
        """One round trip."""
        return await server.indexes.list_ids(self.owner, self.after, self.limit)

    async def in_memory(self, memory: InMemorySessions) -> StoredNames:
        """As `Operation`."""
        page = await memory.run(ListSessions(self.owner, self.after, self.limit))
        found = [IndexPlace(memory.sessions[key].place, key.session) for key, _ in page.sessions]
        return StoredNames(found, page.after is not None)


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

    async def on_server(self, server: RedisSessions) -> Sequence[StoredPage | CorruptRecord]:
        """Two round trips."""
        return await server.indexes.list_users(self.users, self.limit)

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

    async def on_server(self, server: RedisSessions) -> StoredPage:
        """Two round trips."""
        return await server.indexes.list_recent(self.app, self.after, self.limit, self.label)

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
        return await server.indexes.list_names(self.app, self.shard, self.after, self.limit)

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


def _listed(
    memory: InMemorySessions, page: Sequence[tuple[IndexPlace, SessionKey]], more: bool
) -> StoredPage:
    sessions = [(key, _without_rows(memory, key)) for _, key in page]
    return StoredPage(sessions, page[-1][0] if more else None)


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
