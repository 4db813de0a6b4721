"""The twin of the store on a server, in this process: same contract, same answers, no network.

Nothing is awaited between a check and its write, so each method is one atomic step of the loop.
"""

from __future__ import annotations

import time
from bisect import insort
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal, TypeVar

from sojourn.caps import CAPS, CEILING
from sojourn.errors import CorruptRecord, SessionExists, SessionNotFound, TooLarge
from sojourn.ids import AppName, SessionKey, UserKey, escape
from sojourn.resilience.atomic import atomic
from sojourn.sessions import archive, refusals
from sojourn.sessions.graves import REMEMBERED, Buried, Fate, Forgotten, anywhere
from sojourn.sessions.rows import event_id, first_seq, wanted
from sojourn.sessions.store import (
    Birth,
    Born,
    Change,
    Delta,
    Head,
    Image,
    Label,
    Listed,
    Named,
    Pairs,
    Place,
    Renamed,
    Rows,
    Stored,
    Tidied,
    Window,
    Write,
    Written,
    has,
)

V = TypeVar("V")

_STORED = "it is as before, and the event or session that set it is stored"

Told = Literal["created", "appended", "updated", "trimmed", "deleted", "expired"]

HORIZON = 1000
"""How many operation ids of a session are remembered."""


@dataclass(slots=True)
class _Session:
    head: Head
    state: dict[str, bytes]
    place: float
    rows: list[bytes] = field(default_factory=list[bytes])
    ids: dict[str, int] = field(default_factory=dict[str, int])
    operations: OrderedDict[str, int] = field(default_factory=OrderedDict[str, int])


@dataclass(slots=True)
class _Shared:
    """State that sessions share, with its own lifetime."""

    values: dict[str, bytes] = field(default_factory=dict[str, bytes])
    expires: float | None = None


@atomic
class InMemorySessions:
    """Sessions in this process, gone with it.

    Args:
        state_ttl: seconds that user and app state outlive their last touch; None for ever.
        max_state_bytes: cap of a state.
        max_events: cap of a log; None for none.
        max_sessions: cap of a user's sessions; None for none.
        clock: seconds since the epoch.
        told: told of every change: whose, what was done, and the version after it.
    """

    def __init__(
        self,
        *,
        state_ttl: float | None,
        max_state_bytes: int,
        max_events: int | None,
        max_sessions: int | None = None,
        clock: Callable[[], float] = time.time,
        told: Callable[[SessionKey, Told, int], None] | None = None,
    ) -> None:
        self._told = told or _nobody
        self._state_ttl = state_ttl
        self._cap = max_state_bytes
        self._max_events = max_events
        self._max_sessions = max_sessions
        self._clock = clock
        self._sessions: dict[SessionKey, _Session] = {}
        self._shared: dict[UserKey | str, _Shared] = {}
        self._operations: dict[UserKey, OrderedDict[str, Renamed | None]] = {}
        self._graves: dict[tuple[Buried, Fate], float] = {}
        self._staged: dict[tuple[SessionKey, str], list[bytes]] = {}

    async def create(self, key: SessionKey, birth: Birth) -> Born:
        """Create a session."""
        now = self._clock()
        if birth.age is not None and (fate := await self.buried(key, birth.age)):
            raise refusals.erased(fate)
        past = self._operations.setdefault(key.owner, OrderedDict())
        session = self._alive(key)
        if session is not None and session.head.incarnation == birth.operation_id:
            return self._born(key, session.head)._replace(repeated=True)
        if session is not None:
            raise refusals.exists(key)
        name = _named("create", key, birth.operation_id)
        if name in past or _named("save", key, birth.operation_id) in past:
            raise refusals.gone(key)
        self.check_birth(key, birth)
        self._check_room(key)
        created = now if birth.created is None else birth.created
        head = Head(
            incarnation=birth.operation_id,
            version=1,
            epoch=0,
            seq=0,
            dropped=0,
            created=created,
            updated=created,
            ttl=birth.life.ttl,
            until=birth.life.end(now),
            expires=None,
        )
        head = head.told(birth.fields).from_now(now)
        self._sessions[key] = _Session(head, dict(birth.state.session), created)
        _remember(past, name, None)
        self._told(key, "created", 1)
        self._set_shared(key, birth.state)
        return self._born(key, head)

    async def ensure(self, key: SessionKey, birth: Birth, window: Window) -> Stored:
        """Create a session unless there is one, and read it."""
        with suppress(SessionExists):
            await self.create(key, birth)
        stored = await self.read(key, window)
        if stored is None:
            raise refusals.missing(key)
        return stored

    def check_birth(self, key: SessionKey, birth: Birth) -> None:
        """Raise what a create would if nothing of it would be stored: TooLarge, InvalidInput."""
        until, now = birth.life.until, self._clock()
        if birth.age is None and until is not None and until <= now:
            raise refusals.past(key, round((now - until) * 1000))
        self._check("state", {}, birth.state.session)
        self._check("user state", self._values(key.owner), birth.state.user)

    async def read(self, key: SessionKey, window: Window) -> Stored | None:
        """A snapshot of a session."""
        session = self._alive(key)
        if session is None:
            return None
        head, places = session.head, wanted(session.head, window)
        rows = session.rows[places.start : places.stop]
        user, app = self._touch(key.owner), self._touch(key.app)
        return Stored(head, dict(session.state), user, app, rows, first_seq(head, rows))

    async def append(
        self, key: SessionKey, rows: Sequence[bytes], delta: Delta, updated: float, write: Write
    ) -> Written:
        """Append rows and set state."""
        repeated = self.admit(key, rows, delta, write)
        if repeated is not None:
            return repeated
        session = self._sessions[key]
        head, name = session.head, f"append:{write.operation_id}"
        session.rows += rows
        session.ids.update(_ids(rows, head.seq + 1))
        session.state.update(delta.session)
        seq, dropped = head.seq + len(rows), head.dropped
        if self._max_events is not None and seq - dropped > self._max_events:
            dropped = seq - self._max_events
            del session.rows[: len(session.rows) - self._max_events]
            session.ids = {name: at for name, at in session.ids.items() if at > dropped}
        written = self._changed(session, name, seq=seq, dropped=dropped, updated=updated)
        self._told(key, "appended", written.version)
        self._set_shared(key, delta)
        return written

    async def begin(self, key: SessionKey, birth: Birth, first: Rows, write: Write) -> Written:
        """Append, to a new session if there is none."""
        if self._alive(key) is None:
            await self.create(key, birth)
        return await self.append(key, *first, write)

    def admit(
        self, key: SessionKey, rows: Sequence[bytes], delta: Delta, write: Write
    ) -> Written | None:
        """Raise what an append would raise; what it would return if it is a repetition."""
        session = self._writable(key, write)
        name = f"append:{write.operation_id}"
        if name in session.operations:
            return Written(session.operations[name], session.head.seq, repeated=True)
        _check_version(key, session.head, write)
        self._check("state", session.state, delta.session)
        self._check("user state", self._values(key.owner), delta.user)
        known = [name for name in _ids(rows, 0) if name in session.ids]
        if known:
            raise refusals.event_exists(len(known), known[-1])
        return None

    async def update(self, key: SessionKey, change: Change, write: Write) -> Written:
        """Set fields or the lifetime."""
        session = self._writable(key, write)
        name = f"update:{write.operation_id}"
        if name in session.operations:
            return Written(session.operations[name], 0, repeated=True)
        _check_version(key, session.head, write)
        head = session.head
        ttl = head.ttl if change.ttl == "keep" else change.ttl
        until = head.until if change.until == "keep" else change.until
        told = head._replace(ttl=ttl, until=until).from_now(self._clock()).told(change.fields)
        if "labels" in change.fields and len(told.labels) > refusals.MAX_LABELS:
            raise refusals.too_many_labels(len(told.labels))
        session.head = told
        if change.is_touch:
            return Written(head.version, 0, repeated=False)
        written = self._changed(session, name, updated=self._clock())
        self._told(key, "updated", written.version)
        return written._replace(seq=0)

    async def save(self, key: SessionKey, image: Image, write: Write) -> Written:
        """Put a session in the place of what is there, or make it."""
        now, name = self._clock(), f"save:{write.operation_id}"
        past = self._operations.setdefault(key.owner, OrderedDict())
        born = _named("save", key, write.operation_id)
        session = self._alive(key)
        if session is not None:
            self._writable(key, write)
            if name in session.operations:
                return Written(session.operations[name], session.head.seq, repeated=True)
            if born in past:
                raise refusals.gone(key)
            _check_version(key, session.head, write)
        elif write.incarnation or not image.new:
            raise self._missing(key, write)
        elif born in past or _named("create", key, write.operation_id) in past:
            raise refusals.gone(key)
        elif write.expected:
            raise refusals.missing(key)
        self._check("state", {}, image.state)
        if session is None:
            self._check_room(key)
            head = Head(write.operation_id, 0, -1, 0, 0, now, now, image.ttl, None)
            session = self._sessions[key] = _Session(head, {}, now)
        _remember(past, born, None)
        head, change = session.head, image.change
        head = head._replace(
            ttl=head.ttl if change.ttl == "keep" else change.ttl,
            until=head.until if change.until == "keep" else change.until,
        )
        seq = len(image.rows)
        dropped = 0 if self._max_events is None else max(0, seq - self._max_events)
        session.head = head._replace(fields={}).from_now(now).told(change.fields)
        if head.log_id:
            session.head = session.head._replace(log_id=head.log_id)
        session.state, session.rows = dict(image.state), list(image.rows[dropped:])
        session.ids = _ids(session.rows, dropped + 1)
        written = self._changed(
            session, name, seq=seq, dropped=dropped, epoch=head.epoch + 1, updated=now
        )
        self._told(key, "created" if written.version == 1 else "updated", written.version)
        return written

    async def trim(self, key: SessionKey, drop: int, keep: int | None, write: Write) -> Written:
        """Cut rows off at the end and at the front."""
        session = self._writable(key, write)
        head, name = session.head, f"trim:{write.operation_id}"
        if name in session.operations:
            return Written(session.operations[name], head.seq, repeated=True)
        _check_version(key, head, write)
        behind = min(drop, head.seq - head.dropped)
        left = head.seq - head.dropped - behind
        front = 0 if keep is None else max(0, left - keep)
        del session.rows[max(0, len(session.rows) - behind) :]
        del session.rows[:front]
        seqs = range(head.dropped + front + 1, head.seq - behind + 1)
        session.ids = {name: at for name, at in session.ids.items() if at in seqs}
        written = self._changed(
            session,
            name,
            seq=head.seq - behind,
            dropped=head.dropped + front,
            epoch=head.epoch + (behind > 0),
            updated=self._clock(),
        )
        self._told(key, "trimmed", written.version)
        return written

    async def delete(self, key: SessionKey, write: Write) -> bool:
        """Delete a session."""
        past = self._operations.setdefault(key.owner, OrderedDict())
        deleted, missed = (_named(what, key, write.operation_id) for what in ("delete", "missed"))
        if deleted in past or missed in past:
            return deleted in past
        session = self._alive(key)
        found = session is not None and write.incarnation in ("", session.head.incarnation)
        _remember(past, deleted if found else missed, None)
        if session is not None and found:
            del self._sessions[key]
            self._told(key, "deleted", session.head.version)
        return found

    async def rotate(
        self, key: SessionKey, new: SessionKey, incarnation: str, write: Write
    ) -> Renamed:
        """Give a session another id."""
        past = self._operations.setdefault(key.owner, OrderedDict())
        name = _named("rotate", key, write.operation_id)
        done = past.get(name)
        if done is not None:
            return done._replace(repeated=True)
        session = self._writable(key, write)
        if self._alive(new) is not None:
            raise refusals.exists(new)
        done = Renamed(new.session, incarnation)
        _remember(past, name, done)
        _remember(past, _named("rotated-from", key, session.head.incarnation), None)
        self._sessions[new] = self._sessions.pop(key)
        session.head = session.head._replace(incarnation=incarnation)
        session.place = max(session.place, self._clock())
        self._told(key, "deleted", session.head.version)
        self._told(new, "created", session.head.version)
        return done

    async def list_sessions(
        self,
        owner: UserKey,
        after: Place | None,
        limit: int,
        label: Label | None = None,
        *,
        newest_first: bool = False,
    ) -> Listed:
        """A page of a user's sessions."""
        order: list[tuple[Place, SessionKey]] = []
        for key in list(self._sessions):
            session = self._alive(key) if key.owner == owner else None
            if session is not None and has(session.head, label):
                insort(order, (Place(session.place, key.session), key))
        return self._listed(*_page(order, after, limit, newest_first=newest_first))

    async def list_ids(self, owner: UserKey, after: Place | None, limit: int) -> Named:
        """A page of the ids of a user's sessions."""
        page = await self.list_sessions(owner, after, limit)
        found = [Place(self._sessions[key].place, key.session) for key, _ in page.sessions]
        return Named(found, page.after is not None)

    async def list_users(
        self, users: Sequence[tuple[UserKey, Place | None]], limit: int
    ) -> Sequence[Listed | CorruptRecord]:
        """Pages of several users, one after the other."""
        order: dict[UserKey, list[tuple[Place, SessionKey]]] = {owner: [] for owner, _ in users}
        for key in list(self._sessions):
            session = self._alive(key) if key.owner in order else None
            if session is not None:
                insort(order[key.owner], (Place(session.place, key.session), key))
        pages: list[Listed] = []
        for owner, after in users:
            page = self._listed(*_page(order[owner], after, limit))
            pages.append(page)
            limit -= len(page.sessions)
            if page.after is not None or not limit:
                break
        return pages

    async def list_recent(
        self, app: AppName, after: Place | None, limit: int, label: Label | None = None
    ) -> Listed:
        """A page of an app's sessions, newest first."""
        order: list[tuple[Place, SessionKey]] = []
        for key in list(self._sessions):
            session = self._alive(key) if key.app == app else None
            if session is not None and has(session.head, label):
                name = f"{escape(key.user)}:{escape(key.session)}"
                order.append((Place(session.place, name), key))
        order.sort()
        return self._listed(*_page(order, after, limit, newest_first=True))

    def _listed(self, page: Sequence[tuple[Place, SessionKey]], more: bool) -> Listed:
        sessions = [(key, self._without_rows(key)) for _, key in page]
        return Listed(sessions, page[-1][0] if more else None)

    def _without_rows(self, key: SessionKey) -> Stored:
        session = self._sessions[key]
        user, app = self._values(key.owner), self._values(key.app)
        return Stored(session.head, dict(session.state), user, app, [], 0)

    async def list_names(
        self, app: str | None, shard: int, after: Place | None, limit: int
    ) -> Named:
        """A page of users or apps; all in the first shard."""
        alive: list[SessionKey | UserKey] = [
            key for key in list(self._sessions) if self._alive(key) is not None
        ]
        shared = [of for of in list(self._shared) if self._values(of)]
        alive += [of for of in shared if isinstance(of, UserKey)]
        apps = {key.app for key in alive} | {of for of in shared if isinstance(of, str)}
        names: set[str] = {key.user for key in alive if key.app == app} if app else {*apps}
        order = [(Place(inf, name), name) for name in sorted(names)] if shard == 0 else []
        page, more = _page(order, after, limit)
        return Named([place for place, _ in page], more)

    async def shared_state(self, owner: UserKey) -> tuple[Pairs, Pairs]:
        """The state of a user and of its app."""
        return dict(self._values(owner)), dict(self._values(owner.app))

    async def tidy(self, owner: UserKey) -> Tidied:
        """Forget the user's sessions that have expired."""
        ours = [key for key in self._sessions if key.owner == owner]
        return Tidied(sum(self._alive(key) is None for key in ours), 0, 0, 0)

    async def tidy_recent(self, app: AppName, shard: int) -> int:  # noqa: ARG002 - the protocol's
        """There is no index that could be wrong."""
        return 0

    async def count(self, owner: UserKey) -> int:
        """How many sessions a user has."""
        ours = [key for key in self._sessions if key.owner == owner]
        return sum(self._alive(key) is not None for key in ours)

    async def bury(self, what: Buried, fate: Fate) -> float:
        """Let no create that waits now come to life later."""
        now = self._clock()
        kept = {each: since for each, since in self._graves.items() if since > now - REMEMBERED}
        self._graves = {**kept, (what, fate): now}
        return now

    async def buried(self, key: SessionKey, age: float) -> Fate | None:
        """Whether a session, its user or its app was revoked or forgotten in the last `age` s."""
        made = self._clock() - max(0.0, age)
        fates: tuple[Fate, ...] = ("forgotten", "revoked")
        for fate in fates:
            for each in (key, key.owner, str(key.app), anywhere(key.user)):
                if self._graves.get((each, fate), -inf) >= made:
                    return fate
        return None

    async def was_appended(
        self,
        key: SessionKey,  # noqa: ARG002 - nothing of a store in memory waits
        operation_id: str,  # noqa: ARG002
        ids: Sequence[str],  # noqa: ARG002
    ) -> bool:
        """Never: what a store in memory has taken, nobody replays."""
        return False

    async def forget(self, owner: UserKey) -> Forgotten:
        """Delete all that is kept of a user."""
        ours = [key for key in self._sessions if key.owner == owner]
        gone = [session for key in ours if (session := self._alive(key)) is not None]
        done = Forgotten(
            sessions=len(gone),
            events=sum(len(session.rows) for session in gone),
            operations=sum(len(session.operations) for session in gone)
            + len(self._operations.get(owner, ())),
            user_state=len(self._values(owner)),
        )
        for key in ours:
            self._sessions.pop(key, None)
        for key, name in [each for each in self._staged if each[0].owner == owner]:
            del self._staged[key, name]
        self._shared.pop(owner, None)
        self._operations.pop(owner, None)
        return done

    def apps_of(self, user: str) -> set[str]:
        """The apps in which something is kept of a user."""
        owners = {key.owner for key in self._sessions} | set(self._operations)
        owners |= {key for key in self._shared if isinstance(key, UserKey)}
        return {owner.app for owner in owners if owner.user == user}

    # ── out and in, as it is stored ────────────────────────────────────────────────────────────

    async def find(self, key: SessionKey) -> Stored | None:
        """A session with its own state and no rows."""
        session = self._alive(key)
        return None if session is None else Stored(session.head, dict(session.state), {}, {}, [], 0)

    async def stretch(
        self, key: SessionKey, first: int, most: int, size: int
    ) -> archive.Stretch | None:
        """Rows from a number on."""
        session = self._alive(key)
        if session is None:
            return None
        head = session.head
        first = max(first, head.dropped + 1)
        start, rows = first - head.dropped - 1, list[bytes]()
        for row in session.rows[start : start + most]:
            rows.append(row)
            size -= len(row)
            if size <= 0:
                break
        return archive.Stretch(head.incarnation, head.epoch, head.dropped, 0, head.seq, first, rows)

    async def stage(
        self,
        key: SessionKey,
        name: str,
        dropped: int,  # noqa: ARG002 - a server indexes ids by it
        before: int,
        rows: Sequence[bytes],
    ) -> int:
        """Keep rows of a log that is not there yet."""
        staged = self._staged.setdefault((key, name), [])
        if len(staged) >= before:
            staged += rows[len(staged) - before :]
        return len(staged)

    async def restore(
        self, key: SessionKey, image: archive.Image, *, replace: bool
    ) -> archive.Outcome:
        """Write a session in one step."""
        head, now = image.head, self._clock()
        there = self._alive(key)
        if there is not None and there.head.incarnation == head.incarnation:
            return "restored"
        past = self._operations.setdefault(key.owner, OrderedDict())
        born = _named("save", key, head.incarnation)
        if born in past:
            raise refusals.gone(key)
        if head.expires is not None and head.expires <= now:
            return "expired"
        if there is not None and not replace:
            return "exists"
        self._check("state", {}, image.state, cap=CEILING.state)
        if there is None:
            self._check_room(key)
        staged = self._staged.pop((key, image.staged), [])
        if len(staged) != image.before:
            raise refusals.incomplete(key, image.before, len(staged))
        rows = [*staged, *image.rows]
        self._sessions[key] = _Session(
            head._replace(epoch=0),
            dict(image.state),
            head.updated,
            rows,
            _ids(rows, head.dropped + 1),
        )
        _remember(past, born, None)
        self._told(key, "created" if there is None else "updated", head.version)
        return "restored"

    async def expire(
        self, key: SessionKey, incarnation: str, version: int, ttl: float | None, at: float | None
    ) -> None:
        """Set when a session expires."""
        write = Write("", incarnation, version)
        session = self._writable(key, write)
        _check_version(key, session.head, write)
        ends = [end for end in (session.head.until, at) if end is not None]
        session.head = session.head._replace(ttl=ttl, expires=min(ends, default=None))

    async def clock(self) -> float:
        """What the time is here."""
        return self._clock()

    async def shared(self, of: UserKey | AppName) -> archive.Shared:
        """The state of a user or an app."""
        values = self._values(of)
        return archive.Shared(dict(values), self._shared[of].expires if values else None)

    async def reinstate(
        self, of: UserKey | AppName, pairs: Pairs, expires: float | None, *, replace: bool
    ) -> archive.Outcome:
        """Write the state of a user or an app in one step."""
        if expires is not None and expires <= self._clock():
            return "expired"
        if self._values(of) and not replace:
            return "exists"
        self._check("state", {}, pairs, cap=CEILING.state)
        self._shared[of] = _Shared(dict(pairs), expires)
        return "restored"

    # ── going on with what was loaded elsewhere ───────────────────────────────────────────────

    def adopt(self, key: SessionKey, stored: Stored) -> None:
        """Hold a session as a store gave it. Its log begins with the first row that came along."""
        head = stored.head._replace(dropped=stored.head.seq - len(stored.rows))
        rows = list(stored.rows)
        ids = _ids(rows, head.dropped + 1)
        self._sessions[key] = _Session(head, dict(stored.state), head.updated, rows, ids)
        for name, values in ((key.owner, stored.user), (key.app, stored.app)):
            if not self._values(name):
                self._shared[name] = _Shared(dict(values), self._shared_expiry())

    def head(self, key: SessionKey) -> Head | None:
        """The fields of a session, or None when there is none."""
        session = self._alive(key)
        return None if session is None else session.head

    def clear(self) -> None:
        """Forget everything."""
        self._sessions.clear()
        self._shared.clear()
        self._operations.clear()

    # ── steps ──────────────────────────────────────────────────────────────────────────────────

    def _born(self, key: SessionKey, head: Head) -> Born:
        user, app = dict(self._values(key.owner)), dict(self._values(key.app))
        return Born(head.created, head.expires, head.until, user, app)

    def _alive(self, key: SessionKey) -> _Session | None:
        session = self._sessions.get(key)
        if session is None or session.head.expires is None:
            return session
        if session.head.expires > self._clock():
            return session
        del self._sessions[key]
        self._told(key, "expired", 0)
        return None

    def _writable(self, key: SessionKey, write: Write) -> _Session:
        session = self._alive(key)
        if session is None or write.incarnation not in ("", session.head.incarnation):
            raise self._missing(key, write)
        return session

    def _missing(self, key: SessionKey, write: Write) -> SessionNotFound:
        past: Mapping[str, object] = self._operations.get(key.owner, {})
        if write.incarnation and _named("rotated-from", key, write.incarnation) in past:
            return refusals.rotated(key)
        return refusals.missing(key)

    def _changed(self, session: _Session, name: str, **fields: Any) -> Written:
        head, now = session.head, self._clock()
        if head.expires is None or head.ttl is None or head.expires < now + head.ttl:
            head = head.from_now(now)
        session.head = head._replace(version=head.version + 1, **fields)
        session.place = max(session.place, session.head.updated)
        _remember(session.operations, name, session.head.version)
        return Written(session.head.version, session.head.seq, repeated=False)

    def _check_room(self, key: SessionKey) -> None:
        if self._max_sessions is None:
            return
        ours = [each for each in self._sessions if each.owner == key.owner]
        count = sum(self._alive(each) is not None for each in ours)
        if count >= self._max_sessions:
            raise refusals.full(key, count)

    def _values(self, name: UserKey | str) -> dict[str, bytes]:
        shared = self._shared.get(name)
        if shared is None:
            return {}
        if shared.expires is not None and shared.expires <= self._clock():
            del self._shared[name]
            return {}
        return shared.values

    def _touch(self, name: UserKey | str) -> dict[str, bytes]:
        values = self._values(name)
        if values:
            self._shared[name].expires = self._shared_expiry()
        return dict(values)

    def _shared_expiry(self) -> float | None:
        return None if self._state_ttl is None else self._clock() + self._state_ttl

    def _set_shared(self, key: SessionKey, delta: Delta) -> None:
        names: tuple[tuple[UserKey | str, Pairs], ...] = (
            (key.owner, delta.user),
            (key.app, delta.app),
        )
        for name, pairs in names:
            if name == key.app:  # on a server the app's state is a step of its own, after the rest
                self._check("app state", self._values(key.app), pairs, _STORED)
            if pairs:
                values = {**self._values(name), **pairs}
                self._shared[name] = _Shared(values, self._shared_expiry())

    def _check(
        self,
        what: str,
        old: Pairs,
        new: Pairs,
        left: str = "nothing was written",
        cap: int | None = None,
    ) -> None:
        most = self._cap if cap is None else cap
        size = _size({**old, **new})
        if new and size > most:
            raise TooLarge(
                f"The {what}", size, most, "max_state_bytes" if cap is None else "", left
            )
        keys = len({*old, *new})
        if len(old) < keys > CAPS.state_keys:
            raise TooLarge(f"The {what}", keys, CAPS.state_keys, "", left, unit="keys")


def _ids(rows: Sequence[bytes], seq: int) -> dict[str, int]:
    """Where the events of some rows stand, by their ids; the first is number `seq`."""
    found: dict[str, int] = {}
    for place, row in enumerate(rows, seq):
        with suppress(ValueError):  # one that cannot be read has none
            found[event_id(row)] = place
    return found


def _nobody(_key: SessionKey, _what: Told, _version: int) -> None:
    pass


def _size(pairs: Pairs) -> int:
    return sum(len(name.encode()) + len(value) for name, value in pairs.items())


def _check_version(key: SessionKey, head: Head, write: Write) -> None:
    if write.expected is not None and write.expected != head.version:
        raise refusals.stale(key, actual=head.version, expected=write.expected)


def _named(what: str, key: SessionKey, operation: str) -> str:
    return f"{what}:{len(key.session)}:{key.session}:{operation}"


def _remember(operations: OrderedDict[str, V], name: str, value: V) -> None:
    operations[name] = value
    if len(operations) > HORIZON:
        operations.popitem(last=False)


def _page(
    order: Sequence[tuple[Place, V]],
    after: Place | None,
    limit: int,
    *,
    newest_first: bool = False,
) -> tuple[list[tuple[Place, V]], bool]:
    if newest_first:
        rest = [entry for entry in reversed(order) if after is None or entry[0] < after]
    else:
        rest = [entry for entry in order if after is None or entry[0] > after]
    return rest[:limit], len(rest) > limit
