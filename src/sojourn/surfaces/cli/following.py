"""`sojourn sessions tail`: a session as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sojourn.errors import SessionNotFound
from sojourn.ids import SessionKey
from sojourn.sessions import Event, Session, Sessions
from sojourn.surfaces.cli.plain import named
from sojourn.surfaces.cli.prefixes import missing

_SLACK = 64
"""Events that may come between two reads without a third."""


async def follow(
    sessions: Sessions, key: SessionKey, *, last: int, interval: float
) -> AsyncIterator[list[Event]]:
    """The last events, and then new ones as they come, in the order of the log, each once.

    Raises:
        SessionNotFound: there is none, or it is deleted, expires or is replaced meanwhile.
    """
    session = await sessions.get(key, last=last)
    if session is None:
        raise missing(key)
    incarnation, seq = session.incarnation, session.length
    yield session.events
    while True:
        await asyncio.sleep(interval)
        session = await _newer(sessions, key, seq)
        if session is None:
            raise SessionNotFound(f"{named(key)} was deleted or has expired")
        if session.incarnation != incarnation:
            raise SessionNotFound(f"{named(key)} was deleted and created anew")
        if session.events:
            seq = session.length
            yield session.events


async def _newer(sessions: Sessions, key: SessionKey, seq: int) -> Session[Event] | None:
    """The session with its events behind `seq`. Costs what is new, however long the log is."""
    session = await sessions.get(key, last=0)
    asked = 0
    while session is not None and session.length - seq > asked:
        asked = session.length - seq + _SLACK
        session = await sessions.get(key, last=asked, after=seq)
    return session
