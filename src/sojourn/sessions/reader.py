"""Reading a session: what this process knows already, and what came since."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Generic, NamedTuple, TypeVar

from sojourn.codecs import decode
from sojourn.errors import CorruptRecord
from sojourn.ids import SessionKey
from sojourn.sessions import scope
from sojourn.sessions.model import Event, Session
from sojourn.sessions.nearcache import Known, NearCache, weight
from sojourn.sessions.rows import Row, decode_row
from sojourn.sessions.store import Pairs, SessionStore, Stored, Window

E = TypeVar("E")
K = TypeVar("K")

_CHUNK = 200
"""Events decoded before other tasks have their turn."""
_FIRST_LOOK = 64
"""Events read from the end when looking for a time."""


class View(NamedTuple, Generic[K, E]):
    """How events look to a caller.

    Attributes:
        name: tells views apart in the near-cache.
        decode: makes what is kept in the near-cache of a stored row and its place in the log.
        copy: what a caller gets of it, so that nobody changes what others see.
        time_of: when it happened, seconds since the epoch.
    """

    name: str
    decode: Callable[[Row, int], K]
    copy: Callable[[K], E]
    time_of: Callable[[K], float]


def _kept(row: Row, seq: int) -> tuple[Row, int]:
    return row, seq


def _event(kept: tuple[Row, int]) -> Event:
    """Payload and delta are decoded for each caller: they can be changed."""
    row, seq = kept
    return Event(
        author=row.author,
        payload=decode(bytes(row.payload)),
        kind=row.kind,
        id=row.id,
        time=row.time,
        state_delta=decode(bytes(row.state_delta)),
        seq=seq,
    )


def _time_of(kept: tuple[Row, int]) -> float:
    return kept[0].time


EVENTS: Final[View[tuple[Row, int], Event]] = View("sojourn", _kept, _event, _time_of)


class Reader:
    """Reads sessions of a store in any view, and remembers what it has decoded."""

    def __init__(self, store: SessionStore, cache: NearCache) -> None:
        self._store = store
        self._cache = cache

    async def last(self, key: SessionKey, last: int | None, view: View[K, E]) -> Session[E] | None:
        """The session with its last `last` events (None: all)."""
        stored, events = await self._read(key, last, view)
        return None if stored is None else session_of(key, stored, _copies(events, view))

    async def after(self, key: SessionKey, seq: int, view: View[K, E]) -> Session[E] | None:
        """The session with the events behind a number at least, looking back as `since` does."""
        look = _FIRST_LOOK
        while True:
            stored, events = await self._read(key, look, view)
            if stored is None:
                return None
            if stored.head.seq - len(events) <= seq or len(events) < look:
                return session_of(key, stored, _copies(events, view))
            look *= 4

    async def since(
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
            older = [i for i, event in enumerate(events) if view.time_of(event) < since]
            most = stored.head.seq - stored.head.dropped if last is None else last
            if older or look >= most or len(events) < look:
                found = events[older[-1] + 1 :] if older else events
                return session_of(key, stored, _copies(found, view))
            look = min(look * 4, most)

    async def _read(
        self, key: SessionKey, last: int | None, view: View[K, E]
    ) -> tuple[Stored | None, list[K]]:
        known = self._cache.find(key, view.name)
        if known is not None and last != 0 and known.covers(last):
            stored = await self._store.read(key, Window(start=known.last_index))
            if stored is not None and known.continued_by(stored):
                return await self._continue(key, known, stored, last, view)
        stored = await self._store.read(key, Window(last=last))
        if stored is None:
            self._cache.drop(key, view.name)
            return None, []
        events = await self._decoded(key, stored.rows, stored.first, view)
        self._cache.miss()
        if stored.rows and stored.complete and stored.durable:
            run = Known(stored.head, stored.first, events, stored.rows[-1], weight(stored.rows))
            self._cache.keep(key, view.name, run)
        return stored, events

    async def _continue(
        self, key: SessionKey, known: Known, stored: Stored, last: int | None, view: View[K, E]
    ) -> tuple[Stored, list[K]]:
        """The known events and those behind them; the first row read is the last one known."""
        rows = stored.rows[1:]
        events: list[K] = known.events
        if rows:
            events = events + await self._decoded(key, rows, stored.first + 1, view)
            size = known.size + weight(rows)
            run = Known(stored.head, known.first, events, rows[-1], size)
            self._cache.keep(key, view.name, run)
        self._cache.hit()
        return stored, events if last is None else events[-last:]

    async def _decoded(
        self, key: SessionKey, rows: Sequence[bytes], first: int, view: View[K, E]
    ) -> list[K]:
        name = "/".join(key)
        events: list[K] = []
        for start in range(0, len(rows), _CHUNK):
            if start:
                await asyncio.sleep(0)
            with _collector_paused():
                chunk = rows[start : start + _CHUNK]
                events += [
                    view.decode(decode_row(row, name), seq)
                    for seq, row in enumerate(chunk, first + start)
                ]
        return events


@contextmanager
def _collector_paused() -> Generator[None]:
    """No garbage collection while objects are made that all stay: it would walk them for nothing.

    Nothing is awaited inside, so no other task of the loop runs without it.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def session_of(key: SessionKey, stored: Stored, events: list[E]) -> Session[E]:
    """The session that a store gave, with events in whatever view.

    Raises:
        CorruptRecord: its state or metadata is not JSON.
    """
    head = stored.head
    try:
        metadata: dict[str, Any] = decode(head.metadata)
        state = merged(stored.state, stored.user, stored.app)
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
        durable=stored.durable,
    )


def merged(session: Pairs, user: Pairs, app: Pairs) -> dict[str, Any]:
    """The state that an agent sees, decoded."""
    return decoded(scope.merge(session, user, app))


def decoded(pairs: Pairs) -> dict[str, Any]:
    """State values from their JSON text."""
    return {name: decode(value) for name, value in pairs.items()}


def _copies(events: list[K], view: View[K, E]) -> list[E]:
    with _collector_paused():
        return [view.copy(event) for event in events]
