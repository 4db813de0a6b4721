"""Routes that end sessions and forget users. For operators."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field

from sojourn.errors import InvalidInput
from sojourn.ids import SessionKey
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.pages import App, SessionId, UserId, documented, json

router = APIRouter(tags=["operators"])
ROUTES = [router]

USER = "/apps/{app:id}/users/{user:id}"

_RECEIPT = {
    "time": 1767225600.0,
    "salt": "9f2c",
    "who": "5feceb66",
    "apps": 1,
    "erased": {"sessions": 3, "memories": 2},
    "copies": "plain",
}


class Confirmation(BaseModel):
    """Says once more whom a call is about."""

    confirm: str = Field(description="The user's id, as in the path.", examples=["ada"])


@router.post(
    USER + "/sessions/{session:id}/revoke",
    responses=documented({"sessions": 1, "artifacts": 0}, "Ended."),
)
async def revoke_session(who: As, app: App, user: UserId, session: SessionId) -> Response:
    """End a session for good, with its artifacts. One that is not there is no error."""
    done = await who.admin(app, user).revoke(SessionKey.of(app, user, session))
    return json({"sessions": done.sessions, "artifacts": done.artifacts})


@router.post(USER + "/revoke", responses=documented({"sessions": 3, "artifacts": 2}, "Ended."))
async def revoke_user(who: As, app: App, user: UserId) -> Response:
    """End all sessions of a user for good, with their artifacts. State and memories stay."""
    done = await who.admin(app, user).revoke_user(app, user)
    return json({"sessions": done.sessions, "artifacts": done.artifacts})


@router.post(USER + "/forget", responses=documented(_RECEIPT, "The receipt: it has no content."))
async def forget_user(who: As, app: App, user: UserId, body: Confirmation) -> Response:
    """Delete everything about a user of an app, in every room. It looks at every key of the server.

    Repeat it if it was interrupted: it finishes.
    """
    admin = who.admin(app, user)
    if body.confirm != user:
        raise InvalidInput("confirm must be the id of the user who is to be forgotten.")
    return json((await admin.forget(user, app=app))._asdict())
