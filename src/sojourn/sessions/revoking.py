"""Revocation of sessions: one, all of a user, or all of an app."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias, TypeVar

from sojourn.calls.operation import RoomStore
from sojourn.ids import SessionId, SessionKey, UserKey, new_operation_id, parse_app, user_key
from sojourn.sessions.listing import Listing
from sojourn.sessions.model import Revoked
from sojourn.sessions.operations import AddTombstone, Delete, ListIds
from sojourn.sessions.store import IndexPlace, WriteOptions

T = TypeVar("T")

Discard: TypeAlias = Callable[[SessionKey], Awaitable[int]]
"""Deletes what other rooms keep of a session; how many."""


async def nothing_else(_key: SessionKey) -> int:
    """Where there is no other room."""
    return 0


_PAGE = 100
"""Sessions of a user that are deleted at once."""
_TOGETHER = 250
"""Users whose sessions are revoked at the same time,"""
_AT_ONCE = 500
"""and how many of these sessions."""


class Revoking:
    """Revokes sessions of a store.

    Args:
        store: where they are kept.
        listing: leads to them.
        discard: deletes the artifacts of one.
    """

    def __init__(self, store: RoomStore, listing: Listing, discard: Discard) -> None:
        self._store = store
        self._listing = listing
        self._discard = discard

    async def session(self, key: SessionKey) -> Revoked:
        """Revoke one."""
        await self._store.run(AddTombstone(key, "revoked"))
        sessions, artifacts = await self._delete(key)
        return Revoked(1, sessions, artifacts, None)

    async def user(self, owner: UserKey) -> Revoked:
        """Revoke all of a user, also what gets another id meanwhile."""
        await self._store.run(AddTombstone(owner, "revoked"))
        return await self._all_of(owner, asyncio.Semaphore(_AT_ONCE))

    async def app(self, app: str, limit: int, cursor: str | None) -> Revoked:
        """Revoke all of some users of an app, on the first page also what waits of all.

        No user needs a tombstone then: what waited before the first page has that of the app.
        """
        if cursor is None:
            await self._store.run(AddTombstone(str(parse_app(app)), "revoked"))
        page = await self._listing.users(app, limit, cursor)
        room = asyncio.Semaphore(_AT_ONCE)
        done: list[Revoked] = []
        for first in range(0, len(page.names), _TOGETHER):
            owners = [user_key(app, name) for name in page.names[first : first + _TOGETHER]]
            done += await _all(self._all_of(owner, room) for owner in owners)
        return Revoked(
            users=len(done),
            sessions=sum(each.sessions for each in done),
            artifacts=sum(each.artifacts for each in done),
            cursor=page.cursor,
        )

    async def _all_of(self, owner: UserKey, room: asyncio.Semaphore) -> Revoked:
        """End all sessions of a user, oldest change first; as many at once as there is room."""

        async def end(key: SessionKey) -> tuple[int, int]:
            async with room:
                return await self._delete(key)

        sessions = artifacts = 0
        after: IndexPlace | None = None
        missed = False
        while True:
            page = await self._store.run(ListIds(owner, after, _PAGE))
            keys = [SessionKey(*owner, SessionId(place.name)) for place in page.places]
            for gone, discarded in await _all(map(end, keys)):
                sessions, artifacts = sessions + gone, artifacts + discarded
                missed = missed or not gone
            after = page.places[-1] if page.more else None
            if after is None and not missed:
                return Revoked(1, sessions, artifacts, None)
            missed = missed and after is not None  # else from the start: it may have been rotated

    async def _delete(self, key: SessionKey) -> tuple[int, int]:
        """Its artifacts first: only the session leads to them. It goes even if they do not."""
        try:
            artifacts = await self._discard(key)
        finally:
            gone = await self._store.run(Delete(key, WriteOptions(new_operation_id())))
        return int(gone), artifacts


async def _all(steps: Iterable[Awaitable[T]]) -> list[T]:
    """The results, after all have run their course; the first error if there is one."""
    done = await asyncio.gather(*steps, return_exceptions=True)
    for outcome in done:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in done if not isinstance(outcome, BaseException)]
