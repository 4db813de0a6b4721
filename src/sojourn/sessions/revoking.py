"""Revocation of sessions: one, all of a user, or all of an app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from sojourn.calls.operation import RoomStore
from sojourn.ids import SessionId, SessionKey, UserKey, new_operation_id, parse_app, user_key
from sojourn.resilience.deadline import gather_in_time
from sojourn.sessions.listing import Listing
from sojourn.sessions.model import Revoked
from sojourn.sessions.operations import AddTombstone, Delete, ListIds
from sojourn.sessions.store import IndexPlace, WriteOptions

Discard: TypeAlias = Callable[[SessionKey], Awaitable[int]]
"""Deletes what other rooms keep of a session; how many."""


_PAGE = 100
"""Ids of a user's sessions that are read at once."""
_TOGETHER = 500
"""Users whose ids are read at the same time, and sessions that are then deleted."""


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
        gone, artifacts = await self._delete([key])
        return Revoked(1, sum(gone), artifacts, None)

    async def user(self, owner: UserKey) -> Revoked:
        """Revoke all of a user, also what gets another id meanwhile."""
        await self._store.run(AddTombstone(owner, "revoked"))
        return await self._all_of([owner])

    async def app(self, app: str, limit: int, cursor: str | None) -> Revoked:
        """Revoke all of some users of an app, on the first page also what waits of all.

        No user needs a tombstone then: what waited before the first page has that of the app.
        """
        if cursor is None:
            await self._store.run(AddTombstone(str(parse_app(app)), "revoked"))
        page = await self._listing.users(app, limit, cursor)
        done = Revoked(0, 0, 0, page.cursor)
        for first in range(0, len(page.names), _TOGETHER):
            names = page.names[first : first + _TOGETHER]
            done = _plus(done, await self._all_of([user_key(app, name) for name in names]))
        return done

    async def _all_of(self, owners: Sequence[UserKey]) -> Revoked:
        """End all sessions of some users, oldest change first, each step for all together."""
        done = Revoked(len(owners), 0, 0, None)
        rest: dict[UserKey, IndexPlace | None] = dict.fromkeys(owners)
        missed: set[UserKey] = set()
        while rest:
            lists = (ListIds(owner, after, _PAGE) for owner, after in rest.items())
            pages = await gather_in_time(*map(self._store.run, lists))
            keys = [
                SessionKey(*owner, SessionId(place.name))
                for owner, page in zip(rest, pages, strict=True)
                for place in page.places
            ]
            for first in range(0, len(keys), _TOGETHER):
                part = keys[first : first + _TOGETHER]
                gone, artifacts = await self._delete(part)
                done = _plus(done, Revoked(0, sum(gone), artifacts, None))
                missed.update(key.owner for key, there in zip(part, gone, strict=True) if not there)
            last, rest = list(rest), {}
            for owner, page in zip(last, pages, strict=True):
                if page.more:
                    rest[owner] = page.places[-1]
                elif owner in missed:  # from the start: it may have been rotated
                    rest[owner] = None
                    missed.discard(owner)
        return done

    async def _delete(self, keys: Sequence[SessionKey]) -> tuple[list[bool], int]:
        """Which of them there were, and how many artifacts.

        The artifacts first: only the session leads to them. It goes even if they do not.
        """
        try:
            artifacts = await gather_in_time(*map(self._discard, keys))
        finally:
            deletes = (Delete(key, WriteOptions(new_operation_id())) for key in keys)
            gone = await gather_in_time(*map(self._store.run, deletes))
        return gone, sum(artifacts)


def _plus(done: Revoked, more: Revoked) -> Revoked:
    """Both together, with the cursor of the first."""
    return Revoked(
        users=done.users + more.users,
        sessions=done.sessions + more.sessions,
        artifacts=done.artifacts + more.artifacts,
        cursor=done.cursor,
    )
