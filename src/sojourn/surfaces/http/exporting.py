"""Routes that export what is kept of a user or an app. For operators."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import FileResponse, StreamingResponse
from starlette.background import BackgroundTask

from sojourn import transfer
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.pages import App, UserId
from sojourn.transfer.user import records

router = APIRouter(tags=["operators"])
ROUTES = [router]

_LINES = "application/x-ndjson"
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"description": "JSON, a line a record.", "content": {_LINES: {}}}
}
_CHUNK = 64 * 1024
"""Characters that are sent together."""


@router.get(
    "/apps/{app:id}/users/{user:id}/export",
    response_class=StreamingResponse,
    responses=_ANSWER,
)
async def export_user(who: As, app: App, user: UserId) -> StreamingResponse:
    """Everything about a user of an app as readable JSON. It looks at every key of the server.

    An answer that is cut off, without its last chunk, is not all of it.
    """
    who.admin(app, user)
    found = records(who.store, user, app=app)

    async def lines() -> AsyncIterator[str]:
        waiting = [first.line()] if first is not None else []
        async for record in found:
            waiting.append(record.line())
            if sum(map(len, waiting)) > _CHUNK:
                yield "".join(waiting)
                waiting.clear()
        yield "".join(waiting)

    first = await anext(found, None)  # what goes wrong at once is a problem of its own
    return StreamingResponse(lines(), media_type=_LINES, headers=_download(f"{app}-{user}.jsonl"))


@router.get("/apps/{app:id}/export", response_class=FileResponse, responses=_ANSWER)
async def export_app(who: As, app: App) -> FileResponse:
    """All of an app as an archive that another store can import; sealed if the store is.

    It goes through all keys of the server, into a file, before the first byte is sent.
    """
    who.admin(app)
    folder = tempfile.TemporaryDirectory(prefix="sojourn-export-")
    try:
        file = Path(folder.name) / "archive.jsonl"
        await transfer.export(who.store, file, app=app)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        file,
        media_type=_LINES,
        headers=_download(f"{app}.jsonl"),
        background=BackgroundTask(folder.cleanup),
    )


def _download(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
