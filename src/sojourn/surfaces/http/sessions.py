"""Routes of the sessions room."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from time import monotonic
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from fastapi.routing import APIRoute
from msgspec import UNSET, UnsetType

from sojourn.errors import InvalidInput, SessionNotFound, StaleSession
from sojourn.ids import SessionKey
from sojourn.sessions import FIELDS, Event, Session, SessionPage, event_document, session_document
from sojourn.surfaces.http.bodies import RequestBody, body, documented_body, reading
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.etags import Expected, IfMatch, etag_of, is_known
from sojourn.surfaces.http.idempotency import OperationId
from sojourn.surfaces.http.pages import (
    App,
    Cursor,
    Limit,
    SessionId,
    UserId,
    documented,
    json,
    page,
    segment,
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


class NewSession(RequestBody, frozen=True):
    """A session to be made.

    Attributes:
        session: its id; made if not given.
        state: its first state, with `user:` keys.
        ttl: seconds that it lives after each change; null for ever, the server's if not given.
        max_age: seconds that it lives at most.
        until: when it ends at the latest.
    """

    session: str | None = None
    state: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    ttl: float | UnsetType | None = UNSET
    max_age: float | None = None
    until: float | None = None
    title: str | None = None
    status: str | None = None
    labels: dict[str, str] | None = None
    summary: str | None = None
    metadata: dict[str, Any] | None = None


class SessionChanges(RequestBody, frozen=True):
    """Fields of a session to set; what is left out stays, and so does what is null.

    Attributes:
        ttl: as of a new one; null for ever.
        until: when it ends at the latest; null for no such end.
        labels: those to set, and with null those to remove.
    """

    ttl: float | UnsetType | None = UNSET
    until: float | UnsetType | None = UNSET
    title: str | None = None
    status: str | None = None
    labels: dict[str, str | None] | None = None
    summary: str | None = None
    metadata: dict[str, Any] | None = None


class SentEvent(RequestBody, frozen=True):
    """An event to be appended.

    Attributes:
        author: `user`, or the name of an agent.
        payload: what happened, as any JSON.
        kind: the type of the payload.
        id: made if not given; an id that is in the log already is refused (409).
        time: now if not given.
        state_delta: state that it sets.
    """

    author: str
    payload: Any
    kind: str = "message"
    id: str | UnsetType = UNSET
    time: float | UnsetType = UNSET
    state_delta: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])

    def event(self) -> Event:
        """The same as an event."""
        more: dict[str, Any] = {}
        if self.id is not UNSET:
            more["id"] = self.id
        if self.time is not UNSET:
            more["time"] = self.time
        return Event(
            author=self.author,
            payload=self.payload,
            kind=self.kind,
            state_delta=self.state_delta,
            **more,
        )


class SentEvents(RequestBody, frozen=True):
    """Events to be appended, in order, all or nothing."""

    events: list[SentEvent]


class StateChanges(RequestBody, frozen=True):
    """State to change.

    Attributes:
        set: values by key; `user:` keys go to the state of the user.
        remove: keys of the session's own.
        author: who changes it, for the log.
    """

    set: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    remove: list[str] = msgspec.field(default_factory=list[str])
    author: str = "user"


Status = Annotated[str | None, Query(max_length=256, description="Only of this status.")]
LabelFilter = Annotated[
    list[str] | None,
    Query(alias="label", description="`name:value`; only with all of these.", max_length=16),
]
Words = Annotated[
    str | None,
    Query(alias="q", max_length=512, description="Words in the id, title, summary or metadata."),
]
Since = Annotated[float | None, Query(description="Changed then or later; seconds.")]
Until = Annotated[float | None, Query(description="Changed then or before; seconds.")]
Newest = Annotated[str, Query(pattern="^(newest|oldest)$", description="Which change comes first.")]


async def append_events(
    who: As,
    app: App,
    user: UserId,
    session: SessionId,
    *,
    expected: IfMatch,
    operation: OperationId,
    given: Annotated[SentEvents, body(SentEvents)],
) -> Response:
    """Append events and set the state that they carry, all or nothing.

    What others append at the same time is kept as well, unless `If-Match` says otherwise.
    `repeated`: this very operation was done before, and nothing was written now.
    """
    done = await who.user(app, user).sessions.append(
        session,
        *[each.event() for each in given.events],
        **_kept(expected),
        operation_id=operation,
    )
    who.tails.wake(app, user, session)
    document = {"version": done.version, "seqs": list(done.seqs), "repeated": done.repeated}
    return json(document, status=HTTPStatus.CREATED, headers=_etag(expected, done.version))


class AppendRoute(APIRoute):
    """The route of appends, which agents wait for: FastAPI's checks take longer than the append.

    A request without a query and without the headers that are checked needs none of them.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As `APIRoute`."""
        checked, read = super().get_route_handler(), reading(SentEvents)

        async def handle(request: Request) -> Response:
            sent, named = request.scope, request.path_params
            if sent["query_string"] or any(name in _CHECKED for name, _ in sent["headers"]):
                return await checked(request)
            return await append_events(
                *(sent["sojourn.caller"], named["app"], named["user"], named["session"]),
                expected=Expected(),
                operation=None,
                given=await read(request),
            )

        return handle


_CHECKED = frozenset({b"if-match", b"idempotency-key"})


router.add_api_route(
    ONE + "/events",
    append_events,
    methods=["POST"],
    route_class_override=AppendRoute,
    status_code=HTTPStatus.CREATED,
    responses=documented(
        {"version": 4, "seqs": [3], "repeated": False}, "What it did.", status=201
    ),
    openapi_extra=documented_body(
        SentEvents,
        {"events": [{"author": "user", "payload": {"text": "Hi"}, "state_delta": {"cart": []}}]},
    ),
)


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
            *(who, app, who.only_user),
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
    return _page(found, limit)


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
    return _page(found, limit)


@router.get(
    ONE,
    responses=documented(
        {**SESSION, "state": {"cart": ["tea"]}, "complete": True, "events": [EVENT]}, "A session."
    ),
)
async def get_session(
    who: As,
    request: Request,
    app: App,
    user: UserId,
    session: SessionId,
    *,
    events: Annotated[int, Query(ge=0, le=1000, description="So many of the last events.")] = 0,
) -> Response:
    """Read a session with its state, merged with its user's and its app's, and its last events.

    It has an ETag, for `If-None-Match` here and `If-Match` of changes.
    """
    found = there(await who.user(app, user).sessions.get(session, last=events))
    state, fields = found.state, session_document(found)
    etag = etag_of(found.incarnation, found.version, state, events, found.complete)
    if is_known(request, etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})
    return json(
        {
            **fields,
            "state": state,
            "complete": found.complete,
            "events": [event_document(event) for event in found.events],
        },
        headers={"ETag": etag},
    )


@router.post(
    OWN,
    status_code=HTTPStatus.CREATED,
    responses=documented(SESSION | {"state": {"cart": []}}, "The session.", status=201),
    openapi_extra=documented_body(NewSession, {"title": "Tea for two", "state": {"cart": []}}),
)
async def create_session(
    who: As,
    app: App,
    user: UserId,
    *,
    operation: OperationId,
    given: Annotated[NewSession, body(NewSession)],
) -> Response:
    """Make a session. Its address is in `Location`, its ETag in `ETag`."""
    lives: dict[str, Any] = {} if given.ttl is UNSET else {"ttl": given.ttl}
    made = await who.user(app, user).sessions.create(
        given.session,
        state=given.state,
        max_age=given.max_age,
        until=given.until,
        operation_id=operation,
        **lives,
        **_fields_of(given),
    )
    where = f"/v1/apps/{segment(app)}/users/{segment(user)}/sessions/{segment(made.key.session)}"
    headers = {"Location": who.root_path + where, "ETag": etag_of(made.incarnation, made.version)}
    document = {**session_document(made), "state": made.state}
    return json(document, status=HTTPStatus.CREATED, headers=headers)


@router.patch(
    ONE,
    responses=documented({"version": 4}, "Its version after it."),
    openapi_extra=documented_body(SessionChanges, {"status": "ended", "labels": {"flow": None}}),
)
async def update_session(
    who: As,
    app: App,
    user: UserId,
    session: SessionId,
    *,
    expected: IfMatch,
    operation: OperationId,
    given: Annotated[SessionChanges, body(SessionChanges)],
) -> Response:
    """Set fields of a session, or its lifetime; the others stay."""
    times = (("ttl", given.ttl), ("until", given.until))
    lives: dict[str, Any] = {name: value for name, value in times if value is not UNSET}
    version = await who.user(app, user).sessions.update(
        session, **_kept(expected), operation_id=operation, **lives, **_fields_of(given)
    )
    who.tails.wake(app, user, session)
    return json({"version": version}, headers=_etag(expected, version))


@router.delete(ONE, status_code=HTTPStatus.NO_CONTENT)
async def delete_session(
    who: As,
    app: App,
    user: UserId,
    session: SessionId,
    *,
    expected: IfMatch,
    operation: OperationId,
) -> Response:
    """Delete a session and its events for good; state under `user:` stays.

    With `If-Match` its version is read first, and then no other session of this id is deleted.
    """
    own = who.user(app, user).sessions
    if expected.version is not None:
        now = await own.events(session, limit=1)
        if (now.incarnation, now.version) != expected:
            raise StaleSession(
                f"The session has the version {now.version}, not {expected.version}.",
                expected=expected.version,
                actual=now.version,
            )
    gone = await own.delete(session, incarnation=expected.incarnation, operation_id=operation)
    who.tails.wake(app, user, session)
    if not gone:
        raise SessionNotFound("There is no such session.")
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post(
    ONE + "/rotate",
    responses=documented({"session": "f00d…", "incarnation": "9Kx…"}, "The new id."),
)
async def rotate_session(
    who: As,
    app: App,
    user: UserId,
    session: SessionId,
    *,
    expected: IfMatch,
    operation: OperationId,
) -> Response:
    """Give a session a new id, with its artifacts, as after a login; the old id leads nowhere."""
    done = await who.user(app, user).rotate(
        session, incarnation=expected.incarnation, operation_id=operation
    )
    who.tails.wake(app, user, session)
    return json({"session": done.key.session, "incarnation": done.incarnation})


@router.get(
    ONE + "/events",
    responses=documented(
        {"items": [EVENT], "length": 2, "first": 1, "last": 1, "complete": True}, "Events."
    ),
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

    `length` is how many there have been, `first` and `last` the numbers of those in this page. It
    may have fewer than `limit` when they are large: go on behind `last`, or before `first`.
    `complete` is false when some of them cannot be read; these are in the quarantine.
    """
    own = who.user(app, user).sessions
    found = await own.events(session, after=after, before=before, limit=limit)
    return json(
        {
            "items": [event_document(event) for event in found.events],
            "length": found.length,
            "first": found.seqs.start if found.seqs else None,
            "last": found.seqs.stop - 1 if found.seqs else None,
            "complete": found.complete,
        }
    )


@router.get(
    ONE + "/state",
    responses=documented(
        {"state": {"cart": ["tea"], "user:tongue": "en"}, "version": 3, "complete": True}, "State."
    ),
)
async def get_state(who: As, app: App, user: UserId, session: SessionId) -> Response:
    """Read the state of a session, with its user's (`user:…`) and its app's (`app:…`)."""
    found = there(await who.user(app, user).sessions.get(session, last=0))
    state = {"state": found.state, "version": found.version, "complete": found.complete}
    return json(state, headers={"ETag": etag_of(found.incarnation, found.version, found.state)})


@router.patch(
    ONE + "/state",
    responses=documented({"version": 5}, "Its version after it."),
    openapi_extra=documented_body(StateChanges, {"set": {"cart": []}, "remove": ["draft"]}),
)
async def change_state(
    who: As,
    app: App,
    user: UserId,
    session: SessionId,
    *,
    expected: IfMatch,
    operation: OperationId,
    given: Annotated[StateChanges, body(StateChanges)],
) -> Response:
    """Set keys of the state, or remove some, and leave the others.

    The log gets an event of the kind `state` that says what was set. With both `set` and `remove`
    they are two steps: the first sets.
    """
    own, version = who.user(app, user).sessions, 0
    if not given.set and not given.remove:
        raise InvalidInput("Nothing to set, and nothing to remove.")
    if given.set:
        event = Event(author=given.author, payload=None, kind="state", state_delta=given.set)
        done = await own.append(
            session, event, **_kept(expected), operation_id=operation and f"{operation}.set"
        )
        version = done.version
        expected = expected._replace(version=expected.version and version)
    if given.remove:
        version = await own.remove_state(
            session,
            *given.remove,
            **_kept(expected),
            operation_id=operation and f"{operation}.remove",
        )
    who.tails.wake(app, user, session)
    return json({"version": version}, headers=_etag(expected, version))


_SECONDS = 2.0
"""Seconds for which a log is looked through."""
_LOOK = 500
"""Events that are looked through in a round trip."""

CHANGE = {
    "seq": 3,
    "time": 1767225660.5,
    "author": "agent",
    "name": "cart",
    "value": ["tea"],
    "before": [],
}


@router.get(
    ONE + "/state/changes",
    responses=documented({"items": [CHANGE], "cursor": None, "partial": False}, "Changes."),
)
async def list_state_changes(
    who: As,
    app: App,
    user: UserId,
    session: SessionId,
    *,
    name: Annotated[str | None, Query(max_length=1024, description="Only of this key.")] = None,
    limit: Limit = 100,
    cursor: Annotated[int | None, Query(ge=1, description="`cursor` of the page before.")] = None,
) -> Response:
    """Read who has set which state when, newest first, from the events of the log.

    `before` is the value that it replaced, where this page tells it. A page has as many as the
    events that were looked through, `limit` or some more. It looks through the log for
    2 seconds at most: `partial` says that there may be more behind the cursor.
    """
    own, changes = who.user(app, user).sessions, list[dict[str, Any]]()
    waiting = dict[str, dict[str, Any]]()  # the oldest change found of each key
    place, end = cursor, monotonic() + _SECONDS
    while place != 1:
        found = await own.events(session, before=place, limit=_LOOK)
        place = found.seqs.start if found.seqs and found.seqs.start > found.first else 1
        for event in reversed(found.events):
            for key, value in event.state_delta.items():
                if name in (None, key):
                    if key in waiting:
                        waiting[key]["before"] = value
                    said = {"seq": event.seq, "time": event.time, "author": event.author}
                    waiting[key] = {**said, "name": key, "value": value}
                    changes.append(waiting[key])
        if len(changes) >= limit or monotonic() > end:
            break
    return json(
        {
            "items": changes,
            "cursor": None if place == 1 else place,
            "partial": place != 1 and len(changes) < limit,
        }
    )


@router.get(
    ONE + "/events/stream",
    response_class=StreamingResponse,
    responses={200: {"description": "Events as they come.", "content": {"text/event-stream": {}}}},
)
async def stream_events(
    who: As,
    app: App,
    user: UserId,
    session: SessionId,
    *,
    after: Annotated[int | None, Query(ge=0, description="Those behind this `seq`.")] = None,
    last_event_id: Annotated[
        str | None, Header(description="Goes before `after`.", pattern=r"^\d{1,15}$")
    ] = None,
) -> StreamingResponse:
    """Follow a session: server-sent events, each once and in order.

    `append` has an event, and its `seq` as the id, behind which `Last-Event-ID` goes on; without
    one and without `after` it begins with what comes next. `update`: its fields or state have
    changed; with `cut` events were replaced or dropped at the end: read it again. `gone`: there is
    no such session any more; then it ends.
    """
    seq = after if last_event_id is None else int(last_event_id)
    own = who.user(app, user).sessions
    told = await who.tails.follow(own, SessionKey.of(app, user, session), seq)
    return StreamingResponse(told, media_type="text/event-stream")


def _page(found: SessionPage, limit: int) -> Response:
    partial = found.cursor is not None and len(found.sessions) < limit
    items = [session_document(each) for each in found.sessions]
    return page(items, found.cursor, partial=partial)


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


def _fields_of(given: NewSession | SessionChanges) -> dict[str, Any]:
    """The fields of a session that a body has."""
    return {name: getattr(given, name) for name in FIELDS}


def _kept(expected: Expected) -> dict[str, Any]:
    return {"incarnation": expected.incarnation, "expected_version": expected.version}


def _etag(expected: Expected, version: int) -> dict[str, str]:
    """The ETag after a change, where the incarnation is known."""
    known = expected.incarnation
    return {"ETag": etag_of(known, version)} if known else {}
