"""The indexes: a user's sessions, an app's users, and the apps, in pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sojourn.calls.call import Call, Command, only
from sojourn.engine.engine import Engine
from sojourn.errors import CorruptRecord
from sojourn.ids import (
    AppName,
    SessionId,
    SessionKey,
    UserKey,
    parse_app,
    parse_session,
    parse_user,
)
from sojourn.resilience.deadline import gather_in_time
from sojourn.sessions.inspection import CorruptionReporter
from sojourn.sessions.keys import SHARDS, SessionRoomKeys
from sojourn.sessions.quarantine import field_of
from sojourn.sessions.recent import Recent, as_json, entry_of, named
from sojourn.sessions.scripts import load
from sojourn.sessions.session_codec import FOREIGN, FieldError, parse_head, user_state
from sojourn.sessions.shared_state import SharedState
from sojourn.sessions.store import (
    IndexEntry,
    IndexPlace,
    Label,
    SessionSnapshot,
    StoredNames,
    StoredPage,
    has,
)

_PRUNE, _MEND = (load(name) for name in ("prune", "mend"))

_OF_EACH = 100
"""Entries of a user's index that are read where many users' are: most have fewer."""

_MENDED = 1000
"""Sessions that have gone which one page of a list takes out."""


class Mended(NamedTuple):
    """How many sessions went out of a user's indexes, and came in; what they all are now."""

    dropped: int
    restored: int
    entries: Sequence[IndexEntry]


class _FoundSessions(NamedTuple):
    """What stands where an index leads to: sessions in order, and those that cannot be served."""

    sessions: list[tuple[SessionKey, SessionSnapshot]]
    corrupt: list[SessionKey]
    newer: list[SessionKey]
    gone: list[SessionKey]


class Indexes:
    """What leads to the sessions of one deployment, over an engine."""

    def __init__(
        self,
        engine: Engine,
        keys: SessionRoomKeys,
        shared_state: SharedState,
        inspection: CorruptionReporter,
        recent: Recent,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._shared_state = shared_state
        self._inspection = inspection
        self._recent = recent

    async def list_sessions(
        self,
        owner: UserKey,
        after: IndexPlace | None,
        limit: int,
        label: Label | None = None,
        *,
        newest_first: bool = False,
    ) -> StoredPage:
        """Two round trips a page."""
        index = self._keys.user(owner).by_update
        if label is not None:
            index = self._keys.labelled(index, label)
        page = await self._page(
            owner, index, after, limit, parse_session, newest_first=newest_first
        )
        keys = [SessionKey(*owner, SessionId(place.name)) for place in page.places]
        found = await self._read(keys)
        if found.gone:
            self._engine.send_nowait(self.prune_call(owner))
        moved = [key for key, stored in found.sessions if not has(stored.head, label)]
        if amiss := [*found.gone, *moved][:_MENDED]:  # evicted, or of another label by now
            self._engine.send_nowait(self.mend_call(owner, amiss, label))
        after = page.places[-1] if page.more else None
        return StoredPage(found.sessions, after, found.corrupt, found.newer)

    async def list_ids(self, owner: UserKey, after: IndexPlace | None, limit: int) -> StoredNames:
        """One round trip a page."""
        index = self._keys.user(owner).by_update
        return await self._page(owner, index, after, limit, parse_session)

    async def list_users(
        self, users: Sequence[tuple[UserKey, IndexPlace | None]], limit: int
    ) -> Sequence[StoredPage | CorruptRecord]:
        """Two round trips, whatever the number of users."""
        size = min(limit, _OF_EACH)
        refused: dict[UserKey, CorruptRecord] = {}

        async def page_of(owner: UserKey, after: IndexPlace | None) -> StoredNames:
            index = self._keys.user(owner).by_update
            try:
                return await self._page(owner, index, after, size, parse_session)
            except CorruptRecord as error:
                refused[owner] = error
                return StoredNames([], more=False)

        pages = await gather_in_time(*(page_of(*each) for each in users))
        places: dict[UserKey, StoredNames | CorruptRecord] = {}
        for (owner, _), page in zip(users, pages, strict=True):
            if owner in refused:
                places[owner] = refused[owner]
                continue
            more = page.more or len(page.places) > limit
            places[owner] = StoredNames(page.places[:limit], more)
            limit -= min(limit, len(page.places))
            if more or not limit:
                break
        found = await self._read(
            [
                SessionKey(*owner, SessionId(place.name))
                for owner, page in places.items()
                if isinstance(page, StoredNames)
                for place in page.places
            ]
        )
        return self._by_user(places, found)

    def _by_user(
        self, places: dict[UserKey, StoredNames | CorruptRecord], found: _FoundSessions
    ) -> list[StoredPage | CorruptRecord]:
        """What was found, a page for each user."""
        parts = {owner: _FoundSessions([], [], [], []) for owner in places}
        for key, stored in found.sessions:
            parts[key.owner].sessions.append((key, stored))
        for key in found.corrupt:
            parts[key.owner].corrupt.append(key)
        for key in found.newer:
            parts[key.owner].newer.append(key)
        for key in found.gone:
            parts[key.owner].gone.append(key)
        listed: list[StoredPage | CorruptRecord] = []
        for owner, page in places.items():
            if isinstance(page, CorruptRecord):
                listed.append(page)
                continue
            part = parts[owner]
            if part.gone:  # evicted, or expired
                self._engine.send_nowait(self.prune_call(owner))
                self._engine.send_nowait(self.mend_call(owner, part.gone[:_MENDED]))
            after = page.places[-1] if page.more else None
            listed.append(StoredPage(part.sessions, after, part.corrupt, part.newer))
        return listed

    async def list_recent(
        self, app: AppName, after: IndexPlace | None, limit: int, label: Label | None = None
    ) -> StoredPage:
        """Two round trips a page."""
        indexes = [self._keys.recent(app, shard).by_update for shard in range(SHARDS)]
        if label is not None:
            indexes = [self._keys.labelled(index, label) for index in indexes]
        pages = await gather_in_time(*(self._newest(index, after, limit) for index in indexes))
        places = sorted((place for page in pages for place in page.places), reverse=True)
        more = len(places) > limit or any(page.more for page in pages)
        places = places[:limit]
        met = {key: place for place in places if (key := named(app, place.name))}
        found = await self._read(list(met))
        for key in found.gone[:_MENDED]:  # unless it has been entered again meanwhile
            self._recent.enter(IndexEntry(key, expires=met[key].score, former=as_json(label)))
        for key, stored in found.sessions:
            if not has(stored.head, label):  # of another label by now
                self._recent.enter(entry_of(key, stored.head, as_json(label)))
        return StoredPage(found.sessions, places[-1] if more else None, found.corrupt, found.newer)

    async def _read(self, keys: Sequence[SessionKey]) -> _FoundSessions:
        """Sessions without rows. One round trip, a call for each user."""
        found = _FoundSessions([], [], [], [])
        if not keys:
            return found
        owners: dict[UserKey, list[SessionKey]] = {}
        for key in keys:
            owners.setdefault(key.owner, []).append(key)
        calls = [self._read_call(owner, part) for owner, part in owners.items()]
        _, app_call = self._shared_state.state_calls(keys[0].owner)
        *replies, state = await self._engine.run_all([*calls, app_call])
        read: dict[SessionKey, SessionSnapshot] = {}
        for (owner, part), reply in zip(owners.items(), replies, strict=True):
            ours = user_state(reply.pop())
            shared = await self._shared_state.report(owner, ours, state)
            for key, fields in zip(part, reply, strict=True):
                if not fields:
                    found.gone.append(key)
                    continue
                head, own, flaws, newer = parse_head(fields)
                if newer or ours.newer or state.newer:
                    found.newer.append(key)
                    continue
                if flaws:
                    name = self._keys.session(key).head
                    await self._inspection.report(owner, key.session, "session", name, flaws)
                if head is None:
                    found.corrupt.append(key)
                    continue
                readable = not (flaws or shared)
                read[key] = SessionSnapshot(
                    head, own, ours.pairs, state.pairs, [], 0, readable=readable
                )
        found.sessions.extend((key, read[key]) for key in keys if key in read)
        return found

    def _read_call(self, owner: UserKey, keys: Sequence[SessionKey]) -> Call[list[Any]]:
        """The hashes of sessions of a user, then the user's state."""
        names = [*(self._keys.session(key).head for key in keys), self._keys.user(owner).state]
        return Call(
            name="sessions.list",
            keys=names,
            read=list,
            commands=[("HGETALL", name) for name in names],
            separate_connection=True,
            allow_wrong_type=True,
        )

    def prune_call(self, owner: UserKey) -> Call[int]:
        """Take sessions that have expired out of a user's indexes; gives how many."""
        user = self._keys.user(owner)
        return Call(
            name="sessions.prune",
            keys=(*user[:2], *self._shared_state.policy.notice_keys(user)),
            read=only,
            script=_PRUNE,
            args=self._shared_state.policy.notice_args(),
        )

    def mend_call(
        self, owner: UserKey, keys: Sequence[SessionKey], label: Label | None = None
    ) -> Call[Mended]:
        """Make the indexes true of some sessions; `label` is that in whose set they were met."""

        def read(replies: list[Any]) -> Mended:
            dropped, restored, *fields = replies[0]
            rows = zip(keys, fields[::3], fields[1::3], fields[2::3], strict=True)
            entries = [IndexEntry(*row) for row in rows if row[1] != b"?"]
            return Mended(dropped, restored, entries)

        heads = [self._keys.session(key).head for key in keys]
        return Call(
            name="sessions.sweep",
            keys=(*self._keys.user(owner)[:2], *heads),
            read=read,
            script=_MEND,
            args=[as_json(label), *(key.session for key in keys)],
        )

    async def list_names(
        self, app: str | None, shard: int, after: IndexPlace | None, limit: int
    ) -> StoredNames:
        """One round trip a page."""
        if app is None:
            return await self._page(None, self._keys.apps(), after, limit, parse_app)
        return await self._page(None, self._keys.users(app, shard), after, limit, parse_user)

    async def _newest(self, index: str, after: IndexPlace | None, limit: int) -> StoredNames:
        """As `_page`, from the highest score down. What is no name of a session is passed over."""
        high = "+inf" if after is None else after.score
        size = limit + (1 if after is None else 2)
        while True:
            flat: list[bytes] = await self._engine.run(
                Call(
                    name="sessions.index",
                    keys=(index,),
                    read=only,
                    commands=[
                        ("ZREVRANGEBYSCORE", index, high, "-inf", "WITHSCORES", "LIMIT", 0, size)
                    ],
                )
            )
            found: list[IndexPlace] = []
            for name, score in zip(flat[::2], flat[1::2], strict=True):
                place = IndexPlace(float(score), name.decode(errors="replace"))
                if after is None or place < after:
                    found.append(place)
            if len(found) > limit or len(flat) < 2 * size:
                return StoredNames(found[:limit], len(found) > limit)
            size *= 4

    async def _page(
        self,
        owner: UserKey | None,
        index: str,
        after: IndexPlace | None,
        limit: int,
        parse: Callable[[str], str],
        *,
        newest_first: bool = False,
    ) -> StoredNames:
        """Entries of a sorted set behind a place: those of its score may be on both sides of it.

        Each read begins with that score: from an offset, what others take out in between would make
        it pass over some.
        """
        ends = ("+inf", "-inf") if newest_first else ("-inf", "+inf")
        start = ends[0] if after is None else after.score
        word = "ZREVRANGEBYSCORE" if newest_first else "ZRANGEBYSCORE"
        size = limit + (1 if after is None else 2)
        while True:
            found: list[IndexPlace] = []
            flaws: list[FieldError] = []
            command: Command = (word, index, start, ends[1], "WITHSCORES")
            flat: list[bytes] | Exception = await self._engine.run(
                Call(
                    name="sessions.index",
                    keys=(index,),
                    read=only,
                    commands=[(*command, "LIMIT", 0, size)],
                    allow_wrong_type=True,
                )
            )
            if isinstance(flat, Exception):
                raise await self._inspection.refusal(owner, None, "index", index, [FOREIGN])
            for name, score in zip(flat[::2], flat[1::2], strict=True):
                try:
                    place = IndexPlace(float(score), parse(name.decode()))
                except ValueError:
                    flaws.append(FieldError(field_of(name), "not an id", name))
                    continue
                if after is None or (place < after if newest_first else place > after):
                    found.append(place)
            if len(found) > limit or len(flat) < 2 * size:
                break
            size *= 4
        await self._inspection.report(owner, None, "index", index, flaws)
        return StoredNames(found[:limit], len(found) > limit)
