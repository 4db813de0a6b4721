"""Short forms of ids: so much of the beginning as only one has."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence

from sojourn.errors import SessionNotFound
from sojourn.ids import SessionKey
from sojourn.sessions import Sessions
from sojourn.surfaces.cli.console import note
from sojourn.surfaces.cli.exits import Ended, ExitCode
from sojourn.surfaces.cli.listing import pages
from sojourn.surfaces.cli.plain import named, visible

_SHOWN = 5
"""Ids that are named when several begin alike."""
_LONGEST = 500
"""Bytes of a short form, at most."""
_AT_ONCE = 500


def missing(key: SessionKey) -> SessionNotFound:
    """The error for a session that is not there."""
    return SessionNotFound(f"there is no {named(key)}")


async def whole_key(sessions: Sessions, key: SessionKey) -> SessionKey:
    """The only session of the user whose id begins as this one, which no session has.

    It costs as much as a list of the user's sessions.

    Raises:
        SessionNotFound: there is none.
        Ended: there are several.
    """
    found = await _beginning(sessions, key)
    if not found:
        raise missing(key)
    whole = only("sessions", key.session, found)
    made = SessionKey.of(key.app, key.user, whole)
    note(f"{visible(key.session)} is short for {named(made)}")
    return made


async def whole_key_to_delete(sessions: Sessions, key: SessionKey, *, yes: bool) -> SessionKey:
    """The same for what ends a session: only where a person at the terminal can be asked.

    A script that deletes `order-1` again must not delete `order-17`.

    Raises:
        SessionNotFound: there is none, or nobody to ask.
        Ended: there are several.
    """
    if not yes and sys.stdin.isatty():
        return await whole_key(sessions, key)
    found = await _beginning(sessions, key)
    if not found:
        raise missing(key)
    raise SessionNotFound(
        f"there is no {named(key)}; {_listed(found)} begin{'s' * (len(found) == 1)} so: give an id "
        "whole, or leave out --yes and answer at a terminal"
    )


def only(what: str, prefix: str, found: Sequence[str]) -> str:
    """The one of the ids.

    Raises:
        Ended: there are several.
    """
    if len(found) > 1:
        raise Ended(
            f"error: several {what} begin with {visible(prefix)}: {_listed(found)}",
            ExitCode.WRONG_INPUT,
        )
    return found[0]


async def _beginning(sessions: Sessions, key: SessionKey) -> list[str]:
    """Ids that begin so, one more than are named. `?` and `*` in it stand for themselves."""
    found: list[str] = []
    if len(key.session.encode()) <= _LONGEST:
        async for each in _ids(sessions, key):
            if each.startswith(key.session) and each not in found:
                found.append(each)
                if len(found) > _SHOWN:
                    break
    return found


async def _ids(sessions: Sessions, key: SessionKey) -> AsyncIterator[str]:
    pattern = f"{key.session}*"
    async for page in pages(sessions.list, *key.owner, pattern=pattern, limit=_AT_ONCE):
        for each in (*(session.key for session in page.sessions), *page.corrupt, *page.newer):
            yield each.session


def _listed(found: Sequence[str]) -> str:
    more = ", …" if len(found) > _SHOWN else ""
    return ", ".join(map(visible, sorted(found)[:_SHOWN])) + more
