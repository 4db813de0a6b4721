"""Gate: what every request passes before a handler has it, and every answer on its way out.

Who calls, whether the key allows the method, where the request comes from, how large and how often.
"""

from __future__ import annotations

import logging
import re
import secrets
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sojourn.errors import SojournError
from sojourn.security.csrf import SAFE
from sojourn.surfaces.http.caller import Caller
from sojourn.surfaces.http.login import is_from_here, key_of_cookie
from sojourn.surfaces.http.problems import Problem, problem_of
from sojourn.surfaces.http.served import Served

log = logging.getLogger("sojourn.http")

API = "/v1/"
HEALTH = "/healthz"
OPEN = frozenset({"/v1/openapi.json"})
"""Paths of the API that need no key."""
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_DEFAULTS = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}
"""Headers of an answer that does not say otherwise."""


class Gate:
    """An ASGI middleware around the application.

    Args:
        app: the application.
        served: what it serves, and to whom.
    """

    def __init__(self, app: ASGIApp, *, served: Served) -> None:
        self._app = app
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": _dressed(message["headers"], request_id)}
            await send(message)

        raw = scope.get("raw_path") or quote(scope["path"]).encode()
        try:
            path = _checked_path(raw)
            scope = {
                **scope,
                "path": path,
                "root_path": quote(
                    scope.get("root_path") or self._served.root_path, safe="/~@:+,;=$!'()*&"
                ),
                "sojourn.request_id": request_id,
                "sojourn.served": self._served,
            }
            await self._admit(scope)
            await self._app(scope, self._limited(scope, receive), sending)
        except Problem as problem:
            await problem.response(request_id)(scope, receive, sending)
        except SojournError as error:  # of a verifier
            log.warning("%s %s: %s", request_id, type(error).__name__, error)
            await problem_of(error).response(request_id)(scope, receive, sending)
        except Exception:
            log.exception("%s: an error that is a bug", request_id)
            if started:
                raise
            bug = Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "This is a bug in the server. Its log has more, under the id of this request.",
            )
            await bug.response(request_id)(scope, receive, sending)

    async def _admit(self, scope: Scope) -> None:
        """Let a request in, with its caller.

        Raises:
            Problem: it may not.
        """
        served, request = self._served, Request(scope)
        path = scope["path"].removeprefix(scope["root_path"])
        if path == HEALTH:  # asked by address, by what keeps the process running
            return
        if served.hosts is not None and _host_name(request) not in served.hosts:
            raise Problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "This server does not answer for that host. Name it: --allow-host.",
            )
        if not path.startswith(API) or path in OPEN:
            return
        peer = "" if request.client is None else request.client.host
        key, is_cookie = _key_of(request)
        holder = None if key is None else await served.holder(key)
        if holder is None:
            served.refused(request, "key")
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "This needs a key: the header Authorization: Bearer KEY.",
                headers={"WWW-Authenticate": 'Bearer realm="sojourn"'},
            )
        served.rate.check(holder.user)
        caller = Caller(holder, peer, request, served)
        scope["sojourn.caller"] = caller
        if request.method in SAFE:
            return
        if is_cookie and not is_from_here(request, programs=False):
            served.refused(request, "origin")
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "With a cookie only pages of this server may change something.",
                kind="ForeignOrigin",
            )
        if served.read_only:
            served.refused(request, "read_only")
            raise Problem(
                HTTPStatus.FORBIDDEN, "This server only reads (--read-only).", kind="ReadOnly"
            )
        caller.need("write")

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """A body of `max_body` bytes at most."""
        most, seen = self._served.max_body, 0
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if said.isdigit() and int(said) > most:
            raise _too_large(most)

        async def receiving() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise HTTPException(413, _too_large(most).detail)
            return message

        return receiving


def _key_of(request: Request) -> tuple[str | None, bool]:
    """The key that a request has brought, if any, and whether a browser added it by itself."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip(), False
    return key_of_cookie(request), True


def _too_large(most: int) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body of a request has {most:,} bytes at most.",
        kind="TooLarge",
        limit=most,
    )


def _request_id(scope: Scope) -> str:
    """The id that a proxy or the caller has given, or a new one."""
    said = next((v for k, v in scope["headers"] if k == b"x-request-id"), b"").decode("latin-1")
    return said if _ID.fullmatch(said) else secrets.token_hex(8)


def _dressed(headers: Any, request_id: str) -> list[tuple[bytes, bytes]]:
    found = [*headers, (b"x-request-id", request_id.encode())]
    names = {name.lower() for name, _ in found}
    return found + [(name, value) for name, value in _DEFAULTS.items() if name not in names]


def _checked_path(raw: bytes) -> str:
    """The path as it was sent: its ids are still encoded, so that `%2F` is no end of a segment.

    Raises:
        Problem: it is not UTF-8.
    """
    try:
        unquote_to_bytes(raw).decode()
        return raw.decode("ascii")
    except UnicodeDecodeError:
        raise Problem(HTTPStatus.BAD_REQUEST, "The path is not UTF-8, percent-encoded.") from None


def _host_name(request: Request) -> str:
    return name_of(request.headers.get("host", ""))


def name_of(host: str) -> str:
    """A host without its port, in small letters."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and (port.isdigit() or port == "*") else host.lower()
