"""Users named in a request to ADK's server: in its path, its query and its body."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qsl

from google.adk.artifacts.artifact_util import parse_artifact_uri

from sojourn.errors import Refused
from sojourn.integrations.adk.endpoints import Named
from sojourn.security.tokens import Holder

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]

_USER = ("user_id", "userId")
_APP = ("app_name", "appName")
_FILE = ("file_uri", "fileUri")
_SHARED_STATE = "app:"
_REFERENCE = "artifact://"
_SPECIAL = "__"


class BadRequest(Refused):
    """A body that no endpoint can want.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, reason: str, status: int) -> None:
        self.status = status
        super().__init__(reason)


class Foreign(Refused):
    """It names another user, or an app that the token is not for."""


async def body_of(receive: Receive, limit: int) -> tuple[bytes, Receive] | None:
    """The body of a request, and a `receive` that gives it once more; None if the client has gone.

    Raises:
        BadRequest: it is larger than `limit` bytes.
    """
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise BadRequest("large", 413)
        parts.append(part)
        more = message.get("more_body", False)
    body = b"".join(parts)
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return body, again


def parsed(body: bytes) -> Any:
    """The value of a JSON text, such that every parser reads the same in it.

    Raises:
        BadRequest: it is none, is not in UTF-8, or an object has a key twice.
    """
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise BadRequest("json", 400) from None


def check_names(
    holder: Holder, named: Named, path: Mapping[str, Any], query: bytes, body: Any
) -> str | None:
    """Make sure that a request names its own user, and apps that its token is for.

    Args:
        holder: who has the token.
        named: where the endpoint reads who the user is.
        path: the parameters in its path.
        query: its query.
        body: the value of its body; None without one.

    Returns:
        the app that it names, if it names one.

    Raises:
        Foreign: it names another, or does not say where it must.
    """
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    told = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    users = {
        "path": [path[name] for name in _USER if name in path],
        "query": [value for name, value in pairs if name in _USER],
        "body": [told[name] for name in _USER if name in told]
        if named in ("body", "anywhere")
        else [],  # elsewhere it is a key of the state
    }
    if named in users and len(users[named]) != 1:
        raise Foreign("unnamed")
    if any(user != holder.user for found in users.values() for user in found):
        raise Foreign("foreign")
    apps = [path[name] for name in _APP if name in path]
    apps += [value for name, value in pairs if name in _APP]
    if named in ("body", "anywhere"):
        in_body = [told[name] for name in _APP if name in told]
        if len(in_body) > 1:
            raise Foreign("unnamed")
        apps += [each for each in in_body if each is not None]
    unsaid = not apps and named in ("every app", "body", "query")
    if any(not _may(holder, app) for app in apps) or (unsaid and holder.apps is not None):
        raise Foreign("app")
    return apps[0] if apps else None


def check_content(holder: Holder, app: str | None, value: Any) -> None:
    """Make sure that a value reaches nobody else once it is stored.

    Args:
        holder: who has the token.
        app: the app that the request names.
        value: the value of a body, or of a live message.

    Raises:
        Foreign: it would change the state that all users of an app share (`app:…`), or refers to
            an artifact of another user or app.
    """
    for key, member in _members(value):
        if key.startswith(_SHARED_STATE):
            raise Foreign("state")
        if key in _FILE and isinstance(member, str) and member.startswith(_REFERENCE):
            target = parse_artifact_uri(member)
            if target is None or target.user_id != holder.user or target.app_name != app:
                raise Foreign("artifact")


def _may(holder: Holder, app: object) -> bool:
    """ADK's own agents have names with `__`: one of them writes files on the server."""
    if not isinstance(app, str) or app.startswith(_SPECIAL):
        return False
    return holder.may(app)


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of every object in a JSON value, with what it stands for."""
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            members = cast("dict[str, Any]", each)
            yield from members.items()
            waiting.extend(members.values())
        elif isinstance(each, list):
            waiting.extend(cast("Any", each))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found
