"""Resources that a client reads by URI: sessions, their events, and memories."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.server.mcpserver.resources import ResourceSecurity
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, ListResourcesResult, Resource
from pydantic import BaseModel

from sojourn.errors import InvalidInput, SojournError
from sojourn.surfaces.mcp.caller import RequestContext, user_of
from sojourn.surfaces.mcp.documents import Sized, happened, remembered, whole
from sojourn.surfaces.mcp.failures import read, text_of
from sojourn.surfaces.mcp.pages import EventPage, page

JSON = "application/json"
PAGE = 50
_EVENTS = 100
_MEMORY = "memory."
"""How a cursor begins that is the memory's; those of sessions begin with another word."""
_SESSIONS = "sessions."

_NO_PATHS = ResourceSecurity(
    reject_path_traversal=False, reject_absolute_paths=False, reject_null_bytes=False
)
"""An id is no path: it names a key, in which everything is escaped."""


def add_resources(server: MCPServer[RequestContext]) -> None:
    """Let a server serve them."""
    for uri, function, title in (
        ("sojourn://sessions/{session}", _session, "A session with its last events"),
        ("sojourn://sessions/{session}/events", _events, "The last events of a session"),
        ("sojourn://memory/{key}", _entry, "What is remembered under a key"),
    ):
        server.resource(
            uri, name=title, title=title, mime_type=JSON, security=_NO_PATHS,
            description=(function.__doc__ or "").strip(),
        )(function)  # fmt: skip
    server.middleware.append(_listing)


@read
async def _session(session: str, context: Context[Any, Any]) -> str:
    """Its fields, its state and its last 20 events."""
    own = await user_of(context)
    found = await own.sessions.get(session, last=20)
    if found is None:
        raise ResourceNotFoundError("There is no such resource.")
    return _text(whole(found))


@read
async def _events(session: str, context: Context[Any, Any]) -> str:
    """The last 100 events; the tool session_events has those before them."""
    own = await user_of(context)
    events, before = await page(own, session, happened, limit=_EVENTS, cursor=None)
    return _text(EventPage(events=list(events), cursor=before))


@read
async def _entry(key: str, context: Context[Any, Any]) -> str:
    """An entry of the memory with its value and version."""
    own = await user_of(context)
    found = await own.memory.entry(key)
    if found is None:
        raise ResourceNotFoundError("There is no such resource.")
    return _text(Sized().one(remembered(found)))


async def _listing(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Answer `resources/list` with the caller's own, page by page; the SDK has but fixed ones."""
    if ctx.method != "resources/list":
        return await call_next(ctx)
    context: RequestContext = ctx.lifespan_context
    cursor = (ctx.params or {}).get("cursor")
    try:
        return await _listed(context, ctx, cursor)
    except InvalidInput as error:
        raise MCPError(INVALID_PARAMS, str(error)) from error
    except SojournError as error:
        raise MCPError(INTERNAL_ERROR, text_of(error)) from error


async def _listed(
    context: RequestContext, ctx: ServerRequestContext[Any, Any], cursor: Any
) -> ListResourcesResult:
    own = context.user(ctx.request)
    place = _SESSIONS if cursor is None else str(cursor)
    if place.startswith(_SESSIONS):
        cursor = place.removeprefix(_SESSIONS) or None
        found = await own.sessions.list(newest_first=True, limit=PAGE, cursor=cursor)
        more = _MEMORY if found.cursor is None else _SESSIONS + found.cursor
        resources = [
            _resource(f"sojourn://sessions/{_escaped(name)}", each.title or name, "A session.")
            for each in found.sessions
            for name in [each.key.session]
        ]
        return ListResourcesResult(resources=resources, next_cursor=more)
    if not place.startswith(_MEMORY):
        raise InvalidInput("The cursor is not one that a listing gave.")
    entries = await own.memory.list(limit=PAGE, cursor=place.removeprefix(_MEMORY) or None)
    resources = [
        _resource(f"sojourn://memory/{_escaped(each.key)}", each.key, "Something remembered.")
        for each in entries.entries
    ]
    after = None if entries.cursor is None else _MEMORY + entries.cursor
    return ListResourcesResult(resources=resources, next_cursor=after)


def _resource(uri: str, name: str, description: str) -> Resource:
    return Resource(uri=uri, name=name, description=description, mime_type=JSON)


def _escaped(name: str) -> str:
    return quote(name, safe="")


def _text(document: BaseModel) -> str:
    return document.model_dump_json()
