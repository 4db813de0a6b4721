"""Login for browsers: a cookie that scripts cannot read holds the key, and the server nothing."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.requests import HTTPConnection

from sojourn.security.csrf import allowed_origin, own_origin
from sojourn.surfaces.http.bodies import RequestBody, body, documented_body
from sojourn.surfaces.http.problems import Problem

router = APIRouter(tags=["login"])
ROUTES = [router]


class LoginKey(RequestBody, frozen=True):
    """A key, to be kept in a cookie."""

    key: str


def cookie_name(connection: HTTPConnection) -> str:
    """The cookie of this server: browsers give one port's cookies to all ports of a host."""
    if connection.url.scheme == "https":
        return "__Host-sojourn"
    return f"sojourn-{connection.url.port or 80}"


def key_of_cookie(connection: HTTPConnection) -> str | None:
    """The key that a browser has brought; None for none."""
    found = connection.cookies.get(cookie_name(connection))
    return unquote(found) if found else None


def is_from_here(request: Request, *, programs: bool) -> bool:
    """Whether a request comes from a page of this server.

    Args:
        request: the request.
        programs: whether it may come from what is no browser, which says nothing of that.
    """
    return allowed_origin(
        request.method,
        origin=request.headers.get("origin"),
        site=request.headers.get("sec-fetch-site"),
        own=own_origin(request.url.scheme, request.headers.get("host")),
        missing="allow" if programs else "refuse",
    )


@router.post(
    "/login",
    status_code=HTTPStatus.NO_CONTENT,
    openapi_extra=documented_body(LoginKey, {"key": "sojourn_…"}),
)
async def login(request: Request, given: Annotated[LoginKey, body(LoginKey)]) -> Response:
    """Keep a key in a cookie of the browser, which sends it from then on.

    The cookie is `HttpOnly` and `SameSite=Strict`, ends with the browser, and holds the key itself:
    so it is good after a restart of the server, too, and no longer once the key is gone.
    """
    served = request.scope["sojourn.served"]
    if not is_from_here(request, programs=True):
        raise Problem(HTTPStatus.FORBIDDEN, "A page of another origin cannot log in here.")
    if await served.holder(given.key) is None:
        served.refused(request, "key")
        raise Problem(HTTPStatus.UNAUTHORIZED, "There is no such key.", kind="UnknownKey")
    return _cookie(request, given.key)


@router.post("/logout", status_code=HTTPStatus.NO_CONTENT)
async def logout(request: Request) -> Response:
    """Remove the cookie."""
    if not is_from_here(request, programs=True):
        raise Problem(HTTPStatus.FORBIDDEN, "A page of another origin cannot log out here.")
    return _cookie(request, "")


def _cookie(request: Request, key: str) -> Response:
    response = Response(status_code=HTTPStatus.NO_CONTENT)
    secure = request.url.scheme == "https"
    response.set_cookie(
        cookie_name(request),
        quote(key, safe=""),
        max_age=None if key else 0,
        path="/" if secure else request.scope["root_path"] or "/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    return response
