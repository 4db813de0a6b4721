"""The session reader: it fetches only the events that this process has not cached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from sojourn.calls.operation import RoomStore
from sojourn.codecs import in_pieces
from sojourn.codecs.growth import stored_form
from sojourn.ids import SessionKey
from sojourn.sessions.archive import LogSlice
from sojourn.sessions.event_codec import NO_DELTA, EventRow, NotARow, decode_row
from sojourn.sessions.model import Event, Session
from sojourn.sessions.nearcache import Known, NearCache, tail_of, weight
from sojourn.sessions.operations import Read
from sojourn.sessions.operations.archive import ReadLogSlice
from sojourn.sessions.quarantine import Quarantine, UnreadablePart
from sojourn.sessions.states import States
from sojourn.sessions.store import EventWindow, SessionSnapshot

E = TypeVar("E")
K = TypeVar("K")

_PAGE_BYTES = 4 * 1024 * 1024
"""Bytes of events after which none follow on a page."""

_FIRST_LOOK = 64
"""Events read from the end when looking for a time."""

_NOT_AN_EVENT = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What a view may raise over a row that is none of its kind."""


class View(NamedTuple, Generic[K, E]):
    """How events look to a caller.

    Attributes:
        name: tells views apart in the near-cache.
        decode: makes what is kept in the near-cache of a stored row and its place in the log. A row
            that it cannot read is left out and goes to the quarantine.
        copy: what a caller gets of it, so that nobody changes what others see.
        time_of: when it happened, seconds since the epoch.
    """

    name: str
    decode: Callable[[EventRow, int], K]
    copy: Callable[[K], E]
    time_of: Callable[[K], float]

    def checked(self) -> View[K, E]:
        """The same, but what cannot be copied is not decoded either."""

        def decode(row: EventRow, seq: int) -> K:
            kept = self.decode(row, seq)
            self.copy(kept)
            return kept

        return self._replace(decode=decode)


class _NotCopied(Exception):
    """A row was what it seemed to be, but its payload is not."""


_decode = msgspec.json.Decoder().decode


def _kept(row: EventRow, seq: int) -> tuple[EventRow, int]:
    return row, seq


def _event(kept: tuple[EventRow, int]) -> Event:
    """Payload and delta are decoded for each caller: they can be changed."""
    row, seq = kept
    return Event(
        author=row.author,
        payload=_decode(row.payload),
        kind=row.kind,
        id=row.id,
        time=row.time,
        state_delta={} if row.state_delta is NO_DELTA else _decode(row.state_delta),
        seq=seq,
    )


def _time_of(kept: tuple[EventRow, int]) -> float:
    return kept[0].time


EVENTS: Final[View[tuple[EventRow, int], Event]] = View("sojourn", _kept, _event, _time_of)


class SessionReader:
    """Reads sessions of a store in any view, and remembers what it has decoded.

    A row that cannot be read leaves a gap, None, so that the others keep their places.
    """

    def __init__(
        self,
        store: RoomStore,
        cache: NearCache,
        states: States,
        quarantine: Quarantine,
        losses: Callable[[], int],
    ) -> None:
        self._store = store
        self._cache = cache
        self._states = states
        self._quarantine = quarantine
        self._losses = losses

    async def get(
        self,
        key: SessionKey,
        view: View[K, E],
        *,
        last: int | None = None,
        since: float | None = None,
        after: int | None = None,
    ) -> Session[E] | None:
        """The session with the events asked for; the filters are those of `Sessions.get`.

        `after` alone looks back as far as it must; otherwise it is the caller's to apply.
        """
        try:
            return await self._get(key, view, last, since, after)
        except _NotCopied:
            self._cache.drop(key, view.name)
            return await self._get(key, view.checked(), last, since, after)

    async def _get(
        self,
        key: SessionKey,
        view: View[K, E],
        last: int | None,
        since: float | None,
        after: int | None,
    ) -> Session[E] | None:
        if since is not None:
            return await self._since(key, since, last, view)
        if after is not None and last is None:
            return await self._after(key, after, view)
        stored, events = await self._read(key, last, view)
        return None if stored is None else await self._session(key, stored, events, view)

    async def page(
        self, key: SessionKey, view: View[K, E], *, first: int, most: int
    ) -> tuple[LogSlice, list[E]] | None:
        """Some rows of a log, wherever they stand, and what they are; nothing is cached of them.

        They are the first `most` from `first` on, below zero so many from the end. When they have
        too many bytes, those at the end are missing.
        """
        part = await self._store.run(ReadLogSlice(key, first, most, _PAGE_BYTES))
        if part is None:
            return None
        kept = await self._decoded(key, part.rows, part.first, view.checked())
        return part, await in_pieces(view.copy, [event for event in kept if event is not None])

    async def of(self, key: SessionKey, view: View[K, E], stored: SessionSnapshot) -> Session[E]:
        """What a store gave, as the caller gets it."""
        events = await self._decoded(key, stored.rows, stored.first, view)
        try:
            return await self._session(key, stored, events, view)
        except _NotCopied:
            view = view.checked()
            events = await self._decoded(key, stored.rows, stored.first, view)
            return await self._session(key, stored, events, view)

    async def _after(self, key: SessionKey, seq: int, view: View[K, E]) -> Session[E] | None:
        """The session with the events behind a number, looking back as `_since` does."""
        look = _FIRST_LOOK
        while True:
            stored, events = await self._read(key, look, view)
            if stored is None:
                return None
            first = stored.head.seq - len(events) + 1
            if first <= seq + 1 or len(events) < look:
                found = events[max(0, seq + 1 - first) :]
                return await self._session(key, stored, found, view)
            look *= 4

    async def _since(
        self, key: SessionKey, since: float, last: int | None, view: View[K, E]
    ) -> Session[E] | None:
        """The session with the events behind the last one that is older than `since`.

        Looks further back, fourfold each time, until an event is older or there are no more.
        """
        look = _FIRST_LOOK if last is None else min(last, _FIRST_LOOK)
        while True:
            stored, events = await self._read(key, look, view)
            if stored is None:
                return None
            times = ((i, event) for i, event in enumerate(events) if event is not None)
            older = [i for i, event in times if view.time_of(event) < since]
            most = stored.head.seq - stored.head.dropped if last is None else last
            if older or look >= most or len(events) < look:
                found = events[older[-1] + 1 :] if older else events
                return await self._session(key, stored, found, view)
            look = min(look * 4, most)

    async def _read(
        self, key: SessionKey, last: int | None, view: View[K, E]
    ) -> tuple[SessionSnapshot | None, list[K | None]]:
        losses = self._losses()
        known = self._cache.find(key, view.name)
        if known and last != 0 and known.losses == losses and known.covers(last):
            stored = await self._store.run(Read(key, EventWindow(start=known.tail_index)))
            if stored and known.continued_by(stored) and self._losses() == losses:
                return await self._continue(key, known, stored, last, view)
        losses = self._losses()
        stored = await self._store.run(Read(key, EventWindow(last=last)))
        if stored is None:
            self._cache.drop(key, view.name)
            return None, []
        events = await self._decoded(key, stored.rows, stored.first, view)
        self._cache.miss()
        if stored.rows and stored.complete and stored.durable:
            tail, size = tail_of(stored.rows), weight(stored.rows)
            run = Known(stored.head, stored.first, events, tail, size, losses)
            self._cache.keep(key, view.name, run)
        return stored, events

    async def _continue(
        self,
        key: SessionKey,
        known: Known,
        stored: SessionSnapshot,
        last: int | None,
        view: View[K, E],
    ) -> tuple[SessionSnapshot, list[K | None]]:
        """The known events and those behind them; the first rows read are the last ones known."""
        again = len(known.tail)
        rows = stored.rows[again:]
        events: list[K | None] = known.events
        if rows:
            events = events + await self._decoded(key, rows, stored.first + again, view)
            size = known.size + weight(rows)
            tail = tail_of(stored.rows)
            run = Known(stored.head, known.first, events, tail, size, known.losses)
            self._cache.keep(key, view.name, run)
        self._cache.hit()
        return stored, events if last is None else events[-last:]

    async def _decoded(
        self, key: SessionKey, rows: Sequence[bytes], first: int, view: View[K, E]
    ) -> list[K | None]:
        found: list[UnreadablePart] = []

        def read(numbered: tuple[int, bytes]) -> K | None:
            seq, row = numbered
            try:
                return view.decode(decode_row(row), seq)
            except _NOT_AN_EVENT as error:
                why, raw = _reason(error, view.name), stored_form(row)
                found.append(UnreadablePart(key.owner, key.session, "events", str(seq), why, raw))
                return None

        events = await in_pieces(read, enumerate(rows, first))
        self._quarantine.add(found)
        return events

    async def _session(
        self, key: SessionKey, stored: SessionSnapshot, events: list[K | None], view: View[K, E]
    ) -> Session[E]:
        """The session as the caller gets it."""
        try:
            copies = await in_pieces(view.copy, [event for event in events if event is not None])
        except _NOT_AN_EVENT as error:
            raise _NotCopied from error
        session = await self._states.session(key, stored, copies)
        if len(copies) < len(events):
            return msgspec.structs.replace(session, complete=False)
        return session


def _reason(error: Exception, view: str) -> str:
    """What is wrong with a row. What a view says of it may quote content."""
    if isinstance(error, NotARow):
        return str(error)
    return f"no event as the view {view!r} reads it: {type(error).__name__}"
