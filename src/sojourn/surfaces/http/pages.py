"""Pages and paths: parameters that lists share, and ids as segments of a path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, cast
from urllib.parse import quote, unquote

import msgspec
from fastapi import Path, Query
from fastapi.responses import Response
from starlette.convertors import Convertor, register_url_convertor

MAX_LIMIT = 1000

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")]
Cursor = Annotated[
    str | None,
    Query(
        max_length=16_384,
        pattern=r"^[A-Za-z0-9_=-]*$",
        description="`cursor` of the page before; no other text.",
    ),
]

_ID = "Percent-encoded; an empty one is `~`, and before `~`, `.` and `..` stands another `~`."
App = Annotated[str, Path(description=f"The application. {_ID}", examples=["shop"])]
UserId = Annotated[str, Path(description=f"The user. {_ID}", examples=["ada"])]
SessionId = Annotated[str, Path(description=f"The session. {_ID}", examples=["8e42"])]

_encode = msgspec.json.Encoder(enc_hook=str).encode


def segment(id: str) -> str:  # noqa: A002 - what it is
    """An id as a segment of a path. The empty one, `.`, `..` and those with `~` first get a `~`."""
    if id in ("", ".", "..") or id.startswith("~"):
        id = f"~{id}"  # noqa: A001
    return quote(id, safe="~")


class _IdConvertor(Convertor[str]):
    """`{name:id}`: one segment of a path, percent-encoded, as an id. `Gate` has checked it."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return unquote(value, errors="strict").removeprefix("~")

    def to_string(self, value: str) -> str:
        return segment(value)


register_url_convertor("id", _IdConvertor())


def json(document: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A document as an answer: encoded at once, and no model in between."""
    return Response(
        _encode(document), status_code=status, headers=headers, media_type="application/json"
    )


def page(items: Sequence[Any], cursor: str | None, **members: Any) -> Response:
    """A page of a list."""
    return json({"items": items, "cursor": cursor, **members})


def documented(example: Any, description: str = "Done.", *, status: int = 200) -> dict[Any, Any]:
    """`responses=` of a route: what it answers, by an example."""
    content = {"application/json": {"schema": schema_of(example), "example": example}}
    return {status: {"description": description, "content": content}}


_ANYTHING = frozenset({"a", "b", "parts", "payload", "source", "step", "value"})
"""Members that may be any JSON."""
_OBJECTS = frozenset({"data", "labels", "metadata", "state", "state_delta", "values"})
"""Members that are objects of the application's."""
_NULLABLE = frozenset(
    {"cursor", "expires", "first", "last", "latest", "parent", "session", "text", "time", "ttl"}
    | {"until", "versions"}
)
"""Members that may be null, where the example is something."""


def schema_of(example: Any) -> dict[str, Any]:
    """The JSON Schema that an example stands for; null is anything."""
    if isinstance(example, bool):
        return {"type": "boolean"}
    if isinstance(example, int | float):
        return {"type": "number"}
    if isinstance(example, str):
        return {"type": "string"}
    if isinstance(example, dict):
        members = cast("dict[str, Any]", example).items()
        return {
            "type": "object",
            "required": [name for name, _ in members if name != "score"],
            "properties": {name: _member(name, value) for name, value in members},
        }
    if isinstance(example, list):
        return {"type": "array", "items": schema_of(example[0]) if example else {}}
    return {}


def _member(name: str, example: Any) -> dict[str, Any]:
    if name in _ANYTHING:
        return {}
    if name in _OBJECTS:
        return {"type": "object"}
    made = schema_of(example)
    if name in _NULLABLE and made:
        return {"anyOf": [made, {"type": "null"}]}
    return made
