"""Session operations for adapters: views of the log, appends that create, replays."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TypeVar

from sojourn.errors import InvalidInput
from sojourn.ids import SessionKey, new_incarnation, operation_id_of
from sojourn.process_bound import stays_here
from sojourn.resilience.deadline import in_time
from sojourn.sessions import checks
from sojourn.sessions.encoding import by_scope, encode_events, encode_state
from sojourn.sessions.model import Appended, Event, Session
from sojourn.sessions.operations import Append, Begin, Create
from sojourn.sessions.parts import KEEP, Keep, SessionParts, appended, first_fields
from sojourn.sessions.reader import View

E = TypeVar("E")


@stays_here("its URL, and open the store there")
class AdapterSessions:
    """The session calls of integrations and of `History`. Made by `sojourn.open`: `store.adapters`.

    Every method may also raise what those of `Sessions` may.

    Args:
        parts: of the sessions room.

    Attributes:
        limits: options that the store was opened with.
    """

    def __init__(self, parts: SessionParts) -> None:
        self.limits = parts.limits
        self._operation_timeout = parts.limits.operation_timeout
        self._store = parts.store
        self._reader = parts.reader

    @in_time
    async def get_as(
        self,
        view: View[Any, E],
        key: SessionKey,
        *,
        last: int | None = None,
        since: float | None = None,
    ) -> Session[E] | None:
        """As `get`, with events as `view` makes them. For integrations."""
        checks.key(key)
        checks.count(last, "last")
        when = None if since is None else checks.instant(since, "since")
        return await self._reader.get(key, view, last=last, since=when)

    @in_time
    async def begin(
        self,
        key: SessionKey,
        *events: Event,
        ttl: float | Keep | None = KEEP,
        labels: Mapping[str, str] | None = None,
        operation_id: str | None = None,
    ) -> Appended:
        """Append events, in order; create the session first if there is none.

        One round trip where there is one, otherwise two (with `on_outage="buffer"` three, or four).
        An interruption in between is harmless: it leaves a session without events.

        Args:
            key: to which session.
            events: at least one.
            ttl: of a new session: see `create`.
            labels: of a new session: see `create`.
            operation_id: repeat it with the same id and the events are there once. One that has
                made the session does not make it again.

        Raises:
            InvalidInput: as `append`; so is TooLarge.
            TooManySessions: there is none, and the user has as many as `max_sessions` allows.
            Conflict: this very operation made the session before, and it is gone since.
            SessionNotFound: it was deleted while this was under way; or there is none, and the
                store was opened with `strict_ids`.
        """
        checks.key(key)
        if not events:
            raise InvalidInput("begin() needs at least one event.")
        rows, changes = await encode_events(events, self.limits.max_event_bytes)
        create = Create(
            key=key,
            operation_id=operation_id_of(operation_id, new_incarnation),
            created=None,
            life=self.limits.life(ttl, None, None),
            fields=first_fields({"labels": labels}),
            state=by_scope({}),
        )
        write = checks.write_of(operation_id)
        append = Append(key, rows, by_scope(changes), float(events[-1].time), write)
        written = await self._store.run(append if self.limits.strict_ids else Begin(create, append))
        return appended(written, len(rows))

    async def replay(
        self,
        key: SessionKey,
        *events: Event,
        state: Mapping[str, Any] | None = None,
        updated: float | None = None,
        incarnation: str = "",
        expected_version: int | None = None,
        operation_id: str | None = None,
    ) -> Appended:
        """Append events that have happened elsewhere: their state deltas stay with them unapplied.

        Pass the resulting state instead. For migrations. One round trip.

        Args:
            key: to which session.
            events: any number, even none.
            state: values of the session's own state to set.
            updated: when the session was last changed, seconds since the epoch; the time of the
                last event if not given, and without events now.
            incarnation: as `append`.
            expected_version: as `append`.
            operation_id: as `append`.

        Raises:
            InvalidInput: a value that JSON cannot hold, or `user:` or `app:` state.
            TooLarge: an event or the state is over its cap; nothing was written.
            SessionNotFound: deleted, expired, or not this incarnation; it is not revived.
            StaleSession: not the expected version.
        """
        checks.key(key)
        own = await encode_state(state or {})
        if own.user or own.app:
            raise InvalidInput("replay() sets the session's own state, not `user:` or `app:` keys.")
        rows, _ = await encode_events(events, self.limits.max_event_bytes)
        if updated is None:
            updated = events[-1].time if events else time.time()
        write = checks.write_of(operation_id, incarnation, expected_version)
        written = await self._store.run(
            Append(key, rows, own, checks.instant(updated, "updated"), write)
        )
        return appended(written, len(rows))
