"""Puts what a source holds where it belongs here; looks first, so that nothing is put twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sojourn.client import Sojourn
from sojourn.errors import Conflict, CorruptRecord, InvalidInput, SessionExists, StaleSession
from sojourn.ids import SessionKey, UserKey, new_operation_id
from sojourn.sessions import Event, Session
from sojourn.sessions.encoding import encode_events
from sojourn.sessions.operations.restore import SetExpiry
from sojourn.sessions.store import WriteOptions
from sojourn.transfer.migration.comparing import Comparison, compared, is_instant
from sojourn.transfer.migration.lifetimes import SourceLifetimes, is_over
from sojourn.transfer.migration.model import Outcome, SourceSession
from sojourn.transfer.migration.writing import image_of, in_parts, write


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

    def __init__(self, store: Sojourn, lifetimes: SourceLifetimes, *, dry_run: bool) -> None:
        self._sessions = store.sessions
        self._adapters = store.adapters
        self._stores = store.stores
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
        """Whether it is as it was put here and its life was prolonged at the source since."""
        ours = session.key in self._made or is_instant(here.updated, session.updated)
        return ours and self._lifetimes.off(session, here.expires) > 0

    def _verified(self, session: SourceSession, here: Session[Event]) -> Placed:
        """The same; what this run has made has its times and its lifetime, too."""
        created = self._made.get(session.key)
        if created is None:
            return Placed(Outcome.SAME)
        if session.created is not None and not is_instant(here.created, created):
            return Placed(Outcome.DIFFERS, "its creation has another time here")
        if session.updated is not None and not is_instant(here.updated, session.updated):
            return Placed(Outcome.DIFFERS, "its last change has another time here")
        if off := self._lifetimes.off(session, here.expires):
            return Placed(Outcome.DIFFERS, f"it expires {abs(off):.1f} s off")
        return Placed(Outcome.SAME)

    async def _create(self, session: SourceSession) -> Placed:
        image = await image_of(session, self._lifetimes, self._stores)
        if self._dry_run:
            return Placed(Outcome.WRITTEN)
        match await write(self._stores.sessions, session, image):
            case "exists":
                raise SessionExists("Another was first.")
            case "expired":
                return Placed(Outcome.EXPIRED)
            case _:
                self._made[session.key] = image.head.created
                return Placed(Outcome.WRITTEN)

    async def _catch_up(
        self, session: SourceSession, here: Session[Event], found: Comparison
    ) -> Placed:
        if self._dry_run:
            return Placed(Outcome.CAUGHT_UP)
        version = here.version
        try:
            if found.fields:
                version = await self._sessions.update(
                    session.key, expected_version=version, **found.fields
                )
            version = await self._replay(session, here, version, found)
            if self._lifetimes.kept:
                await self._prolong(session, here, version)
        except StaleSession:
            return Placed(Outcome.DIFFERS, "it was changed here while it was caught up")
        return Placed(Outcome.CAUGHT_UP)

    async def _prolong(self, session: SourceSession, here: Session[Event], version: int) -> None:
        """To catch up is no change here: it lives as long as it did, or as at the source."""
        ends = (here.expires, self._lifetimes.end(session))
        at = None if None in ends else max(end for end in ends if end is not None)
        ttl = None if at is None else here.ttl
        write = WriteOptions(new_operation_id(), here.incarnation, version)
        await self._stores.sessions.run(SetExpiry(session.key, write, ttl, at))

    async def _replay(
        self,
        session: SourceSession,
        here: Session[Event],
        version: int,
        found: Comparison,
    ) -> int:
        """Write events in parts; the last change then has the source's time."""
        rows, _ = await encode_events(found.more, self._adapters.limits.max_event_bytes)
        state: Mapping[str, Any] = found.state
        at = 0
        for part in in_parts(rows):
            done = await self._adapters.replay(
                session.key,
                *found.more[at : at + len(part)],
                state=state,
                updated=session.updated,
                incarnation=here.incarnation,
                expected_version=version,
            )
            version, at = done.version, at + len(part)
            state = {}
        return version
