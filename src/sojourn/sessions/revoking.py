"""Revoking sessions: one, all of a user, all of an app. They are gone, and stay gone elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from sojourn.ids import SessionKey, UserKey, new_operation_id, parse_app, user_key
from sojourn.sessions.listing import Listing
from sojourn.sessions.model import Revoked
from sojourn.sessions.store import Place, SessionStore, Write

Discard: TypeAlias = Callable[[SessionKey], Awaitable[int]]
"""Deletes what other rooms keep of a session; how many."""


async def nothing_else(_key: SessionKey) -> int:
    """Where there is no other room."""
    return 0


_PAGE = 100
"""Sessions that are deleted at once."""


class Revoking:
    """Revokes sessions of a store.

    Args:
        store: where they are kept.
        listing: leads to them.
        discard: deletes the artifacts of one.
    """

    def __init__(self, store: SessionStore, listing: Listing, discard: Discard) -> None:
        self._store = store
        self._listing = listing
        self._discard = discard

    async def session(self, key: SessionKey) -> Revoked:
        """Revoke one."""
        await self._store.bury(key, "revoked")
        sessions, artifacts = await self._delete(key)
        return Revoked(1, sessions, artifacts, None)

    async def user(self, owner: UserKey) -> Revoked:
        """Revoke all of a user, also what gets another id meanwhile."""
        await self._store.bury(owner, "revoked")
        sessions = artifacts = 0
        after: Place | None = None
        missed = False
        while True:
            page = await self._store.list_sessions(owner, after, _PAGE)
            keys = [*(key for key, _ in page.sessions), *page.corrupt, *page.newer]
            done = await asyncio.gather(*map(self._delete, keys), return_exceptions=True)
            for outcome in done:  # all have run their course
                if isinstance(outcome, BaseException):
                    raise outcome
                sessions, artifacts = sessions + outcome[0], artifacts + outcome[1]
                missed = missed or not outcome[0]
            after = page.after
            if after is None and not missed:
                return Revoked(1, sessions, artifacts, None)
            missed = missed and after is not None  # else from the start: it may have been rotated

    async def app(self, app: str, limit: int, cursor: str | None) -> Revoked:
        """Revoke all of some users of an app, on the first page also what waits of all."""
        if cursor is None:
            await self._store.bury(str(parse_app(app)), "revoked")
        page = await self._listing.users(app, limit, cursor)
        done = [await self.user(user_key(app, name)) for name in page.names]
        return Revoked(
            users=len(done),
            sessions=sum(each.sessions for each in done),
            artifacts=sum(each.artifacts for each in done),
            cursor=page.cursor,
        )

    async def _delete(self, key: SessionKey) -> tuple[int, int]:
        """Its artifacts first: only the session leads to them. It goes even if they do not."""
        try:
            artifacts = await self._discard(key)
        finally:
            gone = await self._store.delete(key, Write(new_operation_id()))
        return int(gone), artifacts
