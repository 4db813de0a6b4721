"""Tools for sessions and for the messages in them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from sojourn.errors import SessionNotFound
from sojourn.sessions import Event
from sojourn.sessions.history import message_of
from sojourn.surfaces.mcp.caller import Own
from sojourn.surfaces.mcp.documents import (
    EventDocument,
    MessageDocument,
    SessionDocument,
    Sized,
    StateDocument,
    WholeSession,
    happened,
    said,
    state_of,
    summary,
    whole,
)
from sojourn.surfaces.mcp.fields import (
    Cursor,
    Json,
    LabelChanges,
    Labels,
    Limit,
    Metadata,
    NewestFirst,
    NewSessionId,
    OperationId,
    Seconds,
    SessionId,
    SessionVersion,
    State,
    Text,
)
from sojourn.surfaces.mcp.pages import page
from sojourn.surfaces.mcp.tools import ADDS, LOGS, READS, REMOVES, SETS, tool


class NewEvent(BaseModel, extra="forbid"):
    """Something that happened in a session."""

    author: Annotated[
        str, Field(min_length=1, max_length=512, description="`user`, or the name of an agent.")
    ]
    payload: Annotated[Json, Field(description="What happened, as any JSON.")]
    kind: Annotated[str, Field(max_length=512, description="What the payload is.")] = "message"
    state_delta: Annotated[State, Field(description="State that it sets, by key.")] = {}


class SessionsResult(BaseModel):
    """A page of sessions."""

    sessions: list[SessionDocument]
    cursor: str | None = Field(description="For the next page; null after the last.")


class EventsResult(BaseModel):
    """A page of events."""

    events: list[EventDocument] = Field(description="Oldest first.")
    cursor: str | None = Field(description="For the events before these; null at the beginning.")


class Messages(BaseModel):
    """A page of messages."""

    messages: list[MessageDocument] = Field(description="Oldest first.")
    cursor: str | None = Field(description="For the messages before these; null at the beginning.")


class Added(BaseModel):
    """What an append did."""

    version: int = Field(description="The session's version after it.")
    seqs: list[int] = Field(description="Places of the events; empty when it had happened before.")
    repeated: bool = Field(description="It had happened before and did not happen again.")


class VersionResult(BaseModel):
    """A version after a change."""

    version: int


class Deleted(BaseModel):
    """Whether there was something to delete."""

    deleted: bool


class DoneResult(BaseModel):
    """It is done."""

    done: bool = True


async def session_create(
    own: Own,
    *,
    session: NewSessionId = None,
    title: Text = "",
    labels: Labels = None,
    state: State | None = None,
    metadata: Metadata = None,
    ttl: Seconds = None,
    operation_id: OperationId = None,
) -> SessionDocument:
    """Begin a session: the log of a piece of work that must not be forgotten."""
    lives: dict[str, Any] = {} if ttl is None else {"ttl": ttl}
    made = await own.sessions.create(
        session,
        state=state,
        title=title,
        labels=labels,
        metadata=metadata,
        operation_id=operation_id,
        **lives,
    )
    return summary(made)


async def session_get(own: Own, session: SessionId, *, last: Limit = 10) -> WholeSession:
    """Read a session: its fields, its state and its last events."""
    found = await own.sessions.get(session, last=last)
    if found is None:
        raise SessionNotFound("There is no such session.")
    return whole(found)


async def session_events(
    own: Own, session: SessionId, *, limit: Limit = 20, cursor: Cursor = None
) -> EventsResult:
    """Read a session's events, the last ones first; `cursor` leads to those before them.

    A page may have fewer than `limit` when they are large.
    """
    events, before = await page(own, session, happened, limit=limit, cursor=cursor)
    return EventsResult(events=list(events), cursor=before)


async def session_append(
    own: Own,
    session: SessionId,
    events: Annotated[list[NewEvent], Field(min_length=1, max_length=100)],
    *,
    expected_version: SessionVersion = None,
    operation_id: OperationId = None,
) -> Added:
    """Add events to the end of a session and set the state that they carry, all or nothing.

    What others add at the same time is kept as well.
    """
    added = await own.sessions.append(
        session,
        *(
            Event(author=e.author, payload=e.payload, kind=e.kind, state_delta=e.state_delta)
            for e in events
        ),
        expected_version=expected_version,
        operation_id=operation_id,
    )
    return Added(version=added.version, seqs=list(added.seqs), repeated=added.repeated)


async def session_list(
    own: Own,
    *,
    pattern: Annotated[
        Text | None, Field(description="Only ids that match it: `*` any text, `?` one character.")
    ] = None,
    status: Annotated[Text | None, Field(description="Only of this status.")] = None,
    labels: Labels = None,
    newest_first: NewestFirst = True,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> SessionsResult:
    """List your sessions that have all of these labels, those that were changed last first.

    A page may have fewer than `limit`, even none; there are more as long as there is a cursor.
    """
    found = await own.sessions.list(
        pattern=pattern,
        status=status,
        labels=labels,
        newest_first=newest_first,
        limit=limit,
        cursor=cursor,
    )
    room = Sized()
    documents = [summary(each, room) for each in found.sessions]
    return SessionsResult(sessions=documents, cursor=found.cursor)


async def session_update(
    own: Own,
    session: SessionId,
    *,
    title: Text | None = None,
    status: Annotated[Text | None, Field(description="A word of yours, as `ended`.")] = None,
    labels: LabelChanges = None,
    metadata: Metadata = None,
    ttl: Seconds = None,
    expected_version: SessionVersion = None,
    operation_id: OperationId = None,
) -> VersionResult:
    """Change fields of a session; what you leave out stays as it is."""
    lives: dict[str, Any] = {} if ttl is None else {"ttl": ttl}
    version = await own.sessions.update(
        session,
        title=title,
        status=status,
        labels=labels,
        metadata=metadata,
        expected_version=expected_version,
        operation_id=operation_id,
        **lives,
    )
    return VersionResult(version=version)


async def session_delete(
    own: Own, session: SessionId, *, operation_id: OperationId = None
) -> Deleted:
    """Delete a session and its events for good. State under `user:` stays."""
    return Deleted(deleted=await own.sessions.delete(session, operation_id=operation_id))


async def session_state(
    own: Own,
    session: SessionId,
    *,
    prefix: Annotated[Text, Field(description="Only keys that begin so, as `user:`.")] = "",
) -> StateDocument:
    """Read a session's state, with the user's (`user:…`) and the application's (`app:…`)."""
    found = await own.sessions.get(session, last=0)
    if found is None:
        raise SessionNotFound("There is no such session.")
    return state_of(found.state, Sized(), prefix)


async def session_set_state(
    own: Own,
    session: SessionId,
    changes: State,
    *,
    author: Annotated[
        str, Field(min_length=1, max_length=512, description="`user`, or the name of an agent.")
    ] = "agent",
    expected_version: SessionVersion = None,
    operation_id: OperationId = None,
) -> VersionResult:
    """Set keys of a session's state and leave the others. The log gets an event that says so."""
    event = Event(author=author, payload=None, kind="state", state_delta=changes)
    added = await own.sessions.append(
        session, event, expected_version=expected_version, operation_id=operation_id
    )
    return VersionResult(version=added.version)


async def history_append(
    own: Own,
    session: SessionId,
    role: Annotated[
        str,
        Field(min_length=1, max_length=512, description="`user`, `assistant`, `system`, `tool`."),
    ],
    content: Annotated[Json, Field(description="What is said: text, or any JSON.")],
    *,
    metadata: Metadata = None,
    operation_id: OperationId = None,
) -> DoneResult:
    """Add a message to a conversation. The session is made by its first message."""
    await own.history(session).append(role, content, metadata, operation_id=operation_id)
    return DoneResult()


async def history_read(
    own: Own, session: SessionId, *, limit: Limit = 20, cursor: Cursor = None
) -> Messages:
    """Read the last messages of a conversation; `cursor` leads to those before them.

    There are none when nothing was said yet.
    """

    def message(event: Event) -> MessageDocument:
        return said(message_of(event))

    try:
        messages, before = await page(own, session, message, limit=limit, cursor=cursor)
    except SessionNotFound:
        return Messages(messages=[], cursor=None)
    return Messages(messages=list(messages), cursor=before)


TOOLS: list[Any] = [
    tool(session_create, "Begin a session", ADDS),
    tool(session_get, "Read a session", READS),
    tool(session_events, "Read a session's events", READS),
    tool(session_append, "Add events to a session", ADDS),
    tool(session_list, "List sessions", READS),
    tool(session_update, "Change a session", SETS),
    tool(session_delete, "Delete a session", REMOVES),
    tool(session_state, "Read a session's state", READS),
    tool(session_set_state, "Set a session's state", LOGS),
    tool(history_append, "Add a message", ADDS),
    tool(history_read, "Read messages", READS),
]
