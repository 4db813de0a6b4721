"""Session operations for operators: listing apps and users, repair, revocation, quarantine."""

from __future__ import annotations

from asyncio import gather
from collections.abc import Mapping, Sequence

from sojourn import codecs
from sojourn.ids import SessionKey, parse_app, parse_user, user_key
from sojourn.process_bound import stays_here
from sojourn.resilience.deadline import in_time
from sojourn.sessions import checks
from sojourn.sessions.fields import ordered_labels
from sojourn.sessions.listing import Filter
from sojourn.sessions.model import NamePage, Quarantined, Revoked, SessionPage, Swept
from sojourn.sessions.operations import AddTombstone, Forget, RepairRecent, RepairUsers
from sojourn.sessions.parts import SessionParts
from sojourn.sessions.revoking import Discard, Revoking
from sojourn.sessions.store import Repaired
from sojourn.sessions.tombstones import Forgotten, anywhere

_TOGETHER = 500
"""Users whose indexes are swept at the same time."""


@stays_here("its URL, and open the store there")
class SessionAdmin:
    """The session calls of `store.admin`.

    Every method may also raise `Unavailable` and its kin when no server answers in time. All round
    trips of a call end within `operation_timeout`; but `revoke_user`, `revoke_app` and `sweep` take
    it for each step of theirs.

    Args:
        parts: of the sessions room.
        discard: deletes the artifacts of a session.
    """

    def __init__(self, parts: SessionParts, discard: Discard) -> None:
        self._operation_timeout = parts.limits.operation_timeout
        self._parts = parts
        self._store = parts.store
        self._listing = parts.listing
        self._revoking = Revoking(parts.store, parts.listing, discard)

    @in_time
    async def users(self, app: str, *, limit: int = 1000, cursor: str | None = None) -> NamePage:
        """A page of the users of an app, some of whom may have no session any more.

        One round trip for each of the sixteen parts of the index that the page touches.
        """
        checks.page_size(limit)
        return await self._listing.users(app, limit, cursor)

    @in_time
    async def apps(self, *, limit: int = 1000, cursor: str | None = None) -> NamePage:
        """A page of the apps, some of which may have no session any more. One round trip."""
        checks.page_size(limit)
        return await self._listing.apps(limit, cursor)

    @in_time
    async def recent(
        self,
        app: str,
        *,
        labels: Mapping[str, str] | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> SessionPage:
        """A page of the sessions of an app, newest change first: with state, without events.

        It reads an index that is at most a minute late: a session changed since may be further
        back. A deleted session is never listed. Two round trips a page, one of them to the slots
        of the users.

        Args:
            app: the application.
            labels: only those that have all of these. The first leads to them by an index, so name
                the rarest first.
            limit: how many at most. With more than one label a page may have fewer, even none, and
                a cursor all the same: it looks at no more than 25 pages of the index.
            cursor: `SessionPage.cursor` of the page before. A session that is changed between two
                pages is on the first one from then on.

        Raises:
            InvalidInput: a limit under 1, a label that no session can have, or a cursor that is
                none of this listing.
            CorruptRecord: a part of the index is a key of another type.
        """
        checks.page_size(limit)
        wanted = Filter(labels=ordered_labels(labels))
        return await self._listing.recent(app, wanted, limit, cursor)

    async def sweep(self, app: str, *, limit: int = 100, cursor: str | None = None) -> Swept:
        """Repair the indexes of some users of an app, and finish writes that dead clients left.

        It is optional: an expired session is never listed, and a list repairs the entries that it
        reads. It is for sessions that are never listed. One round trip for a page of users, three
        for each 500 of them together, three more for each 200 sessions that one of them has more;
        the last page has three more for each 200 sessions of a part of the app. Each has the
        time-out of an operation.
        `sojourn sessions sweep` does it for all.

        Args:
            app: whose users.
            limit: how many users at most.
            cursor: `Swept.cursor` of the sweep before.

        Raises:
            InvalidInput: a limit under 1, or a cursor of something else.
        """
        page = await self.users(app, limit=limit, cursor=cursor)
        done: list[Repaired] = []
        for first in range(0, len(page.names), _TOGETHER):
            owners = [user_key(app, name) for name in page.names[first : first + _TOGETHER]]
            repaired = await self._store.run(RepairUsers(owners))
            done += [each for each in repaired if isinstance(each, Repaired)]
        if page.cursor is None:  # the pass over the users is done
            name, shards = parse_app(app), range(self._parts.limits.shards)
            await gather(*(self._store.run(RepairRecent(name, shard)) for shard in shards))
        return Swept(
            users=len(page.names),
            expired=sum(each.expired for each in done),
            dropped=sum(each.dropped for each in done),
            restored=sum(each.restored for each in done),
            carried=sum(each.carried for each in done),
            corrupt=len(page.names) - len(done),
            cursor=page.cursor,
        )

    @in_time
    async def revoke(self, key: SessionKey) -> Revoked:
        """End a session for good, with its artifacts. Two round trips, two more for each artifact.

        It is deleted, and writes to it in the outage buffer of another process, a create included,
        are refused on replay. Readers learn at once that it is gone; a process cut off
        with `on_outage="buffer"` may continue with its cached session until `buffer_seconds` after
        its outage started. A session created with this id later is a different one.

        Args:
            key: which session. Revoking a missing one is not an error. Repeat it if interrupted.
        """
        return await self._revoking.session(checks.key(key))

    async def revoke_user(self, app: str, user: str) -> Revoked:
        """End all sessions of a user, as `revoke` does. State, memories and own artifacts stay.

        Three round trips for each 100 sessions, two more for each artifact, and one; each has the
        time-out of an operation. Sessions that the user starts while it runs may end, too.
        """
        return await self._revoking.user(user_key(app, user))

    async def revoke_app(self, app: str, *, limit: int = 100, cursor: str | None = None) -> Revoked:
        """End all sessions of some users of an app, as `revoke` does; page by page those of all.

        The first page refuses writes buffered anywhere for any user of the app, even unknown ones.
        It waits for a tenth of a second, until users who came just now are in the app's index.
        The round trips of `revoke_user` for each 500 users together.

        Args:
            app: whose users.
            limit: how many users at most.
            cursor: `Revoked.cursor` of the page before.

        Raises:
            InvalidInput: a limit under 1, or a cursor of something else.
        """
        checks.page_size(limit)
        return await self._revoking.app(app, limit, cursor)

    @in_time
    async def quarantined(
        self, app: str, user: str, *, newest_first: bool = False
    ) -> Sequence[Quarantined]:
        """The user's records that could not be read, with their bytes, oldest first.

        One round trip. A record is put there when a read comes upon it, as long as there is room
        (1,000 records or 64 MiB), and kept for as long as the state of users. It still stands in
        its place, too; only deltas of `app:` state on their way are taken out of it.

        Args:
            app: the application.
            user: the user.
            newest_first: the other way round.
        """
        found = await self._parts.quarantine.records(user_key(app, user))
        return found[::-1] if newest_first else found

    @in_time
    async def release(self, app: str, user: str, id: str) -> bool:  # noqa: A002 - its name there
        """Take a record out of the quarantine; whether it was there. One round trip.

        It comes back when it is still in its place and is read again; a process that has reported
        it before waits a day with that.
        """
        return await self._parts.quarantine.remove(user_key(app, user), codecs.text(id, "id"))


async def forget_sessions(parts: SessionParts, app: str | None, user: str) -> Forgotten:
    """Delete all that this room keeps of a user; `store.admin.forget` does it in all rooms.

    Writes buffered elsewhere before this call are rejected with `Erased`. A user who returns
    starts empty. A round trip for each 1,000 keys of the server. Repeat it if interrupted.

    Args:
        parts: of the sessions room.
        app: the application; None only rejects buffered writes, of any app, without deleting.
        user: the user.

    Raises:
        Unavailable: also when the journal of this process cannot be rewritten, or a change of
            app state cannot be applied now.
    """
    owner = anywhere(parse_user(user)) if app is None else user_key(app, user)
    since = await parts.store.run(AddTombstone(owner, "forgotten"))
    if app is None:
        return Forgotten(time=since)
    done = await parts.store.run(Forget(owner))
    parts.cache.forget(owner)
    return done._replace(time=since)
