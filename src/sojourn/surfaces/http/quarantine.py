"""Routes of the quarantine: records that could not be read, with their bytes. For operators."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from time import monotonic
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path
from fastapi.responses import Response

from sojourn.codecs.codec import sealed_with
from sojourn.errors import InvalidInput
from sojourn.sessions import Quarantined
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.pages import App, Cursor, Limit, UserId, documented, json, page
from sojourn.surfaces.http.problems import not_found

router = APIRouter(tags=["quarantine"])
ROUTES = [router]

OWN = "/apps/{app:id}/users/{user:id}/quarantine"

_RECORD = {
    "id": "3f9c",
    "key": "session:{shop:ada}:8e42:events",
    "field": "17",
    "reason": "its checksum is missing or wrong",
    "time": 1767225600.0,
    "size": 120,
    "sealed": None,
}
_Id = Annotated[str, Path(description="The record.", examples=["3f9c"])]

_SECONDS = 2.0
"""Seconds after which a list over all users is cut."""
_SENT = 64 * 1024
"""Bytes of a record that are sent."""
_USERS = 100
"""Users of an app that are looked at before the next page of them."""


def _document(found: Quarantined) -> dict[str, Any]:
    key = sealed_with(found.raw)
    return {
        "id": found.id,
        "key": found.key,
        "field": found.field,
        "reason": found.reason,
        "time": found.time,
        "size": found.size,
        "sealed": {"key": key, "size": found.size} if key else None,
    }


@router.get(OWN, responses=documented({"items": [_RECORD], "cursor": None}, "Records."))
async def list_quarantined(
    who: As, app: App, user: UserId, *, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """List what could not be read of a user, the newest first."""
    records = await who.admin(app, user).quarantined(app, user, newest_first=True)
    start = _start(cursor)
    more = str(start + limit) if len(records) > start + limit else None
    return page(list(map(_document, records[start : start + limit])), more)


@router.get(
    "/quarantine",
    responses=documented(
        {"items": [{"app": "shop", "user": "ada", **_RECORD}], "cursor": None, "partial": False},
        "Records.",
    ),
)
async def list_all_quarantined(who: As, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """List what could not be read of all users: user by user, the newest of each first.

    It asks for each user: after 2 seconds there is a shorter page, and its cursor goes on. A page
    may be longer than `limit`, as it ends with a user.
    """
    admin = who.admin()
    end = monotonic() + _SECONDS
    items: list[dict[str, Any]] = []
    place: _Place | None = _place(cursor)
    while place is not None and len(items) < limit and monotonic() < end:
        apps_cursor, app, users_cursor = place
        if app is None:
            apps = await admin.apps(limit=1, cursor=apps_cursor)
            place = (apps_cursor, apps.names[0], None) if apps.names else _after(apps.cursor)
            continue
        users = await admin.users(app, limit=_USERS, cursor=users_cursor)
        for user in users.names:
            records = await admin.quarantined(app, user, newest_first=True)
            items += [{"app": app, "user": user, **_document(each)} for each in records]
        if users.cursor is not None:
            place = (apps_cursor, app, users.cursor)
        else:
            place = _after((await admin.apps(limit=1, cursor=apps_cursor)).cursor)
    text = None
    if place is not None:
        text = urlsafe_b64encode(msgspec.json.encode(place)).decode()
    return page(items, text, partial=text is not None and len(items) < limit)


@router.get(
    OWN + "/{id:id}", responses=documented({**_RECORD, "raw": "eyJpZCI6", "kept": 120}, "It.")
)
async def get_quarantined(
    who: As,
    app: App,
    user: UserId,
    id: _Id,  # noqa: A002 - as in the path
) -> Response:
    """Read a record: `raw` is the first 64 KiB of its bytes in base64, of `kept` bytes."""
    records = await who.admin(app, user).quarantined(app, user)
    for each in records:
        if each.id == id:
            raw = b64encode(each.raw[:_SENT]).decode()
            return json({**_document(each), "raw": raw, "kept": len(each.raw)})
    raise not_found("record")


@router.delete(OWN + "/{id:id}", status_code=204, responses={204: {"description": "Removed."}})
async def release_quarantined(
    who: As,
    app: App,
    user: UserId,
    id: _Id,  # noqa: A002 - as in the path
) -> Response:
    """Take a record out of the quarantine. Where it came from, nothing is changed."""
    if not await who.admin(app, user).release(app, user, id):
        raise not_found("record")
    return Response(status_code=204)


_Place = tuple[str | None, str | None, str | None]
"""Where a list over all users goes on: cursor of the apps, the app at hand, cursor of its users."""


def _after(apps_cursor: str | None) -> _Place | None:
    return None if apps_cursor is None else (apps_cursor, None, None)


def _place(cursor: str | None) -> _Place:
    if cursor is None:
        return None, None, None
    try:
        return msgspec.json.decode(urlsafe_b64decode(cursor.encode()), type=_Place)
    except (ValueError, msgspec.MsgspecError) as error:
        raise InvalidInput("The cursor is not one that this list gave.") from error


def _start(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if cursor.isascii() and cursor.isdigit() and len(cursor) < 9:  # noqa: PLR2004 - there are fewer
        return int(cursor)
    raise InvalidInput("The cursor is not one that this list gave.")
