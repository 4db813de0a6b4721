"""Listings of sessions, users and apps: pages from the indexes of a store."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from fnmatch import fnmatchcase
from time import monotonic
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from sojourn.calls.operation import RoomStore
from sojourn.errors import CorruptRecord
from sojourn.ids import AppName, SessionKey, UserKey, parse_app, parse_user, user_key
from sojourn.resilience.deadline import from_now, half_of_remaining
from sojourn.sessions import searching
from sojourn.sessions.cursor import Cursor
from sojourn.sessions.model import NamePage, Session, SessionPage
from sojourn.sessions.operations import ListNames, ListRecent, ListSessions, ListUsers
from sojourn.sessions.states import States
from sojourn.sessions.store import IndexPlace, Label, SessionSnapshot, StoredPage

_LOOKS = 25
"""Pages of an index that a filter may go through for one page of its own."""


_SEARCHED = 200
"""Sessions that a search looks at together."""

_LATE = 60.0
"""Seconds by which the index of an app is late."""

_AHEAD = 10
"""Parts of an app's users that are read at once: all, where a listing starts."""


class Filter(NamedTuple):
    """Which sessions are wanted; None is any.

    Attributes:
        pattern: of the session's id, with `*`, `?` and `[…]` as file names have them.
        status: its status.
        labels: labels that it has; empty for any.
        words: words that stand in its id, title, summary or metadata.
        since: its last change is not older than that.
        until: its last change is not newer than that.
    """

    pattern: str | None = None
    status: str | None = None
    labels: Mapping[str, str] = MappingProxyType({})
    words: searching.Words | None = None
    since: float = -math.inf
    until: float = math.inf

    @property
    def label(self) -> Label | None:
        """The label whose index leads to them, if there is one."""
        return next(iter(self.labels.items()), None)

    def admits(self, session: Session[Any]) -> bool:
        """Whether a session is wanted."""
        return (
            self.admits_id(session.key)
            and self.status in (None, session.status)
            and self.labels.items() <= session.labels.items()
            and self.since <= session.updated <= self.until
            and (self.words is None or searching.admits(self.words, session))
        )

    def start(self, place: Cursor, *, newest_first: bool) -> Cursor:
        """Where a walk through an index begins, whose scores are the times of changes."""
        end = self.until if newest_first else self.since
        if place.session is not None or math.isinf(end):
            return place
        beyond = math.nextafter(end, math.inf if newest_first else -math.inf)
        return place._replace(session=IndexPlace(beyond, ""))

    def ends_before(self, place: Cursor | None, *, newest_first: bool, late: float = 0) -> bool:
        """Whether nothing behind a place can be wanted."""
        if place is None or place.session is None:
            return False
        score = place.session.score
        return score < self.since - late if newest_first else score > self.until

    def admits_id(self, key: SessionKey) -> bool:
        """Whether a session of this id may be wanted."""
        return self.pattern is None or fnmatchcase(key.session, self.pattern)


class _Parts(NamedTuple):
    """Sessions of several users, and those that cannot be served."""

    sessions: list[tuple[SessionKey, SessionSnapshot]]
    corrupt: list[SessionKey]
    newer: list[SessionKey]


class Listing:
    """Lists what a store has.

    Args:
        store: where the sessions are.
        states: decodes them.
        shards: among how many index entries the store spreads an app's users.
    """

    def __init__(self, store: RoomStore, states: States, shards: int) -> None:
        self._store = store
        self._states = states
        self._shards = shards

    async def sessions(
        self,
        app: str,
        user: str | None,
        wanted: Filter,
        limit: int,
        cursor: str | None,
        *,
        newest_first: bool = False,
    ) -> SessionPage:
        """A page of the sessions of a user, newest change first or last, or of an app."""
        name, place = parse_app(app), Cursor.parse(cursor)
        found = SessionPage([], None)
        if user is None:

            async def of_app(at: Cursor, size: int) -> tuple[StoredPage, Cursor | None]:
                return await self._of_app(name, at, size, found.corrupt_users)

            return await self._filled(found, wanted, limit, place, of_app)
        owner = user_key(app, user)

        async def of_user(at: Cursor, size: int) -> tuple[StoredPage, Cursor | None]:
            label = wanted.label
            page, after = await self._of_user(owner, at, size, label, newest_first=newest_first)
            ends = wanted.ends_before(after, newest_first=newest_first)
            return page, None if ends else after

        place = wanted.start(place, newest_first=newest_first)
        return await self._filled(found, wanted, limit, place, of_user)

    async def recent(self, app: str, wanted: Filter, limit: int, cursor: str | None) -> SessionPage:
        """A page of the sessions of an app, newest change first."""
        name, place = parse_app(app), Cursor.parse(cursor)

        async def recent(at: Cursor, size: int) -> tuple[StoredPage, Cursor | None]:
            page = await self._store.run(ListRecent(name, at.session, size, wanted.label))
            after = None if page.after is None else Cursor(session=page.after)
            ends = wanted.ends_before(after, newest_first=True, late=_LATE)
            return page, None if ends else after

        place = wanted.start(place, newest_first=True)
        return await self._filled(SessionPage([], None), wanted, limit, place, recent)

    async def _filled(
        self,
        found: SessionPage,
        wanted: Filter,
        limit: int,
        start: Cursor,
        read: Callable[[Cursor, int], Awaitable[tuple[StoredPage, Cursor | None]]],
    ) -> SessionPage:
        """What a filter admits of an index, as far as it may look.

        Args:
            found: takes it.
            wanted: the filter.
            limit: how many sessions at most.
            start: where to begin.
            read: reads a page of the index from a place on, and says where the next one begins.
        """
        place: Cursor | None = start
        end = monotonic() + min(searching.SECONDS, half_of_remaining() - from_now(0))
        looks = 0
        while place is not None and len(found.sessions) < limit:
            if wanted.words is None and wanted != Filter() and looks == _LOOKS:
                break
            if wanted.words is not None and looks and monotonic() > end:
                break
            room = limit - len(found.sessions)
            page, after = await read(place, room if wanted.words is None else _SEARCHED)
            looks += 1
            admitted = [*filter(wanted.admits, await self._states.sessions(page))]
            if len(admitted) > room:  # what is behind the last one is for the next page
                order, last = list(page.places), admitted[room - 1].key
                after = place._replace(session=page.places[last])
                met = {*order[: order.index(last) + 1]}
                page = page._replace(
                    corrupt=[key for key in page.corrupt if key in met],
                    newer=[key for key in page.newer if key in met],
                )
            place = after
            found.sessions.extend(admitted[:room])
            found.corrupt.extend(filter(wanted.admits_id, page.corrupt))
            found.newer.extend(filter(wanted.admits_id, page.newer))
        return msgspec.structs.replace(found, cursor=place and place.text())

    async def _of_user(
        self,
        owner: UserKey,
        place: Cursor,
        limit: int,
        label: Label | None,
        *,
        newest_first: bool,
    ) -> tuple[StoredPage, Cursor | None]:
        """The next sessions of a user, and where to go on; None at the end."""
        page = await self._store.run(
            ListSessions(owner, place.session, limit, label, newest_first=newest_first)
        )
        return page, None if page.after is None else place._replace(session=page.after)

    async def _of_app(
        self, app: AppName, place: Cursor, limit: int, corrupt: list[UserKey]
    ) -> tuple[StoredPage, Cursor | None]:
        """The next sessions of the next users, and where to go on; None at the end.

        A user whose index cannot be read is added to `corrupt`.
        """
        users, more = await self._users(app, place.shard, place.name, limit)
        starts: list[IndexPlace | None] = [None] * len(users)
        if place.session is not None and place.name is not None:  # the user at hand has more
            at_hand = place.name  # whose entry may have moved on since: that would be a second one
            users = [each for each in users if each[1].name != at_hand.name]
            starts = [place.session, *[None] * len(users)]
            users.insert(0, (place.shard, at_hand))
        if not users:
            return StoredPage([], None), None
        owners = [UserKey(app, parse_user(name.name)) for _, name in users]
        pages = await self._store.run(ListUsers(list(zip(owners, starts, strict=True)), limit))
        found = _Parts([], [], [])
        after: IndexPlace | None = None
        for owner, page in zip(owners, pages, strict=False):
            if isinstance(page, CorruptRecord):  # told, and in the user's quarantine
                corrupt.append(owner)
                continue
            found.sessions.extend(page.sessions)
            found.corrupt.extend(page.corrupt)
            found.newer.extend(page.newer)
            after = page.after
        listed = StoredPage(found.sessions, None, found.corrupt, found.newer)
        if after is None and len(pages) == len(users) and not more:
            return listed, None
        return listed, Cursor(*users[len(pages) - 1], after)

    async def _users(
        self, app: AppName, shard: int, after: IndexPlace | None, limit: int
    ) -> tuple[list[tuple[int, IndexPlace]], bool]:
        """The next users of an app, each with its part of them; and whether there may be more.

        One round trip mostly: the parts that may be needed are read at the same time.
        """
        found: list[tuple[int, IndexPlace]] = []
        ahead = self._shards if after is None else _AHEAD
        while shard < self._shards:
            parts = range(shard, min(shard + ahead, self._shards))
            pages = await asyncio.gather(
                *(
                    self._store.run(ListNames(app, part, after if part == shard else None, limit))
                    for part in parts
                ),
                return_exceptions=True,
            )
            for part, page in zip(parts, pages, strict=True):
                if isinstance(page, BaseException):
                    raise page
                room = limit - len(found)
                found += [(part, name) for name in page.places[:room]]
                if page.more or len(page.places) > room:
                    return found, True
                if len(found) == limit:
                    return found, part + 1 < self._shards
            shard, after, ahead = parts.stop, None, self._shards
        return found, False

    async def users(self, app: str, limit: int, cursor: str | None) -> NamePage:
        """A page of the users of an app."""
        place = Cursor.parse(cursor)
        found, more = await self._users(parse_app(app), place.shard, place.name, limit)
        names = [name.name for _, name in found]
        return NamePage(names, Cursor(*found[-1]).text() if more else None)

    async def apps(self, limit: int, cursor: str | None) -> NamePage:
        """A page of the apps."""
        page = await self._store.run(ListNames(None, 0, Cursor.parse(cursor).name, limit))
        names = [found.name for found in page.places]
        return NamePage(names, Cursor(name=page.places[-1]).text() if page.more else None)
