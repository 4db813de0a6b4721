"""A store in the memory of this process, as a source: what `memory://` holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, get_args

from sojourn.client import Sojourn
from sojourn.errors import ConfigurationError
from sojourn.ids import SessionKey, UserKey
from sojourn.memory.model import Kind
from sojourn.sessions import FIELDS, Session
from sojourn.sessions.scope import split
from sojourn.transfer.migration.layout import ALWAYS
from sojourn.transfer.migration.model import (
    Record,
    Remembered,
    SourceSession,
    SourceState,
    UnreadableRecord,
)

_PAGE = 200


class MemorySource:
    """The sessions, the shared state and the memory of a store that is open as `memory://`.

    Cached results and artifacts are not taken along.

    Args:
        store: the store.
        apps: apps of the memory whose names no session has.

    Raises:
        ConfigurationError: the store is on a server.
    """

    def __init__(self, store: Sojourn, apps: tuple[str, ...] = ("memory",)) -> None:
        if store.where != "memory://":
            raise ConfigurationError(
                f"The store at {store.where} is on a server: export it there and import it here. "
                "A migration reads another program's data, or a store in memory."
            )
        self._store = store
        self._apps = apps
        self.where = store.where
        self.layout = "sojourn"

    async def records(self) -> AsyncIterator[Record]:
        """All that there is now."""
        apps = dict.fromkeys(self._apps)
        cursor: str | None = None
        while True:
            names = await self._store.admin.apps(cursor=cursor)
            apps.update(dict.fromkeys(names.names))
            cursor = names.cursor
            if cursor is None:
                break
        for app in apps:
            async for record in self._sessions(app):
                yield record
            for kind in get_args(Kind):
                async for record in self._memory(app, kind):
                    yield record

    async def close(self) -> None:
        """Leave the store open: it was lent."""

    async def _sessions(self, app: str) -> AsyncIterator[Record]:
        cursor: str | None = None
        owners = set[UserKey]()
        while True:
            page = await self._store.sessions.list(app, limit=_PAGE, cursor=cursor)
            for key in page.corrupt:
                yield UnreadableRecord(_where(key), "it cannot be read")
            for listed in page.sessions:
                session = await self._store.sessions.get(listed.key)
                if session is None:
                    continue
                yield _session(session)
                for record in _shared(session, owners):
                    yield record
            cursor = page.cursor
            if cursor is None:
                return

    async def _memory(self, app: str, kind: Kind) -> AsyncIterator[Record]:
        cursor: str | None = None
        while True:
            page = await self._store.admin.memory.scopes(kind, app=app, cursor=cursor)
            for name in page.names:
                async for record in self._entries(app, kind, name):
                    yield record
            cursor = page.cursor
            if cursor is None:
                return

    async def _entries(self, app: str, kind: Kind, name: str) -> AsyncIterator[Record]:
        scope = getattr(self._store.memory, kind)(name, app=app)
        cursor: str | None = None
        while True:
            page = await scope.list(limit=_PAGE, cursor=cursor)
            for entry in page.entries:
                yield Remembered(
                    where=f"memory {app}, {kind}, {name}, {entry.key}",
                    app=app,
                    kind=kind,
                    name=name,
                    key=entry.key,
                    value=entry.value,
                    text=entry.text,
                    metadata=entry.metadata,
                    expires=entry.expires,
                )
            cursor = page.cursor
            if cursor is None:
                return


def _where(key: SessionKey) -> str:
    return f"session {key.app}, {key.user}, {key.session}"


def _session(session: Session[Any]) -> SourceSession:
    return SourceSession(
        where=_where(session.key),
        key=session.key,
        events=session.events,
        state=split(session.state).session,
        created=session.created,
        updated=session.updated,
        expires=session.expires,
        ttl=session.ttl,
        until=session.until,
        **{name: getattr(session, name) for name in FIELDS},
    )


def _shared(session: Session[Any], seen: set[UserKey]) -> list[Record]:
    """What a session shares with others, once for each user."""
    if session.key.owner in seen:
        return []
    seen.add(session.key.owner)
    parts, app = split(session.state), session.key.app
    return [
        SourceState(app=app, user=session.key.user, values=parts.user, at=ALWAYS),
        SourceState(app=app, user=None, values=parts.app, at=ALWAYS),
    ]
