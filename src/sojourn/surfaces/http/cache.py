"""Routes of the cache room: figures of this process, and invalidation."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field

from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.pages import App, UserId, documented, json

router = APIRouter(tags=["cache"])
ROUTES = [router]

_FIGURES = {
    "hits": 10,
    "stale": 0,
    "misses": 2,
    "waits": 1,
    "computed": 2,
    "unavailable": 0,
    "hit_rate": 0.83,
    "near_cache": {"hits": 5, "misses": 1, "sessions": 1, "size": 4096},
}


class CacheTag(BaseModel):
    """A tag of cached values."""

    tag: str = Field(description="Entries that have it count as missing.", examples=["prices"])


@router.get("/cache", responses=documented(_FIGURES, "Figures."))
async def get_cache(who: As) -> Response:
    """Figures of the caches of this process: others have their own. For keys for all users."""
    who.everyone()
    stats = who.store.stats()
    near, results = stats.near_cache, stats.cache
    return json(
        {
            **results._asdict(),
            "hit_rate": results.hit_rate,
            "near_cache": near._asdict(),
        }
    )


@router.post(
    "/apps/{app:id}/users/{user:id}/cache/invalidate",
    status_code=204,
    responses={204: {"description": "Done."}},
)
async def invalidate_cache(who: As, app: App, user: UserId, body: CacheTag) -> Response:
    """Let all results of a user that have a tag count as missing."""
    await who.user(app, user).cache.invalidate(body.tag)
    return Response(status_code=204)
