"""Everything that a store keeps about a user, as readable JSON: a line a record.

    {"kind": "event", "key": {"app": "shop", "session": "8e42", "seq": 3}, "value": {…}}

Kinds: `session`, `event`, `user_state`, `memory`, `artifact`, `cached`, `notice`, `quarantined`,
`unreadable` for what cannot be read as one of those, and `newer` for what only a newer version of
Sojourn can read, or only with a key that is not here. Bytes are in base64. It is for people, and so
plain text, also of a store with keys: what another store could take over is another format.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple

from sojourn.client import Sojourn
from sojourn.errors import SojournError
from sojourn.ids import SessionKey, UserKey, tenant_of, user_key
from sojourn.memory.model import OF_USERS
from sojourn.sessions import Event, Session, event_document, session_document
from sojourn.transfer.model import NOT_HERE, NOT_READ

_PAGE = 100


class UserRecord(NamedTuple):
    """A line of the export.

    Attributes:
        kind: what it is.
        key: what names it.
        value: JSON.
    """

    kind: str
    key: Mapping[str, Any]
    value: Any

    def line(self) -> str:
        """As JSON in ASCII, so that no byte needs trust, with a line end."""
        return json.dumps(self._asdict()) + "\n"


async def export(
    store: Sojourn, user: str, write: Callable[[str], object], *, app: str | None = None
) -> Mapping[str, int]:
    """Write everything about a user, a line at a time; how many records of each kind.

    It is no snapshot. Ids of operations are left out, and what only waits in an outage buffer.

    Args:
        store: which store.
        user: about whom.
        write: takes a line.
        app: only of this app; None for all.

    Raises:
        InvalidId: it cannot name a user.
        Unavailable: no server answers in time; what was written is not all.
    """
    counts = Counter[str]()
    async for record in records(store, user, app=app):
        write(record.line())
        counts[record.kind] += 1
    return dict(counts)


async def records(
    store: Sojourn, user: str, *, app: str | None = None
) -> AsyncIterator[UserRecord]:
    """Everything about a user. One session with its events, or one artifact, is held at a time."""
    for name in await store.admin.apps_of(user) if app is None else [app]:
        owner = user_key(name, user)
        for part in (_sessions, _state, _memories, _artifacts, _cached, _notices, _quarantined):
            async for record in part(store, owner):
                yield record
        for of, room in store.stores.rooms.items():
            if room.records is not None:
                async for each in room.records(*owner):
                    if (each.app, each.user) == owner:
                        yield UserRecord(of, {"app": each.app, "name": each.key}, each.value)


async def _sessions(store: Sojourn, owner: UserKey) -> AsyncIterator[UserRecord]:
    cursor: str | None = None
    while True:
        page = await store.sessions.list(*owner, limit=_PAGE, cursor=cursor)
        for key in page.corrupt:
            yield _unreadable("session", {"app": key.app, "session": key.session})
        for key in page.newer:
            yield _unreadable("session", {"app": key.app, "session": key.session}, kind="newer")
        for listed in page.sessions:
            try:
                session = await store.sessions.get(listed.key)
            except NOT_HERE as error:  # an event of it
                place = {"app": listed.key.app, "session": listed.key.session}
                yield _unreadable("session", place, error)
                continue
            if session is not None:
                for record in _session(session):
                    yield record
        cursor = page.cursor
        if cursor is None:
            return


def _session(session: Session[Event]) -> list[UserRecord]:
    """A session, then its events. State of its app is not the user's."""
    place = {"app": session.key.app, "session": session.key.session}
    value = {
        **{name: each for name, each in session_document(session).items() if name not in place},
        "state": {k: v for k, v in session.state.items() if not k.startswith(("app:", "user:"))},
        "complete": session.complete,
    }
    return [UserRecord("session", place, value), *(_event(place, each) for each in session.events)]


def _event(place: Mapping[str, Any], event: Event) -> UserRecord:
    value = event_document(event)
    return UserRecord("event", {**place, "seq": value.pop("seq")}, value)


async def _state(store: Sojourn, owner: UserKey) -> AsyncIterator[UserRecord]:
    try:
        state = await store.sessions.user_state(*owner)
    except NOT_READ as error:
        yield _unreadable("user_state", {"app": owner.app}, error)
        return
    if state:
        yield UserRecord("user_state", {"app": owner.app}, state)


async def _memories(store: Sojourn, owner: UserKey) -> AsyncIterator[UserRecord]:
    memory = store.memory
    for of, scope in zip(OF_USERS, (memory.user, memory.sessions, memory.events), strict=True):
        place = {"app": owner.app, "of": of}
        cursor: str | None = None
        while True:
            page = await scope(owner.user, app=owner.app).list(limit=_PAGE, cursor=cursor)
            for name in page.corrupt:
                yield _unreadable("memory", {**place, "name": name})
            for name in page.newer:
                yield _unreadable("memory", {**place, "name": name}, kind="newer")
            for entry in page.entries:
                value = {
                    "value": entry.value,
                    "metadata": entry.metadata,
                    "text": entry.text,
                    "tenant": entry.tenant,
                    "created": entry.created,
                    "updated": entry.updated,
                    "expires": entry.expires,
                    "version": entry.version,
                }
                yield UserRecord("memory", {**place, "name": entry.key}, value)
            cursor = page.cursor
            if cursor is None:
                break


async def _artifacts(store: Sojourn, owner: UserKey) -> AsyncIterator[UserRecord]:
    for of in await store.admin.artifacts.owners(*owner):
        session = of.session if isinstance(of, SessionKey) else None
        for name in await store.artifacts.names(of):
            place = {"app": owner.app, "session": session, "name": name}
            try:
                versions = await store.artifacts.versions(of, name)
            except NOT_READ as error:
                yield _unreadable("artifact", place, error)
                continue
            for version in (each.version for each in versions):
                yield await _artifact(store, of, place, version)


async def _artifact(
    store: Sojourn, of: SessionKey | UserKey, place: Mapping[str, Any], version: int
) -> UserRecord:
    key = {**place, "version": version}
    try:
        found = await store.artifacts.load(of, place["name"], version=version)
    except NOT_READ as error:
        return _unreadable("artifact", key, error)
    if found is None:
        return _unreadable("artifact", key)
    value = {
        "mime_type": found.mime_type,
        "metadata": found.metadata,
        "created": found.created,
        "data": b64encode(found.data).decode(),
    }
    return UserRecord("artifact", key, value)


async def _cached(store: Sojourn, owner: UserKey) -> AsyncIterator[UserRecord]:
    tenant, nothing = tenant_of(owner), object()
    for name in await store.admin.cache.names(tenant=tenant):
        key = {"app": owner.app, "name": name}
        try:
            value = await store.cache.get(name, nothing, tenant=tenant, stale=True)
        except NOT_READ as error:
            yield _unreadable("cached", key, error)
            continue
        if value is not nothing:
            yield UserRecord("cached", key, value)


async def _notices(store: Sojourn, owner: UserKey) -> AsyncIterator[UserRecord]:
    for notice in await store.notices.kept(*owner):
        value = {"kind": notice.kind, "session": notice.session, "version": notice.version}
        yield UserRecord("notice", {"app": owner.app, "id": notice.id}, value)


async def _quarantined(store: Sojourn, owner: UserKey) -> AsyncIterator[UserRecord]:
    for each in await store.admin.quarantined(*owner):
        value = {
            "key": each.key,
            "field": each.field,
            "reason": each.reason,
            "time": each.time,
            "raw": b64encode(each.raw).decode(),
        }
        yield UserRecord("quarantined", {"app": owner.app, "id": each.id}, value)


def _unreadable(
    of: str, key: Mapping[str, Any], error: SojournError | None = None, kind: str = "unreadable"
) -> UserRecord:
    if isinstance(error, NOT_HERE):
        kind = "newer"
    return UserRecord(kind, {"kind": of, **key}, "" if error is None else str(error))
