"""An ASGI middleware that refuses forged requests."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, MutableMapping, Sequence
from typing import Any, TypeAlias

from sojourn.errors import ConfigurationError, InvalidId, InvalidToken
from sojourn.ids import SessionKey
from sojourn.security.audit import AccessLog
from sojourn.security.csrf import (
    SAFE,
    Missing,
    allowed_origin,
    check,
    issue,
    normal_origin,
    own_origin,
)
from sojourn.security.principal import Principal

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Who: TypeAlias = Callable[[Scope], SessionKey | Awaitable[SessionKey | None] | None]

_BODY = b'{"detail":"Forbidden"}'
_POLICY_VIOLATION = 1008


class CSRF:
    """Lets unsafe requests through when they come from the right place and bring a session's token.

    Unsafe is every method but GET, HEAD, OPTIONS and TRACE. Bodies pass untouched. An upgrade to
    WebSocket, for which browsers can set no header, must come from the right place. Everyone else
    gets `403` and no reason; the access log has it: `origin` or `token`.

    Args:
        app: the application behind it.
        secrets: of at least 32 random bytes each; the first one signs, all verify.
        session: makes of the scope of a request the session that its own credential (a cookie)
            names. None when it has no credential that a browser adds by itself: then no token is
            needed.
        origins: other origins that may send requests, such as `https://shop.example`.
        missing: `refuse` or `allow` what has neither `Origin` nor `Sec-Fetch-Site`.
        header: brings the token.
        trust_forwarded: whether a proxy of yours sets `X-Forwarded-Host` and `-Proto` anew.
        log: gets a decision for each unsafe request.

    Raises:
        ConfigurationError: a secret that is too short, or an origin that is none.
    """

    def __init__(
        self,
        app: Application,
        *,
        secrets: Sequence[bytes],
        session: Who,
        origins: Collection[str] = (),
        missing: Missing = "refuse",
        header: str = "x-csrf-token",
        trust_forwarded: bool = False,
        log: AccessLog | None = None,
    ) -> None:
        issue(SessionKey.of("check", "", "secrets"), secrets)
        for each in origins:
            if normal_origin(each) is None:
                raise ConfigurationError(f"{each!r} is no origin: scheme://host or with a port.")
        self._app = app
        self._secrets = secrets
        self._session = session
        self._origins = frozenset(origins)
        self._missing: Missing = missing
        self._header = header.lower().encode()
        self._trust_forwarded = trust_forwarded
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI has it."""
        kind = scope["type"]
        method = "WEBSOCKET" if kind == "websocket" else str(scope.get("method", ""))
        if kind not in ("http", "websocket") or method in SAFE:
            await self._app(scope, receive, send)
            return
        found = self._session(scope)
        session = await found if inspect.isawaitable(found) else found
        reason = self._fault(scope, method, session)
        if self._log is not None:
            self._log.decided(
                "csrf",
                "refused" if reason else "allowed",
                reason,
                principal=_principal(scope, session),
                peer=_peer(scope),
                session=None if session is None else session.session,
            )
        if not reason:
            await self._app(scope, receive, send)
        elif kind == "websocket":
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
        else:
            await _forbid(send)

    def _fault(self, scope: Scope, method: str, session: SessionKey | None) -> str:
        scheme, host = str(scope.get("scheme", "http")), _header(scope, b"host")
        if self._trust_forwarded:
            scheme = _header(scope, b"x-forwarded-proto") or scheme
            host = _header(scope, b"x-forwarded-host") or host
        if not allowed_origin(
            method,
            origin=_header(scope, b"origin"),
            site=_header(scope, b"sec-fetch-site"),
            own=own_origin(scheme, host),
            origins=self._origins,
            missing=self._missing,
        ):
            return "origin"
        if session is None or method == "WEBSOCKET":
            return ""
        try:
            check(_header(scope, self._header), session, self._secrets)
        except InvalidToken:
            return "token"
        return ""


def _header(scope: Scope, name: bytes) -> str | None:
    """A header's value; of one that stands there twice all, which is then no value it can have."""
    found = [value for key, value in scope["headers"] if key.lower() == name]
    return b", ".join(found).decode("latin-1") if found else None


def _principal(scope: Scope, session: SessionKey | None) -> Principal | None:
    if session is None:
        return None
    try:
        return Principal.of(session.app, session.user, peer=_peer(scope))
    except InvalidId:  # a user without a name
        return None


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


async def _forbid(send: Send) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_BODY)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": _BODY})
