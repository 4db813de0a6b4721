"""Puts what a source holds where it belongs here; looks first, so that nothing is put twice."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from sojourn.client import Sojourn
from sojourn.codecs import encode
from sojourn.errors import Conflict, CorruptRecord, InvalidInput, SessionExists, StaleSession
from sojourn.ids import SessionKey, UserKey
from sojourn.sessions import Event, Session
from sojourn.sessions.encoding import encode_events
from sojourn.transfer.migration.comparing import Comparison, compared, is_instant
from sojourn.transfer.migration.lifetimes import NEAR, Lifetimes, is_over
from sojourn.transfer.migration.model import Outcome, SourceSession

_EVENTS, _BYTES = 500, 1024 * 1024
"""Of one write: no server is held up for long."""


class Placed(NamedTuple):
    """What became of a record, and why if that needs a reason."""

    outcome: Outcome
    why: str = ""


class Placer:
    """Puts sessions into a store.

    Args:
        store: where to.
        lifetimes: how long they live.
        dry_run: only look.

    Attributes:
        moved: users whose sessions here have gone on, or are not the source's.
    """

    def __init__(self, store: Sojourn, lifetimes: Lifetimes, *, dry_run: bool) -> None:
        self._sessions = store.sessions
        self._lifetimes = lifetimes
        self._dry_run = dry_run
        self._made: dict[SessionKey, float] = {}
        self.moved: set[UserKey] = set()

    async def place(self, session: SourceSession) -> Placed:
        """Put a session here, or what is missing of it. Two round trips, or one if it is here.

        Raises:
            Unavailable: and its kin: nothing is known then.
        """
        if is_over(session.expires):
            return Placed(Outcome.EXPIRED)
        try:
            placed = await self._place(session)
        except (InvalidInput, Conflict, CorruptRecord) as error:
            deleted = type(error) is Conflict  # and none of its kin: see Sessions.create
            placed = Placed(Outcome.DELETED if deleted else Outcome.REFUSED, str(error))
        if placed.outcome not in (Outcome.WRITTEN, Outcome.CAUGHT_UP, Outcome.SAME):
            self.moved.add(session.key.owner)
        return placed

    async def _place(self, session: SourceSession) -> Placed:
        here = await self._sessions.get(session.key)
        if here is None:
            try:
                return await self._create(session)
            except SessionExists:  # another was first
                here = await self._sessions.get(session.key)
                if here is None:
                    raise
        return await self._settle(session, here)

    async def _settle(self, session: SourceSession, here: Session[Event]) -> Placed:
        """What is here beside what is there: nothing to do, something to add, or left alone."""
        found = compared(session, here)
        match found.log:
            case "apart":
                why = "events" if here.complete else "events that are missing or unreadable here"
                return Placed(Outcome.DIFFERS, f"here it has other {why}")
            case "ahead":
                return Placed(Outcome.AHEAD)
            case "behind" if found.older or found.gone:
                return Placed(Outcome.DIFFERS, "both have changed, each in its own way")
            case "behind":
                return await self._catch_up(session, here, found)
            case _:
                return await self._same_log(session, here, found)

    async def _same_log(
        self, session: SourceSession, here: Session[Event], found: Comparison
    ) -> Placed:
        if not found.differs:
            if found.newer or self._falls_short(session, here):
                return await self._catch_up(session, here, found)
            return self._verified(session, here)
        if found.older:
            return Placed(Outcome.AHEAD)
        names = ", ".join([*found.state, *found.gone, *found.fields])
        if found.newer and not found.gone:
            return await self._catch_up(session, here, found)
        return Placed(Outcome.DIFFERS, f"here it has other values: {names}")

    def _falls_short(self, session: SourceSession, here: Session[Event]) -> bool:
        """Whether this run has put it here and its life was prolonged at the source since."""
        return session.key in self._made and self._lifetimes.behind(session, here.expires) > NEAR

    def _verified(self, session: SourceSession, here: Session[Event]) -> Placed:
        """The same; what this run has made has its times and its lifetime, too."""
        created = self._made.get(session.key)
        if created is None:
            return Placed(Outcome.SAME)
        if not is_instant(here.created, created):
            return Placed(Outcome.DIFFERS, "its creation has another time here")
        if session.updated is not None and not is_instant(here.updated, session.updated):
            return Placed(Outcome.DIFFERS, "its last change has another time here")
        if abs(off := self._lifetimes.behind(session, here.expires)) > NEAR:
            return Placed(Outcome.DIFFERS, f"it expires {abs(off):.1f} s off")
        return Placed(Outcome.SAME)

    async def _create(self, session: SourceSession) -> Placed:
        encode_events(
            session.events, self._sessions.max_event_bytes
        )  # all, before the first is sent
        if self._dry_run:
            return Placed(Outcome.WRITTEN)
        created = _created(session)
        operation, ttl = _operation(session), self._lifetimes.of(session)
        began = time.time()
        born = await self._sessions.create(
            *session.key,
            state=session.state,
            ttl=ttl,
            until=session.until,
            title=session.title,
            status=session.status,
            backend=session.backend,
            flow=session.flow,
            metadata=session.metadata,
            created=created,
            operation_id=operation,
        )
        if session.until is None:
            self._lifetimes.learn(born.expires, ttl, began)
        self._made[session.key] = created
        await self._replay(session, born.incarnation, 1, session.events, {})
        return Placed(Outcome.WRITTEN)

    async def _catch_up(
        self, session: SourceSession, here: Session[Event], found: Comparison
    ) -> Placed:
        if self._dry_run:
            return Placed(Outcome.CAUGHT_UP)
        version, change = here.version, dict(found.fields)
        if self._falls_short(session, here):
            change["ttl"] = self._lifetimes.of(session)
        try:
            if change:
                version = await self._sessions.update(
                    session.key, expected_version=version, **change
                )
            await self._replay(session, here.incarnation, version, found.more, found.state)
        except StaleSession:
            return Placed(Outcome.DIFFERS, "it was changed here while it was caught up")
        return Placed(Outcome.CAUGHT_UP)

    async def _replay(
        self,
        session: SourceSession,
        incarnation: str,
        version: int,
        events: Sequence[Event],
        state: Any,
    ) -> None:
        """Write events in parts; the last change then has the source's time."""
        for part in _parts(events):
            done = await self._sessions.replay(
                session.key,
                *part,
                state=state,
                updated=session.updated,
                incarnation=incarnation,
                expected_version=version,
            )
            version, state = done.version, {}


def _parts(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """Some events at a time; once also when there are none, for state and times."""
    part: list[Event] = []
    size = 0
    for event in events:
        bytes_ = len(encode(event.payload, "The payload of an event"))
        if part and (len(part) == _EVENTS or size + bytes_ > _BYTES):
            yield part
            part, size = [], 0
        part.append(event)
        size += bytes_
    yield part


def _created(session: SourceSession) -> float:
    """When it was created, or else when it was first heard of."""
    if session.created is not None:
        return session.created
    known = [event.time for event in session.events[:1]]
    if session.updated is not None:
        known.append(session.updated)
    return min(known, default=time.time())


def _operation(session: SourceSession) -> str:
    """The id of the write that creates it: the same when the same is migrated again."""
    digest = blake2b(digest_size=18)
    for word in (session.where, *session.key, repr(session.created), repr(session.updated)):
        digest.update(f"{len(word)}:{word}".encode())
    for event in session.events:
        digest.update(f"{len(event.id)}:{event.id}".encode())
    return digest.hexdigest()
