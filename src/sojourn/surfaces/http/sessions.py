"""Routes of the sessions room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from sojourn.errors import InvalidInput, SessionNotFound
from sojourn.sessions import Event, Session, SessionPage, event_document, session_document
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.pages import (
    App,
    Cursor,
    Limit,
    SessionId,
    UserId,
    documented,
    json,
    page,
)

router = APIRouter(tags=["sessions"])
ROUTES = [router]

ALL = "/apps/{app:id}/sessions"
OWN = "/apps/{app:id}/users/{user:id}/sessions"
ONE = OWN + "/{session:id}"

SESSION = {
    "app": "shop",
    "user": "ada",
    "session": "8e42",
    "title": "Tea for two",
    "status": "active",
    "labels": {"flow": "order"},
    "summary": "",
    "metadata": {},
    "length": 2,
    "version": 3,
    "incarnation": "4Zk1…",
    "created": 1767225600.0,
    "updated": 1767225660.5,
    "ttl": 86400.0,
    "until": None,
    "expires": 1767312060.5,
}
EVENT = {
    "seq": 1,
    "id": "9f2c",
    "time": 1767225600.0,
    "author": "user",
    "kind": "message",
    "payload": {"text": "Hello"},
    "state_delta": {"cart": ["tea"]},
}

Status = Annotated[str | None, Query(max_length=256, description="Only of this status.")]
LabelFilter = Annotated[
    list[str] | None,
    Query(alias="label", description="`name:value`; only with all of these.", max_length=16),
]
Words = Annotated[
    str | None,
    Query(
        alias="q",
        max_length=512,
        description="Only with all of these words in id, title, summary or metadata.",
    ),
]
Since = Annotated[float | None, Query(description="Only those changed then or later.")]
Until = Annotated[float | None, Query(description="Only those changed then or before.")]
Newest = Annotated[str, Query(pattern="^(newest|oldest)$", description="Which change comes first.")]


@router.get(
    ALL, responses=documented({"items": [SESSION], "cursor": None, "partial": False}, "Sessions.")
)
async def list_app_sessions(
    who: As,
    app: App,
    *,
    status: Status = None,
    label: LabelFilter = None,
    words: Words = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the sessions of all users of an app, latest change first, at most a minute late.

    A page may have fewer than `limit`, even none; there are more as long as there is a cursor. A
    key for one user lists that user's.
    """
    if who.only_user is not None:
        return await list_sessions(
            who,
            app,
            who.only_user,
            status=status,
            label=label,
            words=words,
            since=since,
            until=until,
            limit=limit,
            cursor=cursor,
        )
    who.everyone(app)
    found = await who.store.sessions.list(
        app,
        status=status,
        labels=labels_of(label),
        query=words or None,
        updated_since=since,
        updated_until=until,
        newest_first=True,
        limit=limit,
        cursor=cursor,
    )
    return _listed(found, limit)


@router.get(
    OWN, responses=documented({"items": [SESSION], "cursor": None, "partial": False}, "Sessions.")
)
async def list_sessions(
    who: As,
    app: App,
    user: UserId,
    *,
    status: Status = None,
    label: LabelFilter = None,
    words: Words = None,
    since: Since = None,
    until: Until = None,
    order: Newest = "newest",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the sessions of a user.

    A page may have fewer than `limit`, even none (`partial`): a search ends after 2 seconds. There
    are more as long as there is a cursor.
    """
    found = await who.user(app, user).sessions.list(
        status=status,
        labels=labels_of(label),
        query=words or None,
        updated_since=since,
        updated_until=until,
        newest_first=order == "newest",
        limit=limit,
        cursor=cursor,
    )
    return _listed(found, limit)


def _listed(found: SessionPage, limit: int) -> Response:
    partial = found.cursor is not None and len(found.sessions) < limit
    return page([session_document(each) for each in found.sessions], found.cursor, partial=partial)


@router.get(
    ONE,
    responses=documented(
        {**SESSION, "state": {"cart": ["tea"]}, "complete": True, "events": [EVENT]}, "A session."
    ),
)
async def get_session(
    who: As,
    app: App,
    user: UserId,
    session: SessionId,
    *,
    events: Annotated[int, Query(ge=0, le=1000, description="So many of the last events.")] = 0,
) -> Response:
    """Read a session with its state, merged with its user's and its app's, and its last events."""
    found = there(await who.user(app, user).sessions.get(session, last=events))
    return json(
        {
            **session_document(found),
            "state": found.state,
            "complete": found.complete,
            "events": [event_document(event) for event in found.events],
        }
    )


@router.get(
    ONE + "/events",
    responses=documented({"items": [EVENT], "length": 2, "first": 1, "last": 1}, "Events."),
)
async def list_events(
    who: As,
    app: App,
    user: UserId,
    session: SessionId,
    *,
    after: Annotated[int | None, Query(ge=0, description="Only those behind this `seq`.")] = None,
    before: Annotated[int | None, Query(ge=1, description="Only those before this `seq`.")] = None,
    limit: Limit = 100,
) -> Response:
    """Read events, oldest first: those behind `after`, those before `before`, else the last ones.

    `length` is how many there have been, `first` and `last` the numbers of those in this page.
    """
    found, events = await events_of(
        who, app, user, session, after=after, before=before, limit=limit
    )
    return json(
        {
            "items": [event_document(event) for event in events],
            "length": found.length,
            "first": events[0].seq if events else None,
            "last": events[-1].seq if events else None,
        }
    )


async def events_of(
    who: As,
    app: str,
    user: str,
    session: str,
    *,
    after: int | None,
    before: int | None,
    limit: int,
) -> tuple[Session[Event], Sequence[Event]]:
    """A session, and a page of its events, oldest first.

    Raises:
        InvalidInput: both `after` and `before`.
        SessionNotFound: there is none.
    """
    own = who.user(app, user).sessions
    if after is not None and before is not None:
        raise InvalidInput("Give after or before, not both.")
    if after is not None:
        found = there(await own.get(session, after=after))
        return found, found.events[:limit]
    if before is None:
        found = there(await own.get(session, last=limit))
        return found, found.events
    head = there(await own.get(session, last=0))
    found = there(await own.get(session, last=max(0, head.length - before + 1 + limit)))
    return found, [each for each in found.events if before - limit <= each.seq < before]


def there(found: Session[Any] | None) -> Session[Any]:
    """A session that was asked for.

    Raises:
        SessionNotFound: there is none.
    """
    if found is None:
        raise SessionNotFound("There is no such session.")
    return found


def labels_of(given: Sequence[str] | None) -> dict[str, str] | None:
    """Labels of a filter, as `name:value`.

    Raises:
        InvalidInput: one has no colon.
    """
    if not given:
        return None
    pairs = [each.partition(":") for each in given]
    if not all(colon for _, colon, _ in pairs):
        raise InvalidInput("label is name:value; a name has no colon.")
    return {name: value for name, _, value in pairs}
