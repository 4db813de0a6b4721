"""Streamable HTTP: any process may serve any request, even one started after a crash.

Requests of protocol 2026-07-28 are self-contained. Those of earlier versions belong to an MCP
session, which the store keeps with the messages sent to its client: so a session outlives its
server, and a client that sends `Last-Event-ID` gets the messages it missed.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import anyio
import anyio.abc
import msgspec
from mcp.server.auth.middleware.bearer_auth import RequireAuthMiddleware
from mcp.server.auth.provider import TokenVerifier
from mcp.server.connection import Connection
from mcp.server.mcpserver import MCPServer
from mcp.server.runner import serve_connection
from mcp.server.streamable_http import (
    LAST_EVENT_ID_HEADER,
    MCP_SESSION_ID_HEADER,
    StreamableHTTPServerTransport,
)
from mcp.server.transport_security import (
    DEFAULT_MAX_REQUEST_BODY_SIZE,
    RequestBodyLimitMiddleware,
    TransportSecurityMiddleware,
    TransportSecuritySettings,
)
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.transport_context import TransportContext
from mcp_types import (
    DEFAULT_NEGOTIATED_VERSION,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    ErrorData,
    JSONRPCError,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sojourn.errors import InvalidId, SojournError
from sojourn.security import User
from sojourn.security.headers import never_stored
from sojourn.surfaces.mcp.caller import RequestContext
from sojourn.surfaces.mcp.failures import text_of
from sojourn.surfaces.mcp.resuming import ResumedMessage
from sojourn.surfaces.mcp.server import server_of
from sojourn.surfaces.mcp.verifier import Recorded

PATH = "/mcp"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

RESUME_TIMEOUT = 5.0
"""Seconds that a client which asks again waits for an answer that others may be working on."""
_LONGEST = 60.0
"""Seconds that a request is worked on when its client has gone."""


_NOT_RUNNING = (
    "The lifespan of this MCP application has not begun. Where it is mounted into another one, "
    "that one must run it: async with mcp.router.lifespan_context(mcp)."
)

log = logging.getLogger("sojourn.mcp")


class _McpRequest(msgspec.Struct):
    """What of a JSON-RPC message says how to treat it."""

    method: str = ""
    id: Any = None


class Handshaken:
    """The protocol versions that begin with a handshake; all others it hands on.

    Args:
        server: answers requests.
        context: knows who calls, and the store.
        security: which hosts and origins may be named.
        resume_timeout: seconds that a client which asks again waits for an answer still to come.
    """

    def __init__(
        self,
        server: MCPServer[RequestContext],
        context: RequestContext,
        security: TransportSecuritySettings,
        *,
        resume_timeout: float,
    ) -> None:
        server.streamable_http_app(stateless_http=True, transport_security=security)
        self._modern = server.session_manager
        self._context = context
        self._security = TransportSecurityMiddleware(security)
        self._resume_timeout = resume_timeout
        self._tasks: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[None]:
        """Serve until the end of the context; what is being done then is given up."""
        async with self._modern.run(), anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if self._tasks is None:
            log.error(_NOT_RUNNING)
            refused = _error(HTTPStatus.INTERNAL_SERVER_ERROR, _NOT_RUNNING, INTERNAL_ERROR)
            await refused(scope, receive, send)
            return
        request = Request(scope, receive)
        version = request.headers.get(MCP_PROTOCOL_VERSION_HEADER, DEFAULT_NEGOTIATED_VERSION)
        if version not in HANDSHAKE_PROTOCOL_VERSIONS:
            await self._modern.handle_request(scope, receive, send)
            return
        post = request.method == "POST"
        answer = await self._security.validate_request(request, is_post=post)
        if answer is None:
            try:
                own = self._context.user(request)
                if post:
                    answer = await self._post(own, version, request, send)
                else:
                    answer = await self._other(own, request, send)
            except SojournError as error:
                answer = _error(HTTPStatus.SERVICE_UNAVAILABLE, text_of(error), INTERNAL_ERROR)
        if answer is not None:
            await answer(scope, receive, send)

    async def _post(self, own: User, version: str, request: Request, send: Send) -> Response | None:
        body = await request.body()
        try:
            asked = msgspec.json.decode(body, type=_McpRequest)
        except (ValueError, msgspec.MsgspecError):
            asked = _McpRequest()
        connection = request.headers.get(MCP_SESSION_ID_HEADER)
        if connection is None:
            if asked.method != "initialize":
                return _error(HTTPStatus.BAD_REQUEST, "Missing session ID: initialize first.")
            connection = await _opened(own)
        elif not await _was_there(own.streams.touch(connection)):
            if asked.method != "initialize":
                return _unknown()
            connection = await _opened(own)  # some clients send their dead id for ever
            request = Request(_named(request.scope, connection), request.receive)
        told = ResumedMessage(own.streams, connection, resume_timeout=self._resume_timeout)
        transport = StreamableHTTPServerTransport(connection, event_store=told)
        await self._running.start(self._serve, transport, version)
        try:
            await transport.handle_request(request.scope, _replayed(body, request.receive), send)
        finally:
            waited = told if asked.method and asked.id is not None else None
            self._running.start_soon(_end, transport, waited)
        return None

    async def _other(self, own: User, request: Request, send: Send) -> Response | None:
        """Ask again for what was missed, or end the session. Nothing is told without a request."""
        connection = request.headers.get(MCP_SESSION_ID_HEADER, "")
        if request.method == "DELETE":
            ended = connection and await _was_there(own.streams.close(connection))
            return Response() if ended else _unknown()
        last = request.headers.get(LAST_EVENT_ID_HEADER, "")
        if request.method != "GET" or not last:
            return Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
        if not connection or not await _was_there(own.streams.touch(connection)):
            return _unknown()
        if not _is_number(last) or await own.streams.after(connection, int(last)) is None:
            return _unknown()
        told = ResumedMessage(own.streams, connection, resume_timeout=self._resume_timeout)
        transport = StreamableHTTPServerTransport(connection, event_store=told)
        async with transport.connect():
            await transport.handle_request(request.scope, request.receive, send)
            await transport.terminate()
        return None

    async def _serve(
        self,
        transport: StreamableHTTPServerTransport,
        version: str,
        *,
        task_status: anyio.abc.TaskStatus[None],
    ) -> None:
        """Answer the one request of a transport, whether or not its client waits for it."""
        async with transport.connect() as (read, write):
            dispatcher = JSONRPCDispatcher(
                read,
                write,
                inline_methods=frozenset({"initialize"}),
                transport_builder=lambda _: TransportContext(
                    kind="streamable-http", can_send_request=False
                ),
            )
            task_status.started()
            await serve_connection(
                self._modern.app,
                dispatcher,
                connection=Connection.from_envelope(version, None, None),
                lifespan_state=self._context,
            )

    @property
    def _running(self) -> anyio.abc.TaskGroup:
        if self._tasks is None:
            raise RuntimeError(_NOT_RUNNING)
        return self._tasks


async def _opened(own: User) -> str:
    """Open a connection; its id, of 128 random bits."""
    connection = secrets.token_hex(16)
    await own.streams.open(connection)
    return connection


async def _was_there(call: Awaitable[bool]) -> bool:
    """The answer of a call about a connection."""
    try:
        return await call
    except InvalidId:  # no connection has such an id
        return False


def application(
    context: RequestContext,
    *,
    verifier: TokenVerifier | None = None,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    resume_timeout: float = RESUME_TIMEOUT,
) -> Starlette:
    """The server as an ASGI application, at `/mcp`.

    Args:
        context: knows the store, and who calls.
        verifier: of bearer tokens, which every request then needs; None where it serves one
            user.
        hosts: `Host` headers to take beside those of loopback; `name:*` is any port.
        origins: `Origin` headers to take beside those of loopback.
        resume_timeout: seconds that a client which asks again waits for an answer still to come.
    """
    security = TransportSecuritySettings(
        allowed_hosts=[*hosts, *LOOPBACK, *(f"{host}:*" for host in LOOPBACK)],
        allowed_origins=[
            *origins,
            *(f"http://{host}{port}" for host in LOOPBACK for port in ("", ":*")),
        ],
    )
    served = Handshaken(server_of(context), context, security, resume_timeout=resume_timeout)
    endpoint: Any = RequestBodyLimitMiddleware(served, DEFAULT_MAX_REQUEST_BODY_SIZE)
    middleware = [Middleware(Unstored)]
    if verifier is not None:
        endpoint = RequireAuthMiddleware(endpoint, [])
        backend = Recorded(verifier, context.guard.log)
        middleware.append(Middleware(AuthenticationMiddleware, backend=backend))
    return Starlette(
        routes=[Route(PATH, endpoint)], middleware=middleware, lifespan=lambda _: served.run()
    )


class Unstored:
    """No cache keeps an answer of this application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        await self._app(scope, receive, never_stored(send))


async def _end(transport: StreamableHTTPServerTransport, told: ResumedMessage | None) -> None:
    """Let a request be answered, for a client that may ask again; then forget its transport."""
    if told is not None:
        with anyio.move_on_after(_LONGEST):
            await told.answered.wait()
    await transport.terminate()


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body that was read already, and then what else comes."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return left.pop() if left else await receive()

    return next_message


def _named(scope: Scope, connection: str) -> Scope:
    """The same request, in another MCP session."""
    name = MCP_SESSION_ID_HEADER.lower().encode()
    others = [pair for pair in scope["headers"] if pair[0].lower() != name]
    return {**scope, "headers": [*others, (name, connection.encode())]}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 15  # noqa: PLR2004 - of a float


def _unknown() -> Response:
    """The same for what never was, what is gone, and what is somebody else's."""
    return _error(HTTPStatus.NOT_FOUND, "Session not found")


def _error(status: HTTPStatus, message: str, code: int = INVALID_REQUEST) -> Response:
    error = JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=code, message=message))
    text = error.model_dump_json(by_alias=True, exclude_unset=True)
    return Response(text, status_code=status, media_type="application/json")
