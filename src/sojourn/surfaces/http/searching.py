"""Routes that search the content of sessions."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import Response

from sojourn.sessions import SearchPage
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.pages import App, Cursor, Limit, SessionId, UserId, documented, page

router = APIRouter(tags=["sessions"])
ROUTES = [router]

OWN = "/apps/{app:id}/users/{user:id}"

_HIT = {
    "session": "8e42",
    "seq": 1,
    "id": "9f2c",
    "time": 1767225600.0,
    "author": "user",
    "snippet": "… a cup of tea …",
}
_PAGE = {"items": [_HIT], "cursor": None, "partial": False, "unreadable": ["sealed"]}

_Words = Annotated[
    str,
    Query(alias="q", min_length=1, max_length=512, description="Words that all must be there."),
]


@router.get(OWN + "/search", responses=documented(_PAGE, "Events."))
async def search_user(
    who: As, app: App, user: UserId, *, words: _Words, limit: Limit = 20, cursor: Cursor = None
) -> Response:
    """Search the events of all sessions of a user, those changed last first, the newest first.

    After 2 seconds there is a shorter page (`partial`), and its cursor goes on. `unreadable` are
    sessions that cannot be read here.
    """
    found = await who.user(app, user).sessions.search(words, limit=limit, cursor=cursor)
    return _answer(found)


@router.get(OWN + "/sessions/{session:id}/search", responses=documented(_PAGE, "Events."))
async def search_session(
    who: As,
    app: App,
    user: UserId,
    session: SessionId,
    *,
    words: _Words,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    """Search the events of a session, the newest first; see the search of a user."""
    own = who.user(app, user).sessions
    return _answer(await own.search(words, session=session, limit=limit, cursor=cursor))


def _answer(found: SearchPage) -> Response:
    return page(
        [msgspec.to_builtins(hit) for hit in found.hits],
        found.cursor,
        partial=found.partial,
        unreadable=[key.session for key in found.skipped],
    )
