"""What users of the sessions room call."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

import msgspec

from sojourn.codecs import decode, encode
from sojourn.errors import (
    CorruptRecord,
    InvalidInput,
    InvalidValue,
    SessionNotFound,
    TooLarge,
)
from sojourn.ids import SessionKey, UserKey, new_operation_id, new_session_id, parse_app, user_key
from sojourn.sessions import scope
from sojourn.sessions.cursor import Cursor
from sojourn.sessions.model import Appended, Event, NamePage, Session, SessionPage
from sojourn.sessions.nearcache import Known, NearCache, NearCacheStats, weight
from sojourn.sessions.rows import NewRow, Row, decode_row, encode_row
from sojourn.sessions.store import (
    Birth,
    Change,
    Delta,
    Pairs,
    SessionStore,
    Stored,
    Window,
    Write,
)

E = TypeVar("E")

Keep = Literal["keep"]
KEEP: Final[Keep] = "keep"

_CHUNK = 200
"""Events decoded before other tasks have their turn."""
_FIRST_LOOK = 64
"""Events read from the end when looking for a time."""


class View(NamedTuple, Generic[E]):
    """How events look to a caller.

    Attributes:
        name: tells views apart in the near-cache.
        decode: makes an event from a stored row.
        copy: a light copy for a caller, so that nobody changes what others see.
        time_of: when an event happened, seconds since the epoch.
    """

    name: str
    decode: Callable[[Row], E]
    copy: Callable[[E], E]
    time_of: Callable[[E], float]


def _event(row: Row) -> Event:
    return Event(
        author=row.author,
        payload=decode(bytes(row.payload)),
        kind=row.kind,
        id=row.id,
        time=row.time,
        state_delta=decode(bytes(row.state_delta)),
        seq=row.seq,
    )


EVENTS: Final = View("sojourn", _event, lambda event: event, lambda event: event.time)


class Limits(NamedTuple):
    """What `sojourn.open` was told.

    Attributes:
        session_ttl: seconds a session lives after its last change; None for ever.
        max_event_bytes: the largest event, as JSON.
        shards: among how many index entries the store spreads an app's users.
        cache_bytes: the size of the near-cache.
    """

    session_ttl: float | None
    max_event_bytes: int
    shards: int
    cache_bytes: int


class Sessions:
    """The sessions of a store. Made by `sojourn.open`, as `store.sessions`.

    Every method may also raise `Unavailable` and its kin when no server answers in time, and
    `OutcomeUnknown` when a write was sent and its reply never came.
    """

    def __init__(self, store: SessionStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._cache = NearCache(limits.cache_bytes)

    async def create(
        self,
        app: str,
        user: str,
        session: str | None = None,
        *,
        state: Mapping[str, Any] | None = None,
        ttl: float | Keep | None = KEEP,
        title: str = "",
        status: str = "active",
        metadata: Mapping[str, Any] | None = None,
        created: float | None = None,
        operation_id: str | None = None,
    ) -> Session[Event]:
        """Create a session. One round trip; one more for a user's first, or with `app:` state.

        Args:
            app: the application.
            user: the user.
            session: its id; 128 random bits if not given.
            state: its first state, with `user:` and `app:` keys as in `Event.state_delta`.
            ttl: seconds it lives after each change, instead of the store's; None for ever.
            title: a name for people.
            status: a word of the application's.
            metadata: JSON of the application's.
            created: seconds since the epoch; the server's clock if not given.
            operation_id: repeat a create with the same id and it takes effect once.

        Raises:
            InvalidInput: an id, the state or the metadata; nothing was sent.
            TooLarge: the state is over its cap.
            SessionExists: the id is taken; no state was touched.
            Conflict: this very operation created it before, and it is gone since.
        """
        key = SessionKey.of(app, user, new_session_id() if session is None else session)
        birth = Birth(
            operation_id=_operation(operation_id),
            created=_instant(created, "created"),
            ttl=_lifetime(self._limits.session_ttl if ttl == KEEP else ttl),
            title=_text(title, "title"),
            status=_text(status, "status"),
            metadata=_object(metadata or {}, "The metadata"),
            state=_delta(state or {}),
        )
        born = await self._store.create(key, birth)
        if born.repeated and (now := await self.get(key, last=0)) is not None:
            return now
        return Session(
            key=key,
            incarnation=birth.operation_id,
            version=1,
            created=born.created,
            updated=born.created,
            ttl=birth.ttl,
            expires=born.expires,
            title=title,
            status=status,
            metadata=decode(birth.metadata),
            state=_state(birth.state.session, born.user, born.app),
            events=[],
            length=0,
        )

    async def get(
        self,
        key: SessionKey,
        *,
        last: int | None = None,
        since: float | None = None,
        after: int | None = None,
        view: View[E] = EVENTS,
    ) -> Session[E] | None:
        """A session with its events, or None when there is none. One round trip.

        With none of the filters all events are read; what this process has decoded before is not
        read again. Filters narrow each other: `last` counts before `since` cuts.

        Args:
            key: which session.
            last: only this many events from the end; 0 for none.
            since: only the events behind the last one that is older than this time, in seconds
                since the epoch; a round trip for each fourfold of what `last` would have read.
            after: only the events whose `seq` is greater.
            view: how events look; `Event` if not given.

        Raises:
            InvalidInput: a negative filter.
            CorruptRecord: something stored cannot be read.
        """
        _count(last, "last")
        _count(after, "after")
        _instant(since, "since")
        if since is not None:
            return await self._since(key, since, last, view)
        stored, events = await self._read(key, last, view)
        if stored is None:
            return None
        if after is not None:
            first = stored.head.seq - len(events) + 1
            events = events[max(0, after - first + 1) :]
        return _session(key, stored, [view.copy(event) for event in events])

    async def append(
        self,
        key: SessionKey,
        *events: Event,
        incarnation: str = "",
        expected_version: int | None = None,
        operation_id: str | None = None,
    ) -> Appended:
        """Append events, in order, and apply their state deltas, all or nothing.

        One round trip at any length of the log; one more when a delta touches `app:` state. Other
        writers do not make it fail, unless `expected_version` asks for that.

        Args:
            key: to which session.
            events: at least one.
            incarnation: the session must still be this one (`Session.incarnation`).
            expected_version: the session must still be of this version (`Session.version`).
            operation_id: repeat an append with the same id and it takes effect once, for the last
                1,000 writes of the session and 24 h.

        Raises:
            InvalidInput: no event, or one that JSON cannot hold; nothing was sent.
            TooLarge: an event, or the state it leads to, is over its cap; nothing was written. (For
                `app:` state the events are stored and only the app's state is as before.)
            SessionNotFound: deleted, expired, or not this incarnation; it is not revived.
            StaleSession: not the expected version.
        """
        if not events:
            raise InvalidInput("append() needs at least one event.")
        rows = [self._row(event) for event in events]
        delta: dict[str, Any] = {}
        for event in events:
            delta.update(event.state_delta)
        write = Write(_operation(operation_id), incarnation, _count(expected_version, "version"))
        written = await self._store.append(key, rows, _delta(delta), events[-1].time, write)
        first = written.seq - len(rows) + 1
        seqs = range(0) if written.repeated else range(first, written.seq + 1)
        return Appended(written.version, seqs, written.repeated)

    async def update(
        self,
        key: SessionKey,
        *,
        title: str | None = None,
        status: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        ttl: float | Keep | None = KEEP,
        expected_version: int | None = None,
        operation_id: str | None = None,
    ) -> int:
        """Change fields of a session; what is not given stays. One round trip.

        Returns:
            the version after it.

        Raises:
            InvalidInput: nothing to change, or a value that cannot be stored.
            SessionNotFound: there is none; it is not created.
            StaleSession: not the expected version.
        """
        fields: dict[str, bytes] = {}
        if title is not None:
            fields["title"] = _text(title, "title").encode()
        if status is not None:
            fields["status"] = _text(status, "status").encode()
        if metadata is not None:
            fields["metadata"] = _object(metadata, "The metadata")
        if not fields and ttl == KEEP:
            raise InvalidInput("update() needs a title, status, metadata or ttl to set.")
        change = Change(fields, ttl if ttl == KEEP else _lifetime(ttl))
        write = Write(_operation(operation_id), expected=_count(expected_version, "version"))
        return (await self._store.update(key, change, write)).version

    async def touch(self, key: SessionKey) -> bool:
        """Let a session live for its TTL from now; whether there is one. One round trip."""
        try:
            await self._store.update(key, Change({}), Write(new_operation_id()))
        except SessionNotFound:
            return False
        return True

    async def delete(
        self, key: SessionKey, *, incarnation: str = "", operation_id: str | None = None
    ) -> bool:
        """Delete a session and its events; user and app state stay. One round trip.

        Args:
            key: which session. Deleting what is not there is no error.
            incarnation: only if it is still this one.
            operation_id: repeat a delete with the same id and a successor is safe from it.

        Returns:
            whether there was one.
        """
        return await self._store.delete(key, Write(_operation(operation_id), incarnation))

    async def list(
        self, app: str, user: str | None = None, *, limit: int = 100, cursor: str | None = None
    ) -> SessionPage:
        """A page of the sessions of a user, or of an app: with state, without events.

        It is no snapshot: a session updated between two pages may be seen again, none is missed.
        Two round trips a page for a user; for an app two for each user on the page, and one for
        each sixteenth of its users.

        Args:
            app: the application.
            user: only this user's; the empty string is a user like any other. None for all.
            limit: how many at most.
            cursor: `SessionPage.cursor` of the page before.

        Raises:
            InvalidInput: a limit under 1, or a cursor that is none of this listing.
        """
        _at_least_one(limit)
        start = Cursor.parse(cursor)
        if user is not None:
            owner = user_key(app, user)
            page = await self._store.list(owner, start.session, limit)
            end = None if page.after is None else Cursor(session=page.after).text()
            return SessionPage([_session(key, stored, []) for key, stored in page.sessions], end)
        return await self._list_app(app, start, limit)

    async def users(
        self, app: str, *, limit: int = 1000, cursor: str | None = None
    ) -> NamePage:
        """A page of the users of an app, some of whom may have no session any more.

        One round trip for each of the sixteen parts of the index that the page touches.
        """
        _at_least_one(limit)
        place = Cursor.parse(cursor)
        names: list[str] = []
        shard, after = place.shard, place.name
        while shard < self._limits.shards and len(names) < limit:
            page = await self._store.names(parse_app(app), shard, after, limit - len(names))
            names += page.names
            after = page.after
            shard += after is None
        done = shard >= self._limits.shards
        return NamePage(names, None if done else Cursor(shard=shard, name=after).text())

    async def apps(self, *, limit: int = 1000, cursor: str | None = None) -> NamePage:
        """A page of the apps, some of which may have no session any more. One round trip."""
        _at_least_one(limit)
        page = await self._store.names(None, 0, Cursor.parse(cursor).name, limit)
        return NamePage(page.names, page.after and Cursor(name=page.after).text())

    async def user_state(self, app: str, user: str) -> dict[str, Any]:
        """The state of a user, keys without `user:`; empty when there is none. One round trip."""
        pairs, _ = await self._store.shared_state(user_key(app, user))
        return _values(pairs)

    def cache_stats(self) -> NearCacheStats:
        """Figures of the near-cache of decoded events."""
        return self._cache.stats()

    # ── reading ────────────────────────────────────────────────────────────────────────────────

    async def _read(
        self, key: SessionKey, last: int | None, view: View[E]
    ) -> tuple[Stored | None, list[E]]:
        """The last `last` events (None: all): what is known already, and what came since."""
        known = self._cache.find(key, view.name)
        if known is not None and last != 0 and known.covers(last):
            stored = await self._store.read(key, Window(start=known.last_index))
            if stored is not None and known.continued_by(stored):
                new = await self._decoded(key, stored.rows[1:], view)
                events = known.events + new
                if new:
                    size = known.size + weight(stored.rows[1:])
                    run = Known(stored.head, known.first, events, stored.rows[-1], size)
                    self._cache.keep(key, view.name, run)
                self._cache.hit()
                complete = known.first == stored.head.dropped + 1 or last is not None
                wanted = events if last is None else events[-last:]
                return stored._replace(complete=complete), wanted
            self._cache.drop(key, view.name)
        stored = await self._store.read(key, Window(last=last))
        if stored is None:
            self._cache.drop(key, view.name)
            return None, []
        events = await self._decoded(key, stored.rows, view)
        self._cache.miss()
        if stored.rows and stored.complete:
            rows = stored.rows
            run = Known(stored.head, stored.first, events, rows[-1], weight(rows))
            self._cache.keep(key, view.name, run)
        return stored, events

    async def _decoded(self, key: SessionKey, rows: Sequence[bytes], view: View[E]) -> list[E]:
        name = "/".join(key)
        events: list[E] = []
        for start in range(0, len(rows), _CHUNK):
            if start:
                await asyncio.sleep(0)
            chunk = rows[start : start + _CHUNK]
            events += [view.decode(decode_row(row, name)) for row in chunk]
        return events

    async def _since(
        self, key: SessionKey, since: float, last: int | None, view: View[E]
    ) -> Session[E] | None:
        """Look further back until an event is older, or there are no more."""
        look = _FIRST_LOOK if last is None else min(last, _FIRST_LOOK)
        while True:
            stored, events = await self._read(key, look, view)
            if stored is None:
                return None
            older = [i for i, event in enumerate(events) if view.time_of(event) < since]
            most = stored.head.seq - stored.head.dropped if last is None else last
            if older or look >= most or len(events) < look:
                found = events[older[-1] + 1 :] if older else events
                return _session(key, stored, [view.copy(event) for event in found])
            look = min(look * 4, most)

    async def _list_app(self, app: str, start: Cursor, limit: int) -> SessionPage:
        """Walk the users, and each user's sessions, until the page is full."""
        sessions: list[Session[Any]] = []
        place = start
        while place.shard < self._limits.shards:
            users = await self._store.names(parse_app(app), place.shard, place.name, 1)
            if not users.names:
                place = Cursor(shard=place.shard + 1)
                continue
            owner = UserKey(parse_app(app), user_key(app, users.names[0]).user)
            page = await self._store.list(owner, place.session, limit - len(sessions))
            sessions += [_session(key, stored, []) for key, stored in page.sessions]
            if page.after is not None:
                return SessionPage(sessions, place._replace(session=page.after).text())
            place = (
                Cursor(shard=place.shard + 1)
                if users.after is None
                else Cursor(shard=place.shard, name=users.after)
            )
            if len(sessions) >= limit:
                break
        done = place.shard >= self._limits.shards
        return SessionPage(sessions, None if done else place.text())

    def _row(self, event: Event) -> bytes:
        payload = event.payload
        if not isinstance(payload, msgspec.Raw):
            payload = msgspec.Raw(encode(payload, "The payload of an event"))
        stored_delta = {
            name: value
            for name, value in event.state_delta.items()
            if not name.startswith(scope.TEMP)
        }
        row = encode_row(
            NewRow(
                id=_text(event.id, "event id"),
                time=_instant(event.time, "time of an event") or 0.0,
                author=_text(event.author, "author"),
                kind=_text(event.kind, "kind of event"),
                payload=payload,
                state_delta=msgspec.Raw(_object(stored_delta, "A state delta"))
                if stored_delta
                else None,
            )
        )
        if len(row) > self._limits.max_event_bytes:
            raise TooLarge("An event", len(row), self._limits.max_event_bytes, "max_event_bytes")
        return row


# ── between what callers give and what stores keep ─────────────────────────────────────────────


def _delta(values: Mapping[str, Any]) -> Delta:
    parts = scope.split(values)
    return Delta(_pairs(parts.session), _pairs(parts.user), _pairs(parts.app))


def _pairs(values: Mapping[str, Any]) -> dict[str, bytes]:
    return {
        _text(name, "state key"): encode(value, f"The state value {name!r}")
        for name, value in values.items()
    }


def _values(pairs: Pairs) -> dict[str, Any]:
    return {name: decode(value) for name, value in pairs.items()}


def _state(session: Pairs, user: Pairs, app: Pairs) -> dict[str, Any]:
    return _values(scope.merge(session, user, app))


def _session(key: SessionKey, stored: Stored, events: list[E]) -> Session[E]:
    head = stored.head
    try:
        metadata = decode(head.metadata)
        state = _state(stored.state, stored.user, stored.app)
    except ValueError as error:
        raise CorruptRecord(
            f"State or metadata of session {key.session!r} cannot be read: {error}.",
            key="/".join(key),
            raw=b"\n".join([head.metadata, *stored.state.values()]),
        ) from error
    return Session(
        key=key,
        incarnation=head.incarnation,
        version=head.version,
        created=head.created,
        updated=head.updated,
        ttl=head.ttl,
        expires=head.expires,
        title=head.title,
        status=head.status,
        metadata=metadata,
        state=state,
        events=events,
        length=head.seq,
        complete=stored.complete,
    )


# ── what is refused before anything is sent ────────────────────────────────────────────────────


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"A {what} must be a string, not {type(value).__name__}.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidValue(f"A {what} is not valid Unicode text: {error.reason}.") from error
    return value


def _object(value: Mapping[str, Any], what: str) -> bytes:
    return encode(dict(value), what)


def _operation(given: str | None) -> str:
    if given is None:
        return new_operation_id()
    if not given or len(given) > 128:
        raise InvalidInput("An operation_id has 1 to 128 characters.")
    return _text(given, "operation_id")


def _instant(value: float | None, what: str) -> float | None:
    if value is not None and not math.isfinite(value):
        raise InvalidValue(f"The {what} must be a finite number of seconds, not {value!r}.")
    return value


def _lifetime(seconds: float | None) -> float | None:
    if seconds is not None and not 0.001 <= seconds <= 10**10:
        raise InvalidInput(
            f"A ttl of {seconds!r} s is not a lifetime: give seconds above zero, or None for ever."
        )
    return seconds


def _count(value: int | None, what: str) -> int | None:
    if value is not None and value < 0:
        raise InvalidInput(f"{what} must be 0 or more, not {value}.")
    return value


def _at_least_one(limit: int) -> None:
    if limit < 1:
        raise InvalidInput(f"limit must be 1 or more, not {limit}.")
