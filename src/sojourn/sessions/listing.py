"""Pages of sessions, users and apps, from the indexes of a store."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from sojourn.errors import CorruptRecord
from sojourn.ids import AppName, SessionKey, UserKey, parse_app, parse_user, user_key
from sojourn.sessions.cursor import Cursor
from sojourn.sessions.model import NamePage, Session, SessionPage
from sojourn.sessions.states import States
from sojourn.sessions.store import Label, Listed, SessionStore

_LOOKS = 25
"""Pages of an index that a filter may go through for one page of its own."""


class Filter(NamedTuple):
    """Which sessions are wanted; None is any.

    Attributes:
        pattern: of the session's id, with `*`, `?` and `[…]` as file names have them.
        status: its status.
        labels: labels that it has; empty for any.
    """

    pattern: str | None = None
    status: str | None = None
    labels: Mapping[str, str] = MappingProxyType({})

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
        )

    def admits_id(self, key: SessionKey) -> bool:
        """Whether a session of this id may be wanted."""
        return self.pattern is None or fnmatchcase(key.session, self.pattern)


class Listing:
    """Lists what a store has.

    Args:
        store: where the sessions are.
        states: decodes them.
        shards: among how many index entries the store spreads an app's users.
    """

    def __init__(self, store: SessionStore, states: States, shards: int) -> None:
        self._store = store
        self._states = states
        self._shards = shards

    async def sessions(
        self, app: str, user: str | None, wanted: Filter, limit: int, cursor: str | None
    ) -> SessionPage:
        """A page of the sessions of a user, or of an app."""
        place: Cursor | None = Cursor.parse(cursor)
        name = parse_app(app)
        owner = None if user is None else user_key(app, user)
        found = SessionPage([], None)
        looks = 0
        while place is not None and len(found.sessions) < limit:
            if wanted != Filter() and looks == _LOOKS:
                break
            room = limit - len(found.sessions)
            if owner is not None:
                page, place = await self._of_user(owner, place, room, wanted.label)
            else:
                page, place = await self._of_app(name, place, room, found.corrupt_users)
            looks += 1
            found.sessions.extend(filter(wanted.admits, self._states.sessions(page)))
            found.corrupt.extend(filter(wanted.admits_id, page.corrupt))
            found.newer.extend(filter(wanted.admits_id, page.newer))
        return msgspec.structs.replace(found, cursor=place and place.text())

    async def recent(self, app: str, wanted: Filter, limit: int, cursor: str | None) -> SessionPage:
        """A page of the sessions of an app, newest change first."""
        place: Cursor | None = Cursor.parse(cursor)
        name = parse_app(app)
        found = SessionPage([], None)
        looks = 0
        while place is not None and len(found.sessions) < limit and looks < _LOOKS:
            room = limit - len(found.sessions)
            page = await self._store.list_recent(name, place.session, room, wanted.label)
            place = None if page.after is None else Cursor(session=page.after)
            looks += 1
            found.sessions.extend(filter(wanted.admits, self._states.sessions(page)))
            found.corrupt.extend(filter(wanted.admits_id, page.corrupt))
            found.newer.extend(filter(wanted.admits_id, page.newer))
        return msgspec.structs.replace(found, cursor=place and place.text())

    async def _of_user(
        self, owner: UserKey, place: Cursor, limit: int, label: Label | None = None
    ) -> tuple[Listed, Cursor | None]:
        """The next sessions of a user, and where to go on; None at the end."""
        page = await self._store.list_sessions(owner, place.session, limit, label)
        return page, None if page.after is None else place._replace(session=page.after)

    async def _of_app(
        self, app: AppName, place: Cursor, limit: int, corrupt: list[UserKey]
    ) -> tuple[Listed, Cursor | None]:
        """The next sessions of a user, or of the next one, and where to go on.

        A user whose index cannot be read is added to `corrupt`.
        """
        if place.session is None:  # the user at hand is done
            users = await self._store.list_names(app, place.shard, place.name, 1)
            if not users.places:
                last = place.shard + 1 >= self._shards
                return Listed([], None), None if last else Cursor(shard=place.shard + 1)
            place = Cursor(place.shard, users.places[0])
        owner = UserKey(app, parse_user(place.name.name if place.name else ""))
        try:
            page, rest = await self._of_user(owner, place, limit)
        except CorruptRecord:  # told, and in the user's quarantine
            corrupt.append(owner)
            page, rest = Listed([], None), None
        return page, rest or place._replace(session=None)

    async def users(self, app: str, limit: int, cursor: str | None) -> NamePage:
        """A page of the users of an app."""
        place = Cursor.parse(cursor)
        names: list[str] = []
        shard, after = place.shard, place.name
        while shard < self._shards and len(names) < limit:
            page = await self._store.list_names(parse_app(app), shard, after, limit - len(names))
            names += [found.name for found in page.places]
            after = page.places[-1] if page.more else None
            shard += not page.more
        done = shard >= self._shards
        return NamePage(names, None if done else Cursor(shard=shard, name=after).text())

    async def apps(self, limit: int, cursor: str | None) -> NamePage:
        """A page of the apps."""
        page = await self._store.list_names(None, 0, Cursor.parse(cursor).name, limit)
        names = [found.name for found in page.places]
        return NamePage(names, Cursor(name=page.places[-1]).text() if page.more else None)
