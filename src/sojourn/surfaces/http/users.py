"""Routes about the caller, apps and users; they belong to no room."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

import sojourn
from sojourn.rooms import ROOMS
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.pages import App, Cursor, Limit, documented, json, page

router = APIRouter(tags=["users"])
ROUTES = [router]

_ME = {
    "name": "ops",
    "scope": "admin",
    "user": None,
    "apps": None,
    "read_only": False,
    "version": "0.1.0",
    "rooms": ["sessions", "memory"],
    "kind": "redis",
    "where": "redis://localhost:6379",
}


@router.get("/me", responses=documented(_ME, "The caller."))
async def me(who: As) -> Response:
    """Who calls, what the key allows, and what this server is. Asks nobody.

    `user` is null for a key for all users, `apps` for one for all apps.
    """
    stats = who.store.stats()
    return json(
        {
            "name": who.holder.user,
            "scope": who.holder.scope,
            "user": who.only_user,
            "apps": who.apps,
            "read_only": who.read_only,
            "version": sojourn.__version__,
            "rooms": [room.name for room in ROOMS],
            "kind": stats.kind,
            "where": stats.where,
        }
    )


@router.get("/apps", responses=documented({"items": [{"app": "shop"}], "cursor": None}, "Apps."))
async def list_apps(who: As, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """List the apps, in no promised order; some may have no session any more.

    A key for some apps lists those. One for one user and all apps cannot list them (403).
    """
    if who.apps is not None:
        return page([{"app": app} for app in who.apps], None)
    found = await who.everyone().apps(limit=limit, cursor=cursor)
    return page([{"app": app} for app in found.names], found.cursor)


@router.get(
    "/apps/{app:id}/users",
    responses=documented({"items": [{"user": "ada"}], "cursor": None}, "Users."),
)
async def list_users(who: As, app: App, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """List the users of an app, in no promised order; some may have no session any more.

    A key for one user lists that one.
    """
    if who.only_user is not None:
        who.user(app, who.only_user)
        return page([{"user": who.only_user}], None)
    found = await who.everyone(app).users(app, limit=limit, cursor=cursor)
    return page([{"user": user} for user in found.names], found.cursor)
