"""ASGI middleware in front of ADK's router: each token gives access to one user only."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from fastapi import FastAPI
from starlette.middleware import Middleware

from sojourn.client import Sojourn
from sojourn.errors import ConfigurationError, InvalidInput, Refused, Throttled
from sojourn.integrations.adk.endpoints import (
    KNOWN,
    PUBLIC,
    Endpoint,
    EndpointMatch,
    endpoint_of,
    endpoints_of,
)
from sojourn.integrations.adk.requests import (
    BadRequest,
    Foreign,
    body_of,
    check_content,
    check_names,
    parsed,
)
from sojourn.security import AccessLog, GuessLimiter, Outcome, Principal
from sojourn.security.headers import never_stored
from sojourn.security.tokens import Holder, Tokens

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a body."""

_COUNTED_AS = "adk"
"""The app under which failures are counted: what a caller names must not choose the counter."""
_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_DETAIL = {
    400: b'{"detail":"Bad Request"}',
    401: b'{"detail":"Unauthorized"}',
    403: b'{"detail":"Forbidden"}',
    413: b'{"detail":"Content Too Large"}',
    429: b'{"detail":"Too Many Requests"}',
}
_POLICY_VIOLATION = 1008


class ServerGuard:
    """Lets a request through to ADK's router when its bearer token is its user's.

    Args:
        app: the router, and what of the app stands between.
        tokens: who has which.
        peers: counts wrong tokens and attempts to be another; `store` is closed with the app.
        store: what `peers` counts in.
        allow: endpoints beside the known ones, for everyone who has a token.
        log: gets a decision for each request.
        max_body: bytes of a body.
    """

    def __init__(
        self,
        app: Application,
        *,
        tokens: Tokens,
        peers: GuessLimiter,
        store: Sojourn,
        allow: Collection[Endpoint] = (),
        log: AccessLog,
        max_body: int = MAX_BODY,
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._peers = peers
        self._store = store
        self._guard = store.guard()
        self._allow = frozenset(allow)
        self._log = log
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI has it."""
        if scope["type"] == "lifespan":
            try:
                await self._app(scope, receive, send)
            finally:
                await self._store.close()
            return
        found = endpoint_of(scope)
        if found is not None and found.endpoint in PUBLIC:
            await self._app(scope, receive, send)
            return
        send = never_stored(send)
        holder = _holder(self._tokens, scope)
        request = _GuardedRequest(scope, receive, send, found, holder, self._log)
        if holder is None:
            await self._fail(request, 401, "token")
            return
        try:
            passed = await self._passed(request, holder)
        except Foreign as refusal:
            if str(refusal) == "foreign":
                await self._fail(request, 403, "foreign")
            else:
                await request.refuse(403, str(refusal))
        except BadRequest as refusal:
            await request.refuse(refusal.status, str(refusal))
        else:
            if passed is not None:
                request.decided("allowed")
                await self._app(scope, passed, send)

    async def _passed(self, request: _GuardedRequest, holder: Holder) -> Receive | None:
        """What the endpoint shall receive from; None when the client has gone.

        Raises:
            Refused: not this endpoint, or not with this.
        """
        scope, receive, found = request.scope, request.receive, request.found
        if found is None:
            raise Foreign("unknown")
        named = KNOWN.get(found.endpoint)
        if named is None:
            if found.endpoint not in self._allow:
                raise Foreign("endpoint")
            named = "anywhere"
        value: Any = None
        form = named == "anywhere" and _is_form(scope)
        if scope["type"] == "http" and scope["method"] in _WITH_BODY and not form:
            read = await body_of(receive, self._max_body)
            if read is None:
                return None
            body, receive = read
            if body:
                value = parsed(body)
        query = scope.get("query_string", b"")
        app = check_names(holder, named, found.parameters, query, value)
        check_content(holder, app, value)
        if scope["type"] == "websocket":
            return _listening(holder, app, receive, request.send)
        return receive

    async def _fail(self, request: _GuardedRequest, status: int, reason: str) -> None:
        """Refuse what might be a guess, and count it. Who has guessed too often waits for it."""
        peer, wait = _peer(request.scope) or "unknown", 0
        try:
            await self._peers.failed(peer, _COUNTED_AS)
            await self._peers.check(peer, _COUNTED_AS)
        except Throttled as throttled:
            status, reason, wait = 429, "throttled", math.ceil(throttled.retry_after)
        await self._guard.refused(_COUNTED_AS, reason)
        await request.refuse(status, reason, wait)


class _GuardedRequest(NamedTuple):
    """A request, and what is known of it."""

    scope: Scope
    receive: Receive
    send: Send
    found: EndpointMatch | None
    holder: Holder | None
    log: AccessLog

    def decided(self, outcome: Outcome, reason: str = "") -> None:
        """Write into the access log what became of it."""
        parameters: Mapping[str, Any] = {} if self.found is None else self.found.parameters
        principal: Principal | None = None
        if self.holder is not None:
            with suppress(InvalidInput):  # an app that no key can name: ADK will say so
                app = parameters.get("app_name") or _COUNTED_AS
                principal = Principal.of(app, self.holder.user, peer=_peer(self.scope))
        self.log.decided(
            "adk" if self.found is None else f"adk {self.found.endpoint}",
            outcome,
            reason,
            principal=principal,
            peer=_peer(self.scope),
            session=parameters.get("session_id"),
        )

    async def refuse(self, status: int, reason: str, wait: int = 0) -> None:
        """Answer, and log why. A WebSocket that was not accepted is answered 403."""
        self.decided("refused", reason)
        if self.scope["type"] == "websocket":
            await self.receive()  # websocket.connect
            await self.send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
            return
        body = _DETAIL[status]
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        if status == 401:  # noqa: PLR2004 - HTTP's own number
            headers.append((b"www-authenticate", b"Bearer"))
        if wait:
            headers.append((b"retry-after", str(wait).encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def install(app: object, **options: Any) -> None:
    """Put a guard into an app that has not begun to serve.

    It becomes the innermost middleware: what ADK's own do to a request is done before.

    Args:
        app: what ADK gives to uvicorn.
        options: those of `ServerGuard`.

    Raises:
        ConfigurationError: it is no FastAPI application that can be guarded, or has no such
            endpoint as was to be allowed.
    """
    if not isinstance(app, FastAPI) or app.middleware_stack is not None:
        raise ConfigurationError(
            "This google-adk serves its application in another way than Sojourn knows: --auth "
            "cannot guard it, so nothing is served. Use an older google-adk, or tell us."
        )
    have = endpoints_of(app)
    for each in options.get("allow", ()):
        if each not in have:
            raise ConfigurationError(
                f"--allow {str(each)!r}: this server has no such endpoint. Write it as ADK does: "
                "'GET /dev/apps/{app_name}/build_graph'."
            )
    app.user_middleware.append(Middleware(ServerGuard, **options))


def _holder(tokens: Tokens, scope: Scope) -> Holder | None:
    given = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    if len(given) != 1:
        return None
    scheme, _, token = given[0].partition(b" ")
    holder = tokens.holder(token.strip()) if scheme.lower() == b"bearer" else None
    return holder if holder is not None and holder.is_plain else None


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _is_form(scope: Scope) -> bool:
    """Whether the body is a form: no known endpoint takes one, one that was allowed by hand may."""
    kinds = [value for name, value in scope["headers"] if name.lower() == b"content-type"]
    return len(kinds) == 1 and kinds[0].lower().startswith(b"multipart/form-data")


def _listening(holder: Holder, app: str | None, receive: Receive, send: Send) -> Receive:
    """The messages of a live session, up to the first one that it may not send."""

    async def listen() -> Message:
        message = await receive()
        if message["type"] != "websocket.receive":
            return message
        try:
            check_content(holder, app, parsed((message.get("text") or "").encode()))
        except (Refused, UnicodeEncodeError):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
            return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION, "reason": ""}
        return message

    return listen
