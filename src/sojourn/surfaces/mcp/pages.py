"""Pages of a session's events: the last ones first, and with the cursor those before them."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import msgspec
from pydantic import BaseModel

from sojourn.errors import InvalidInput, SessionNotFound
from sojourn.security import User
from sojourn.sessions import Event
from sojourn.surfaces.mcp.documents import EventDocument, MessageDocument, Sized

D = TypeVar("D", EventDocument, MessageDocument)

_decode = msgspec.json.Decoder(tuple[str, Annotated[int, msgspec.Meta(ge=1)]]).decode


async def page(
    own: User,
    session: str,
    made: Callable[[Event], D],
    *,
    limit: int,
    cursor: str | None,
) -> tuple[Sequence[D], str | None]:
    """A page of events, oldest first, and the cursor of the page before it in the log.

    One round trip for the first page, two for another; it reads what was written behind it, too, as
    far as this process has not read it before.

    Raises:
        InvalidInput: the cursor is none, or of an earlier session of this id.
        SessionNotFound: there is no such session.
    """
    place = _place(cursor)
    last = limit
    if place is not None:
        head = await own.sessions.get(session, last=0)
        last = 0 if head is None else max(0, head.length - place[1] + 1 + limit)
    found = await own.sessions.get(session, last=last)
    if found is None:
        raise SessionNotFound("There is no such session.")
    if place is not None and place[0] != found.incarnation:
        raise InvalidInput("The session was made anew since: begin again without the cursor.")
    before = found.length + 1 if place is None else place[1]
    events = [event for event in found.events if before - limit <= event.seq < before]
    taken = list(reversed(Sized().fill(reversed(events), made)))
    first = taken[0].seq if len(taken) < len(events) else before - limit
    if first <= 1 or not events:
        return taken, None
    return taken, _cursor(found.incarnation, first)


class EventPage(BaseModel):
    """Events, oldest first."""

    events: Sequence[EventDocument]
    cursor: str | None


def _cursor(incarnation: str, before: int) -> str:
    return urlsafe_b64encode(msgspec.json.encode((incarnation, before))).decode()


def _place(cursor: str | None) -> tuple[str, int] | None:
    if cursor is None:
        return None
    try:
        return _decode(urlsafe_b64decode(cursor.encode()))
    except (ValueError, msgspec.MsgspecError) as error:
        raise InvalidInput("The cursor is not one that this tool gave.") from error
