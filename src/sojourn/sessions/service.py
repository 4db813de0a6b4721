"""Public API of the sessions room."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar, Unpack

import msgspec

from sojourn.access import access
from sojourn.caps import CAPS, check
from sojourn.errors import (
    Conflict,
    InvalidInput,
    OutcomeUnknown,
    SessionNotFound,
    Unavailable,
)
from sojourn.ids import (
    SessionKey,
    new_incarnation,
    new_session_id,
    operation_id_of,
    session_id_of,
    user_key,
)
from sojourn.process_bound import stays_here
from sojourn.resilience.deadline import in_time
from sojourn.sessions import checks, refusals
from sojourn.sessions.encoding import by_scope, encode_event, encode_events, encode_state
from sojourn.sessions.fields import ordered_labels
from sojourn.sessions.listing import Filter
from sojourn.sessions.model import (
    Appended,
    Event,
    LogPage,
    Rotated,
    SearchPage,
    Session,
    SessionPage,
)
from sojourn.sessions.operations import (
    Append,
    CountSessions,
    Create,
    Delete,
    Ensure,
    ReadSharedState,
    Rotate,
    Save,
    Trim,
    Update,
)
from sojourn.sessions.operations.remove_state import RemoveState
from sojourn.sessions.parts import KEEP, Keep, SessionParts, appended, first_fields
from sojourn.sessions.reader import EVENTS
from sojourn.sessions.record import (
    FIELDS,
    SessionFields,
    decode_fields,
    encode_changes,
)
from sojourn.sessions.safe import SafeSessions
from sojourn.sessions.searching import EventSearcher, Words
from sojourn.sessions.store import NO_CHANGE, Change, EventWindow

E = TypeVar("E")


@stays_here("its URL, and open the store there")
class Sessions:
    """The sessions of a store. Made by `sojourn.open`, as `store.sessions`.

    Every method may also raise `Unavailable` and its kin when no server answers in time, and
    `OutcomeUnknown` when a write was sent and its reply never came. All round trips of a call end
    within `operation_timeout`.
    """

    def __init__(self, parts: SessionParts) -> None:
        self._operation_timeout = parts.limits.operation_timeout
        self._store = parts.store
        self._limits = parts.limits
        self._states = parts.states
        self._reader = parts.reader
        self._listing = parts.listing
        self._searcher = EventSearcher(parts.store, parts.limits.operation_timeout)

    @cached_property
    def safe(self) -> SafeSessions:
        """The same calls for callers that must never see an exception."""
        return SafeSessions(self)

    @access(creates=True, made=lambda born: born.key.session, refuse=checks.refuse_app_state)
    @in_time
    async def create(
        self,
        app: str,
        user: str,
        session: str | None = None,
        *,
        state: Mapping[str, Any] | None = None,
        ttl: float | Keep | None = KEEP,
        max_age: float | None = None,
        until: float | None = None,
        created: float | None = None,
        operation_id: str | None = None,
        **fields: Unpack[SessionFields],
    ) -> Session[Event]:
        """Create a session. One round trip; one more for a user's first, or with `app:` state.

        Args:
            app: the application.
            user: the user.
            session: its id; if not given, made of the operation id, which is 128 random bits unless
                it is given: the id is as hard to guess as that.
            state: its first state, with `user:` and `app:` keys as in `Event.state_delta`.
            ttl: seconds it lives after each change, instead of the store's; None for ever.
            max_age: seconds it lives at most, from now, whatever is changed.
            until: when it expires at the latest, seconds since the epoch. Of `ttl`, `max_age` and
                `until` the earliest ends it.
            created: seconds since the epoch; the server's clock if not given.
            operation_id: repeat a create with the same id and it takes effect once.
            fields: title, status, labels, metadata: see `SessionFields`.

        Raises:
            InvalidInput: an id, the state or the metadata; nothing was sent. Where the store was
                opened with `strict_ids`, any id: leave it out. Or `until` has passed by the
                server's clock, which alone decides that: nothing was written.
            TooLarge: the state is over its cap.
            SessionExists: the id is taken; no state was touched.
            TooManySessions: the user has as many as `max_sessions` allows.
            Conflict: this very operation created it before, and it is gone since.
        """
        if session is not None and self._limits.strict_ids:
            raise refusals.brought()
        operation_id = operation_id_of(operation_id, new_incarnation)
        key = SessionKey.of(app, user, session_id_of(operation_id) if session is None else session)
        create = Create(
            key=key,
            operation_id=operation_id,
            created=None if created is None else checks.instant(created, "created"),
            life=self._limits.life(ttl, max_age, until),
            fields=first_fields(fields),
            state=await encode_state(state or {}),
            fresh=session is None,
        )
        born = await self._store.run(create)
        if born.repeated:
            try:
                now = await self.get(key, last=0)
            except Unavailable as error:
                raise OutcomeUnknown(
                    f"The session was created, but it could not be read again ({error}). Repeat it "
                    f"with operation_id={operation_id!r}, it takes effect once.",
                    operation_id=operation_id,
                ) from error
            if now is None or now.incarnation != create.operation_id:
                raise Conflict(f"The session {key.session!r} was created before and is gone since.")
            return now
        first, whole = await self._states.merged(key, create.state.session, born.user, born.app)
        return Session(
            key=key,
            incarnation=create.operation_id,
            version=1,
            created=born.created,
            updated=born.created,
            ttl=create.life.ttl,
            until=born.until,
            expires=born.expires,
            **decode_fields(
                {name: create.fields[name] for name in FIELDS if name in create.fields}
            ),
            state=first,
            events=[],
            length=0,
            durable=born.durable,
            complete=born.readable and whole,
        )

    @access(creates=True, refuse=checks.refuse_app_state)
    @in_time
    async def ensure(
        self,
        app: str,
        user: str,
        session: str,
        *,
        last: int | None = None,
        state: Mapping[str, Any] | None = None,
        ttl: float | Keep | None = KEEP,
        max_age: float | None = None,
        until: float | None = None,
        operation_id: str | None = None,
        **fields: Unpack[SessionFields],
    ) -> Session[Event]:
        """Get a session; create it first if there is none, in one atomic step.

        If two callers ensure it at the same time, one creates it and both get it. Arguments other
        than its id apply to a new session only. One round trip with `last` up to 64, otherwise two;
        one more for a user's first session, or for `app:` state of a new one.

        Args:
            app: the application.
            user: the user; a session of this id that belongs to another user is another session.
            session: its id.
            last: read only this many events from the end; 0 for none, None for all.
            state: as `create`; so are the arguments behind it.
            ttl: see `create`.
            max_age: see `create`.
            until: see `create`.
            operation_id: see `create`.
            fields: see `create`.

        Raises:
            InvalidInput: an id, the state or the metadata; nothing was sent. Or there is none, and
                `until` has passed by the server's clock: nothing was written.
            SessionNotFound: there is none, and the store was opened with `strict_ids`.
            TooLarge: the state of the new session is over its cap.
            TooManySessions: there is none, and the user has as many as `max_sessions` allows.
            Conflict: this very operation created it before, and it is gone since.
            CorruptRecord: there is one, and its fields cannot be read.
        """
        key = SessionKey.of(app, user, session)
        create = Create(
            key=key,
            operation_id=operation_id_of(operation_id, new_incarnation),
            created=None,
            life=self._limits.life(ttl, max_age, until),
            fields=first_fields(fields),
            state=await encode_state(state or {}),
        )
        window = EventWindow(last=checks.count(last, "last"))
        if self._limits.strict_ids:
            found = await self._reader.get(key, EVENTS, last=last)
            if found is None:
                raise refusals.unknown(key)
            return found
        return await self._reader.of(key, EVENTS, await self._store.run(Ensure(create, window)))

    @in_time
    async def get(
        self,
        key: SessionKey,
        *,
        last: int | None = None,
        since: float | None = None,
        after: int | None = None,
    ) -> Session[Event] | None:
        """A session with its events, or None when there is none. One round trip.

        Without filters all events are read; events that this process has already decoded are not
        read again. Filters narrow each other: `last` counts before `since` and `after` cut.

        Args:
            key: which session.
            last: only this many events from the end; 0 for none.
            since: only the events behind the last one that is older than this time, in seconds
                since the epoch. A round trip for each fourfold of 64 events looked through.
            after: only the events whose `seq` is greater; reads back until there.

        Raises:
            InvalidInput: a negative filter.
            CorruptRecord: the session's own fields cannot be read. Other unreadable records are
                left out (`Session.complete`).
            NewerFormat: a newer version of Sojourn wrote it in a way that this one cannot read.
        """
        checks.key(key)
        checks.count(last, "last")
        if checks.count(after, "after") is None or last is not None or since is not None:
            when = None if since is None else checks.instant(since, "since")
            session = await self._reader.get(key, EVENTS, last=last, since=when)
        else:
            session = await self._reader.get(key, EVENTS, after=after)
        if session is None or after is None:
            return session
        newer = [event for event in session.events if event.seq > after]
        return msgspec.structs.replace(session, events=newer)

    @in_time
    async def events(
        self,
        key: SessionKey,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> LogPage:
        """A page of the events of a session, from any place of its log. One round trip.

        It reads no state, caches nothing and lengthens no lifetime. A page has 4 MiB at most, or
        one event: then it has fewer, and costs a round trip more if it is read from its end.

        Args:
            key: of which session.
            after: the first ones whose `seq` is greater.
            before: the last ones whose `seq` is less. Without both, the last ones of all.
            limit: how many at most, up to 10,000.

        Raises:
            InvalidInput: a negative number, both of them, or the limit.
            SessionNotFound: there is no such session.
            CorruptRecord: its own fields cannot be read. Other unreadable records are left out
                (`LogPage.complete`).
            NewerFormat: a newer version of Sojourn wrote them in a way that this one cannot read.
        """
        checks.key(key)
        checks.page_size(limit)
        check("A page of events", limit, CAPS.events, "events")
        checks.count(after, "after")
        checks.count(before, "before")
        if after is not None and before is not None:
            raise InvalidInput("events() takes after or before, not both.")
        most, stop = limit, before
        while True:
            if after is not None:
                first = after + 1
            else:
                first = -most if stop is None else max(1, stop - most)
            count = stop - first if after is None and stop is not None else most
            found = await self._reader.page(key, EVENTS, first=first, most=max(0, count))
            if found is None:
                raise refusals.missing(key)
            part, events = found
            end = part.first + len(part.rows)
            behind = part.seq + 1
            if stop is not None and stop > behind:
                stop = None  # the last ones of all
            elif after is not None or end >= (stop or behind) or not part.rows:
                break
            else:  # there were too many bytes: those at the end are missing
                most = max(1, min(most, len(part.rows)) // 2)
        end = end if stop is None else min(end, stop)
        return LogPage(
            events=[event for event in events if event.seq < end],
            length=part.seq,
            first=part.dropped + 1,
            version=part.version,
            incarnation=part.incarnation,
            epoch=part.epoch,
            seqs=range(part.first, max(part.first, end)),
        )

    @access(refuse=checks.refuse_app_state)
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
            EventExists: another operation has appended an event of this id; nothing was written.
        """
        if type(key) is not SessionKey:
            checks.key(key)
        if len(events) == 1:  # as most, and fewer steps
            row, changes = encode_event(events[0], self._limits.max_event_bytes)
            rows = [row]
        elif events:
            rows, changes = await encode_events(events, self._limits.max_event_bytes)
        else:
            raise InvalidInput("append() needs at least one event.")
        write = checks.write_of(operation_id, incarnation, expected_version)
        delta = by_scope(changes) if changes else NO_CHANGE
        written = await self._store.run(Append(key, rows, delta, float(events[-1].time), write))
        return appended(written, len(rows))

    @in_time
    async def update(
        self,
        key: SessionKey,
        *,
        ttl: float | Keep | None = KEEP,
        until: float | Keep | None = KEEP,
        incarnation: str = "",
        expected_version: int | None = None,
        operation_id: str | None = None,
        **fields: Unpack[SessionFields],
    ) -> int:
        """Change the given fields of a session; the others stay. One round trip.

        Args:
            key: which session.
            ttl: seconds that it lives after each change; None for ever.
            until: when it expires at the latest, seconds since the epoch; None for no such end.
            incarnation: the session must still be this one (`Session.incarnation`).
            expected_version: the session must still be of this version (`Session.version`).
            operation_id: repeat an update with the same id and it takes effect once.
            fields: title, status, labels, metadata: see `SessionFields`.

        Returns:
            the version after it.

        Raises:
            InvalidInput: nothing to change, or a value that cannot be stored.
            TooManyLabels: with those that it has there would be more than 16; nothing was written.
            SessionNotFound: it does not exist, or is not this incarnation; it is not created.
            StaleSession: not the expected version.
        """
        checks.key(key)
        change = Change(
            encode_changes(fields),
            KEEP if ttl == KEEP else checks.lifetime(ttl),
            KEEP if until == KEEP else checks.end(until),
        )
        if change.is_touch:
            raise InvalidInput(
                f"update() needs something to set: {', '.join(FIELDS)}, ttl or until."
            )
        write = checks.write_of(operation_id, incarnation, expected_version)
        return (await self._store.run(Update(key, change, write))).version

    @access(creates=True)
    @in_time
    async def save(
        self,
        key: SessionKey,
        *,
        events: Sequence[Event] = (),
        state: Mapping[str, Any] | None = None,
        ttl: float | Keep | None = KEEP,
        until: float | Keep | None = KEEP,
        incarnation: str = "",
        expected_version: int | None = None,
        operation_id: str | None = None,
        **fields: Unpack[SessionFields],
    ) -> int:
        """Write a whole session: replace the existing one, or create it.

        Values not given are empty afterwards; only its lifetime, its creation time and the state
        that it shares with other sessions stay. The cost grows with the whole session; that of
        `append` only with the new events. Unless `expected_version` is given
        the last writer wins. One round trip; one more for a user's first session.

        Args:
            key: which session.
            events: its log, oldest first; they are renumbered from 1.
            state: its own state. `user:` and `app:` keys are set by `append`.
            ttl: as `update`; a new session has the store's if it is not given.
            until: as `update`.
            incarnation: the session must still be this one (`Session.incarnation`).
            expected_version: the session must still be of this version (`Session.version`); 0 when
                there must be none.
            operation_id: repeat a save with the same id and it takes effect once.
            fields: title, status, labels, metadata: see `SessionFields`.

        Returns:
            the version after it.

        Raises:
            InvalidInput: a value that cannot be stored, or `user:` or `app:` state.
            TooLarge: an event or the state is over its cap; nothing was written.
            SessionNotFound: there is none, and a version above 0 was expected, or the store was
                opened with `strict_ids`.
            StaleSession: not the expected version.
            TooManySessions: it would be a new one, and the user has as many as one may have.
            Conflict: this very operation wrote it before, and it is gone since.
        """
        checks.key(key)
        own = await encode_state(state or {})
        if own.user or own.app:
            raise InvalidInput(
                "save() writes the session's own state; `user:` and `app:` keys belong to others, "
                "too: set them by append(), in an event's state_delta."
            )
        change = Change(
            first_fields(fields),
            KEEP if ttl == KEEP else checks.lifetime(ttl),
            KEEP if until == KEEP else checks.end(until),
        )
        rows, _ = await encode_events(events, self._limits.max_event_bytes)
        write = checks.write_of(operation_id, incarnation, expected_version)
        save = Save(
            *(key, change, self._limits.session_ttl, own.session, rows),
            new=not self._limits.strict_ids,
            write=write,
        )
        return (await self._store.run(save)).version

    @in_time
    async def trim(
        self,
        key: SessionKey,
        *,
        drop: int = 0,
        keep: int | None = None,
        incarnation: str = "",
        expected_version: int | None = None,
        operation_id: str | None = None,
    ) -> int:
        """Cut events off the log for good; the state stays as they left it. One round trip.

        The remaining events keep their `seq`. Numbers of events dropped at the end are used again:
        the next event appended gets the number after the last remaining one.

        Args:
            key: of which session.
            drop: so many events from the end.
            keep: of the rest only so many, the newest; 0 for none, None for all.
            incarnation: the session must still be this one (`Session.incarnation`).
            expected_version: the session must still be of this version (`Session.version`).
            operation_id: repeat a trim with the same id and it takes effect once.

        Returns:
            the version after it.

        Raises:
            InvalidInput: a negative number, or neither of the two.
            SessionNotFound: deleted, expired, or not this incarnation.
            StaleSession: not the expected version.
        """
        checks.key(key)
        if not checks.count(drop, "drop") and checks.count(keep, "keep") is None:
            raise InvalidInput("trim() needs a number of events to drop, or to keep.")
        write = checks.write_of(operation_id, incarnation, expected_version)
        return (await self._store.run(Trim(key, drop, keep, write))).version

    @in_time
    async def remove_state(
        self,
        key: SessionKey,
        *names: str,
        incarnation: str = "",
        expected_version: int | None = None,
        operation_id: str | None = None,
    ) -> int:
        """Remove values of a session's own state; the log stays as it is. One round trip.

        Args:
            key: of which session.
            names: at least one; missing ones are ignored. `user:` and `app:` values
                belong to others, too: set them to None by `append`.
            incarnation: the session must still be this one (`Session.incarnation`).
            expected_version: the session must still be of this version (`Session.version`).
            operation_id: repeat it with the same id and it takes effect once.

        Returns:
            the version after it.

        Raises:
            InvalidInput: no name, or one that is not of the session's own state.
            SessionNotFound: deleted, expired, or not this incarnation.
            StaleSession: not the expected version.
        """
        checks.key(key)
        if not all(isinstance(name, str) for name in names):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput("remove_state() takes names one by one, each a text.")
        own = by_scope(checks.encoded(dict.fromkeys(names)))
        if len(own.session) != len(set(names)) or not names:
            raise InvalidInput("remove_state() needs names of the session's own state.")
        write = checks.write_of(operation_id, incarnation, expected_version)
        return (await self._store.run(RemoveState(key, list(own.session), write))).version

    @in_time
    async def touch(self, key: SessionKey) -> bool:
        """Let a session live for its TTL from now; whether there is one. One round trip."""
        try:
            await self._store.run(Update(checks.key(key), Change({}), checks.write_of(None)))
        except SessionNotFound:
            return False
        return True

    @in_time
    async def delete(
        self, key: SessionKey, *, incarnation: str = "", operation_id: str | None = None
    ) -> bool:
        """Delete a session and its events; user and app state stay. One round trip.

        Args:
            key: which session. Deleting a missing session is not an error.
            incarnation: only if it is still this one.
            operation_id: repeat a delete with the same id and a successor is safe from it.

        Returns:
            whether there was one.
        """
        write = checks.write_of(operation_id, incarnation)
        return await self._store.run(Delete(checks.key(key), write))

    @access(made=lambda done: done.key.session)
    @in_time
    async def rotate(
        self, key: SessionKey, *, incarnation: str = "", operation_id: str | None = None
    ) -> Rotated:
        """Give a session a new id, as after a login. One round trip.

        Its log, state, fields and lifetime stay as they are. Under the old id there is no session
        any more, for every process: reads find none, writes raise `SessionNotFound`, also those
        that wait in an outage buffer. Of two that rotate it at the same time one succeeds. Its
        artifacts stay behind: `store.rotate` takes them along.

        Args:
            key: which session.
            incarnation: only if it is still this one (`Session.incarnation`).
            operation_id: repeat a rotation with the same id within 24 h and the answer is the same,
                whatever has become of the session since. The new id is not made of it.

        Raises:
            SessionNotFound: deleted, expired, rotated by another, or not this incarnation.
            CorruptRecord: its fields cannot be read; nothing was written.
        """
        new = SessionKey(*checks.key(key).owner, new_session_id())
        write = checks.write_of(operation_id, incarnation)
        done = await self._store.run(Rotate(key, new, new_incarnation(), write))
        return Rotated(new._replace(session=done.session), done.incarnation, done.repeated)

    @in_time
    async def list(
        self,
        app: str,
        user: str | None = None,
        *,
        pattern: str | None = None,
        status: str | None = None,
        labels: Mapping[str, str] | None = None,
        query: str | None = None,
        updated_since: float | None = None,
        updated_until: float | None = None,
        newest_first: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> SessionPage:
        """A page of the sessions of a user, or of an app: with state, without events.

        It is not a snapshot: a session updated between two pages may appear twice, none is missed.
        Two round trips a page for a user, three for an app: user by user, where one with very many
        sessions takes a page or more alone. Of an app with labels, a query or times it is newest
        first in any case, as `recent` is: two round trips a page, and one that is changed between
        two pages is on the first from then on, where this listing does not come any more.

        Args:
            app: the application.
            user: only this user's; the empty string is a user like any other. None for all.
            pattern: only those whose id matches it: `*` stands for anything, `?` for one character.
            status: only those of this status.
            labels: only those that have all of these. The first leads to them by an index, so name
                the rarest first.
            query: only those in whose id, title, summary and metadata all of its words stand, in
                any case: each session is read for that, two round trips for each 200, for 2 seconds
                or half of `operation_timeout`. Then a page may have fewer and a cursor all the
                same, where it goes on.
            updated_since: only those whose last change is not older, seconds since the epoch.
            updated_until: only those whose last change is not newer.
            newest_first: start with the latest change. A session changed between two pages moves
                to the top and may be missing from later pages: start again to see it. Of an
                app as `recent`, which is a minute late at most.
            limit: how many at most. With more filters than one label a page may have fewer, even
                none, and a cursor all the same: it looks at no more than 25 pages of the index.
            cursor: `SessionPage.cursor` of the page before, of the same listing.

        Raises:
            InvalidInput: a limit under 1, a label that no session can have, a query without a word,
                or a cursor that is none of this listing.
            CorruptRecord: the index of this user is a key of another type. A listing of the app
                names the user (`SessionPage.corrupt_users`) and goes on.
        """
        checks.page_size(limit)
        wanted = Filter(
            checks.text_or_none(pattern, "pattern", CAPS.pattern),
            checks.text_or_none(status, "status", CAPS.status),
            ordered_labels(labels),
            None if query is None else Words.of(query),
            checks.instant_or(updated_since, "updated_since", -math.inf),
            checks.instant_or(updated_until, "updated_until", math.inf),
        )
        by_time = wanted._replace(pattern=None, status=None) != Filter()
        if user is None and (by_time or newest_first):
            return await self._listing.recent(app, wanted, limit, cursor)
        return await self._listing.sessions(
            app, user, wanted, limit, cursor, newest_first=newest_first
        )

    async def search(
        self,
        app: str,
        user: str,
        query: str,
        *,
        session: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> SearchPage:
        """A page of a user's events in whose payload all words of a query stand, newest first.

        There is no index of content: it reads the logs from their ends, sessions with the latest
        change first, and decodes what is compressed or sealed. After 2 seconds it gives what it has
        found; the cursor leads on. A round trip for each 16 sessions, one for each of them, and one
        for each 64 to 1,024 events more, or 4 MiB; each within `operation_timeout`. It lengthens no
        lifetime.

        Args:
            app: the application.
            user: the user.
            query: words, in any case. They are looked for in texts and numbers of the payload, but
                neither in names of members nor in encoded data, such as images.
            session: only in this session.
            limit: how many events at most.
            cursor: `SearchPage.cursor` of the page before, of the same search.

        Raises:
            InvalidInput: a limit under 1, a query without a word, or a cursor of something else.
            SessionNotFound: there is no such session.
            CorruptRecord: the session's own fields cannot be read, or the index of this user is a
                key of another type. With all sessions, one that cannot be read is passed over
                (`SearchPage.skipped`).
            NewerFormat: a newer version of Sojourn wrote the session in a way that this one cannot
                read.
        """
        checks.page_size(limit)
        words, owner = Words.of(query), user_key(app, user)
        if session is None:
            return await self._searcher.user(owner, words, limit, cursor)
        key = SessionKey.of(app, user, session)
        return await self._searcher.session(key, words, limit, cursor)

    @in_time
    async def count(self, app: str, user: str) -> int:
        """How many sessions a user has. One round trip.

        Sessions that others have deleted or the server has evicted are counted until a list or a
        sweep finds them.
        """
        return await self._store.run(CountSessions(user_key(app, user)))

    @in_time
    async def user_state(self, app: str, user: str) -> dict[str, Any]:
        """The state of a user, keys without `user:`; empty when there is none. One round trip.

        Values that cannot be read are left out, and are in the quarantine.
        """
        owner = user_key(app, user)
        pairs, _ = await self._store.run(ReadSharedState(owner))
        return await self._states.of_user(owner, pairs)
