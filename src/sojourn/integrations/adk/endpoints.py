"""Endpoints of ADK's HTTP interface that users may reach, and the user that a request names.

Everything else is refused: endpoints that name no user and show everybody's data (debug, traces,
eval sets, the builder), endpoints for other services (triggers, A2A), and those of a newer ADK.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from fastapi import FastAPI
from starlette.routing import Match

Named = Literal["nobody", "every app", "path", "body", "query", "anywhere"]
"""Where an endpoint reads who the user is. `anywhere`: one that was allowed by hand. `every app`:
nowhere, and it names all apps."""


class Endpoint(NamedTuple):
    """An endpoint of the app.

    Attributes:
        method: of HTTP, or `WEBSOCKET`.
        path: as the app writes it, `{user_id}` and all, without converters.
    """

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


_USER = "/apps/{app_name}/users/{user_id}"
_SESSION = f"{_USER}/sessions/{{session_id}}"
_ARTIFACT = f"{_SESSION}/artifacts/{{artifact_name}}"

PUBLIC = frozenset({Endpoint("GET", "/health")})
"""What needs no token: it says that the process runs, nothing else."""

KNOWN: Mapping[Endpoint, Named] = {
    Endpoint("GET", "/version"): "nobody",
    Endpoint("GET", "/list-apps"): "every app",
    Endpoint("GET", "/"): "nobody",
    Endpoint("GET", "/dev-ui"): "nobody",
    Endpoint("HEAD", "/dev-ui"): "nobody",
    Endpoint("GET", "/dev-ui/config"): "nobody",
    Endpoint("GET", "/dev-ui/assets/config/runtime-config.json"): "nobody",
    Endpoint("GET", f"{_USER}/sessions"): "path",
    Endpoint("POST", f"{_USER}/sessions"): "path",
    Endpoint("GET", _SESSION): "path",
    Endpoint("POST", _SESSION): "path",
    Endpoint("PATCH", _SESSION): "path",
    Endpoint("DELETE", _SESSION): "path",
    Endpoint("GET", f"{_SESSION}/artifacts"): "path",
    Endpoint("POST", f"{_SESSION}/artifacts"): "path",
    Endpoint("GET", _ARTIFACT): "path",
    Endpoint("DELETE", _ARTIFACT): "path",
    Endpoint("GET", f"{_ARTIFACT}/versions"): "path",
    Endpoint("GET", f"{_ARTIFACT}/versions/metadata"): "path",
    Endpoint("GET", f"{_ARTIFACT}/versions/{{version_id}}"): "path",
    Endpoint("GET", f"{_ARTIFACT}/versions/{{version_id}}/metadata"): "path",
    Endpoint("PATCH", f"{_USER}/memory"): "path",
    Endpoint("GET", f"/dev{_SESSION}/events/{{event_id}}/graph"): "path",
    Endpoint("POST", "/run"): "body",
    Endpoint("POST", "/run_sse"): "body",
    Endpoint("WEBSOCKET", "/run_live"): "query",
}
"""What needs a token, and where each names the user."""

_CONVERTER = re.compile(r"\{(\w+):\w+\}")


class EndpointMatch(NamedTuple):
    """The endpoint that will answer a request, and what it will read from the path."""

    endpoint: Endpoint
    parameters: Mapping[str, Any]


def endpoint_of(scope: Mapping[str, Any]) -> EndpointMatch | None:
    """The endpoint that the app's router will choose, by asking its routes as the router does.

    Args:
        scope: of a request, as the router will get it.

    Returns:
        None when none matches whole: the router would answer 404, 405 or a redirect.
    """
    app: FastAPI = scope["app"]
    method = "WEBSOCKET" if scope["type"] == "websocket" else str(scope["method"])
    for route in app.router.routes:
        match, child = route.matches(dict(scope))
        if match is Match.FULL:
            path = getattr(route, "path", None)
            if not isinstance(path, str):
                return None  # some other kind of route, whose endpoints we do not see
            return EndpointMatch(Endpoint(method, _plain(path)), child.get("path_params") or {})
    return None


def endpoints_of(app: FastAPI) -> set[Endpoint]:
    """Every endpoint that an app has. A folder of files counts as GET and HEAD."""
    found: set[Endpoint] = set()
    for route in app.router.routes:
        path = _plain(getattr(route, "path", "") or "?")
        if hasattr(route, "dependant") and not hasattr(route, "methods"):
            found.add(Endpoint("WEBSOCKET", path))
        else:
            methods = getattr(route, "methods", None) or ("GET", "HEAD")
            found |= {Endpoint(method, path) for method in methods}
    return found


def _plain(path: str) -> str:
    """`{artifact_name:path}` is `{artifact_name}` in an older ADK."""
    return _CONVERTER.sub(r"{\1}", path)
