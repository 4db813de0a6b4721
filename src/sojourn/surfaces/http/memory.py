"""Routes of the memory room: what is known of a user, and of the user's sessions."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from sojourn.ids import parse_app, parse_user
from sojourn.memory.model import KEEP, Entry, Kind, ScopeKey
from sojourn.surfaces.cli.sealed import sealed_entries
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.idempotency import OperationId
from sojourn.surfaces.http.pages import App, Cursor, Limit, UserId, documented, json, page
from sojourn.surfaces.http.problems import Problem, not_found

router = APIRouter(tags=["memory"])
ROUTES = [router]

OWN = "/apps/{app:id}/users/{user:id}/memory"
ONE = OWN + "/{key:id}"

_ENTRY = {
    "key": "favourite tea",
    "value": {"name": "oolong"},
    "version": 7,
    "created": 1767225600.0,
    "updated": 1767225660.5,
    "expires": None,
    "metadata": {},
    "text": None,
    "tenant": "",
}

_Scope = Annotated[
    Literal["user", "sessions", "events"],
    Query(description="Of the user, of the user's sessions, or what was said in them."),
]
_Key = Annotated[str, Path(description="Of the entry; percent-encoded.", examples=["tea"])]

_IfMatch = Annotated[str | None, Header(description="The ETag that the entry must have.")]
_IfNoneMatch = Annotated[str | None, Header(description="`*`: there must be no entry.")]
_ETAG = re.compile(r'"(\d{1,15})"')

_KINDS: dict[str, Kind] = {"user": "user", "sessions": "sessions", "events": "events"}
_HANDLES = {"user": "memory", "sessions": "remembered", "events": "said"}


class MemoryPut(BaseModel):
    """An entry to be stored."""

    value: Any = Field(description="JSON.", examples=[{"name": "oolong"}])
    metadata: dict[str, Any] | None = Field(None, description="JSON, not searched.")
    text: str | None = Field(None, description="Searched instead of the texts in the value.")
    ttl: float | None = Field(None, description="Seconds that it lives; the store's if left out.")


def _of(who: As, app: str, user: str, scope: str) -> Any:
    return getattr(who.user(app, user), _HANDLES[scope])


def _document(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "value": entry.value,
        "version": entry.version,
        "created": entry.created,
        "updated": entry.updated,
        "expires": entry.expires,
        "metadata": entry.metadata,
        "text": entry.text,
        "tenant": entry.tenant,
    }


@router.get(
    OWN,
    responses=documented(
        {
            "items": [{**_ENTRY, "score": 1.5}],
            "cursor": None,
            "corrupt": ["broken"],
            "newer": ["of the next version"],
            "sealed": [{"key": "secret", "key_id": "k1", "size": 120}],
        },
        "Entries; of a search with their scores, the best first.",
    ),
)
async def list_memory(
    who: As,
    app: App,
    user: UserId,
    *,
    scope: _Scope = "user",
    prefix: Annotated[str, Query(max_length=512, description="Beginning of the keys.")] = "",
    q: Annotated[
        str | None, Query(max_length=2048, description="Words to search; there is one page then.")
    ] = None,
    order: Annotated[Literal["newest", "key"], Query(description="Which comes first.")] = "newest",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List entries, latest change first, or search them, the best first.

    Beside the entries stand the keys of those that cannot be read here: `corrupt`, `newer` and
    `sealed`.
    """
    own = _of(who, app, user, scope)
    if q is not None and q.strip():
        hits = await own.search(q, limit=limit)
        items = [
            {**_document(hit.entry), "score": hit.score}
            for hit in hits
            if hit.entry.key.startswith(prefix)
        ]
        return page(items, None, corrupt=[], newer=[], sealed=[])
    found = await own.list(
        limit=limit, cursor=cursor, prefix=prefix, newest_first=order == "newest"
    )
    of = ScopeKey(parse_app(app), _KINDS[scope], parse_user(user))
    sealed = await sealed_entries(who.store, of, found.newer)
    return page(
        list(map(_document, found.entries)),
        found.cursor,
        corrupt=found.corrupt,
        newer=[key for key in found.newer if key not in sealed],
        sealed=[
            {"key": key, "key_id": each.key, "size": each.bytes} for key, each in sealed.items()
        ],
    )


@router.get(ONE, responses=documented(_ENTRY, "The entry, with its version as ETag."))
async def get_memory(
    who: As, app: App, user: UserId, key: _Key, *, scope: _Scope = "user"
) -> Response:
    """Read an entry."""
    found = await _of(who, app, user, scope).entry(key)
    if found is None:
        raise not_found("entry")
    return json(_document(found), headers={"ETag": _etag(found.version)})


@router.put(ONE, responses=documented({"key": "tea", "version": 8}, "Stored; its new ETag."))
async def put_memory(
    who: As,
    app: App,
    user: UserId,
    key: _Key,
    body: MemoryPut,
    *,
    operation: OperationId,
    scope: _Scope = "user",
    if_match: _IfMatch = None,
    if_none_match: _IfNoneMatch = None,
) -> Response:
    """Store an entry, instead of what was there.

    With `If-Match` only if it has that version, with `If-None-Match: *` only if there is none; else
    412.
    """
    version = await _of(who, app, user, scope).put(
        key,
        body.value,
        metadata=body.metadata,
        text=body.text,
        ttl=body.ttl if "ttl" in body.model_fields_set else KEEP,
        expected_version=_expected(if_match, if_none_match),
        operation_id=operation,
    )
    return json({"key": key, "version": version}, headers={"ETag": _etag(version)})


@router.delete(ONE, status_code=204, responses={204: {"description": "Deleted."}})
async def delete_memory(
    who: As,
    app: App,
    user: UserId,
    key: _Key,
    *,
    operation: OperationId,
    scope: _Scope = "user",
    if_match: _IfMatch = None,
) -> Response:
    """Delete an entry; with `If-Match` only if it has that version, else 412."""
    own = _of(who, app, user, scope)
    expected = _expected(if_match, None)
    if not await own.delete(key, expected_version=expected, operation_id=operation):
        raise not_found("entry")
    return Response(status_code=204)


def _etag(version: int) -> str:
    return f'"{version}"'


def _expected(match: str | None, none_match: str | None) -> int | None:
    """The version that an entry must have; 0 if it must not exist, None for any."""
    if none_match is not None and match is None and none_match.strip() == "*":
        return 0
    if match is None or match.strip() == "*":
        return None
    met = _ETAG.fullmatch(match.strip())
    if met is None:
        raise Problem(HTTPStatus.PRECONDITION_FAILED, "If-Match is no ETag of an entry.")
    return int(met[1])
