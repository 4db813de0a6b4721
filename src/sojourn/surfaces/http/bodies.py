"""Bodies of requests: decoded by msgspec into frozen values, and documented by their types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar, cast

import msgspec
from fastapi import Depends, Request

from sojourn.surfaces.http.problems import Problem

T = TypeVar("T")


class RequestBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body of a request: a JSON object with these members and no other."""


def body(kind: type[T]) -> Any:
    """The default of a handler's parameter that is the body of the request.

    Args:
        kind: a `RequestBody`.
    """
    return Depends(reading(kind))


def reading(kind: type[T]) -> Callable[[Request], Awaitable[T]]:
    """What reads the body of a request."""
    decode = msgspec.json.Decoder(kind).decode

    async def read(request: Request) -> T:
        try:
            return decode(await request.body() or b"{}")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise wrong_body(error) from error

    return read


def wrong_body(error: Exception) -> Problem:
    """The problem of a body that is not as the API takes it."""
    what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"The body is not as the API takes it: {what.rstrip('.')}.",
        kind="InvalidRequest",
    )


def documented_body(kind: type, example: Any) -> dict[str, Any]:
    """`openapi_extra=` of a route: the body that it takes, with an example."""
    schema = _plain(*msgspec.json.schema_components([kind], ref_template="{name}"))
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def _plain(schemas: Any, components: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with what it refers to in place."""

    def inlined(value: Any) -> Any:
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            if "$ref" in members:
                return inlined(components[members["$ref"]])
            kept = {name: each for name, each in members.items() if name != "title"}
            return {name: inlined(each) for name, each in kept.items()}
        if isinstance(value, (list, tuple)):
            return [inlined(each) for each in cast("list[Any]", value)]
        return value

    (schema,) = schemas
    found: dict[str, Any] = inlined(schema)
    return found
