"""Route of transcripts: the events of a session as people read them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import Response

from sojourn.sessions import Event
from sojourn.surfaces.http.caller import As
from sojourn.surfaces.http.pages import App, Limit, SessionId, UserId, documented, json
from sojourn.surfaces.http.sessions import ONE
from sojourn.surfaces.renderers import render

router = APIRouter(tags=["sessions"])
ROUTES = [router]

_ITEM = {
    "seq": 1,
    "id": "9f2c",
    "time": 1767225600.0,
    "author": "support",
    "kind": "adk",
    "role": "assistant",
    "parts": [{"type": "text", "text": "Hello"}],
    "usage": {"input": 812, "output": 41, "total": 853},
    "turn": "e-91b2",
    "partial": False,
    "branch": "",
    "model": "",
    "state": {"cart": ["tea"]},
}


@router.get(
    ONE + "/transcript",
    responses=documented(
        {"items": [_ITEM], "length": 2, "start": 1, "first": 1, "last": 1, "complete": True},
        "A transcript.",
    ),
)
async def read_transcript(
    who: As,
    app: App,
    user: UserId,
    session: SessionId,
    *,
    after: Annotated[int | None, Query(ge=0, description="Only those behind this `seq`.")] = None,
    before: Annotated[int | None, Query(ge=1, description="Only those before this `seq`.")] = None,
    limit: Limit = 100,
) -> Response:
    """Read events as a transcript, oldest first: pages as those of the events.

    `parts` are what was said and done, of any framework in one form: text, thought, call, result,
    media, code, notice, json. `state` is what the event has set. `usage` counts tokens. Events of
    one `turn` belong together. Text is text, never markup. `start` is the first event that the log
    still has.
    """
    own = who.user(app, user).sessions
    found = await own.events(session, after=after, before=before, limit=limit)
    return json(
        {
            "items": [transcript_item(event) for event in found.events],
            "length": found.length,
            "start": found.first,
            "first": found.seqs.start if found.seqs else None,
            "last": found.seqs.stop - 1 if found.seqs else None,
            "complete": found.complete,
        }
    )


def transcript_item(event: Event) -> dict[str, Any]:
    """An event as a transcript has it."""
    return {
        "seq": event.seq,
        "id": event.id,
        "time": event.time,
        "author": event.author,
        "kind": event.kind,
        **msgspec.structs.asdict(render(event)),
        "state": dict(event.state_delta),
    }
