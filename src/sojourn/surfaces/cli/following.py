"""`sojourn sessions tail`: a session as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sojourn.errors import SessionNotFound
from sojourn.ids import SessionKey
from sojourn.sessions import Event, Sessions
from sojourn.surfaces.cli.plain import named


def missing(key: SessionKey) -> SessionNotFound:
    """The error for a session that is not there."""
    return SessionNotFound(f"there is no {named(key)}")


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
        session = await sessions.get(key, after=seq)
        if session is None:
            raise SessionNotFound(f"{named(key)} was deleted or has expired")
        if session.incarnation != incarnation:
            raise SessionNotFound(f"{named(key)} was deleted and created anew")
        if session.events:
            seq = session.length
            yield session.events
