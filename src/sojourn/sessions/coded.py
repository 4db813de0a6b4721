"""Session store that encodes content: rows of logs, fields and states."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any

from sojourn.calls.coded import CodedStore
from sojourn.calls.operation import Operation, R, RoomStore
from sojourn.caps import CEILING
from sojourn.codecs import in_pieces
from sojourn.codecs.codec import Codec, Coder, Place
from sojourn.codecs.growth import MARK
from sojourn.codecs.pieces import Turns
from sojourn.errors import Erased, SessionNotFound, SojournError, StaleSession, Undecodable
from sojourn.ids import AppName, SessionKey, UserKey
from sojourn.process_bound import tell_after_fork
from sojourn.sessions import refusals
from sojourn.sessions.event_codec import decoded_row, encoded_row, place_of_log
from sojourn.sessions.operations.append import Append
from sojourn.sessions.operations.begin import Begin
from sojourn.sessions.operations.create import Create
from sojourn.sessions.operations.delete import Delete
from sojourn.sessions.operations.log_id import ReadLogId
from sojourn.sessions.operations.save import Save
from sojourn.sessions.operations.update import Update
from sojourn.sessions.record import FIELDS, is_content
from sojourn.sessions.store import (
    NO_CHANGE,
    Change,
    Delta,
    LogId,
    Pairs,
    SessionHeader,
    SessionSnapshot,
    StoredPage,
    WriteOptions,
)

_KNOWN = 10_000
"""Sessions of which the log's id is remembered."""
_FEW = 4
"""Values that are encoded or decoded at once."""
_TRIES = 5
"""How often a write is encoded, when each time another session has the id by then."""


class CodedSessions(CodedStore):
    """As `CodedStore`. Content of a session is bound to its `log_id`, which a writer has to know.

    It is remembered with the incarnation of the session, and a write names that: when another
    session has the id by now, the write is refused, encoded once more and sent under its own
    operation id. The `log_id` of an incarnation never changes.
    """

    def __init__(self, store: RoomStore, codec: Codec) -> None:
        super().__init__(store, codec)
        self._logs: dict[SessionKey, LogId] = {}
        self._lock = threading.Lock()
        tell_after_fork(self)

    def after_fork(self) -> None:
        """Forget a lock that a thread of the parent holds."""
        self._lock = threading.Lock()

    async def _coded(self, operation: Operation[R]) -> R:
        if not self.codec.writes:
            return await operation.decoded(await self._store.run(operation), self)
        tries = _TRIES
        while True:
            tries -= 1
            encoded = await operation.encoded(self)
            try:
                result = await self._store.run(encoded)
            except (SessionNotFound, StaleSession) as refused:
                if not (tries and self._was_outdated(operation, encoded, refused)):
                    raise
                continue
            if isinstance(encoded, Append):  # a step less for what is done most
                return result
            return await encoded.decoded(result, self)

    def _was_outdated(
        self, operation: Operation[Any], encoded: Operation[Any], refused: SojournError
    ) -> bool:
        """Whether a write was refused for what was remembered, which then is forgotten."""
        asked, sent = _write_of(operation), _write_of(encoded)
        if asked is None or sent is None:
            return False
        (key, mine), (_, bound) = asked, sent
        if isinstance(refused, StaleSession):  # there was none when it was encoded
            return mine.expected is None is not bound.expected
        with self._lock:
            known = self._logs.get(key)
            if known is not None and known.incarnation == bound.incarnation:
                del self._logs[key]
        return mine.incarnation != bound.incarnation

    async def undo(self, create: Create) -> None:
        """Delete a session that was made a moment ago, and that nobody else knows. A round trip."""
        with suppress(SojournError):  # it expires
            done = WriteOptions(f"undo {create.operation_id}", create.operation_id)
            await self._store.run(Delete(create.key, done))

    def remember(self, key: SessionKey, head: SessionHeader) -> None:
        """Remember the log's id of a session that was read."""
        if self.codec.writes:
            self.know(key, LogId(head.incarnation, head.log_id))

    def know(self, key: SessionKey, log: LogId) -> None:
        """Remember the log's id of a session that was made."""
        with self._lock:
            self._logs.pop(key, None)
            self._logs[key] = log
            if len(self._logs) > _KNOWN:
                del self._logs[next(iter(self._logs))]

    def known_log(self, key: SessionKey, write: WriteOptions) -> tuple[str, WriteOptions] | None:
        """The log's id of a session, and options of a write that say so; None: not known."""
        known = self._logs.get(key)
        if known is None:
            return None
        if not write.incarnation:
            options = WriteOptions(write.operation_id, known.incarnation, write.expected)
            return known.log_id, options
        return (known.log_id, write) if write.incarnation == known.incarnation else None

    async def log_of(self, key: SessionKey, write: WriteOptions) -> tuple[str, WriteOptions]:
        """The same, asked for where it is not known. None, or one round trip.

        Raises:
            SessionNotFound: there is none, or not this incarnation.
        """
        if await self.find_log(key, write.incarnation) is None:
            raise refusals.missing(key)
        found = self.known_log(key, write)
        return found or await self.log_of(key, write)  # another task has forgotten it

    async def find_log(self, key: SessionKey, wanted: str = "") -> LogId | None:
        """The log's id of a session, of an incarnation if one is wanted; None when there is none.

        None, or one round trip.

        Raises:
            SessionNotFound: there is no such incarnation: it says what has become of it.
        """
        known = self._logs.get(key)
        if known is not None and wanted in ("", known.incarnation):
            return known
        known = await self._store.run(ReadLogId(key))
        if wanted and (known is None or known.incarnation != wanted):
            await self._store.run(Update(key, Change({}), WriteOptions("wanted", wanted)))
            return None
        if known is not None:
            self.know(key, known)
        return known

    async def encoded_rows(
        self, key: SessionKey, log_id: str, rows: Sequence[bytes]
    ) -> Sequence[bytes]:
        """Rows of a session's log as they are stored."""
        coder = await self.codec.coder(key.app, key.user, create=True)
        log = place_of_log(key, log_id)
        return await in_pieces(partial(encoded_row, coder, log), rows)

    async def encoded_delta(self, key: SessionKey, log_id: str, delta: Delta) -> Delta:
        """State to set as it is stored."""
        if delta is NO_CHANGE:
            return delta
        return Delta(
            await self.encoded_state(delta.session, key, log_id),
            await self.encoded_state(delta.user, key.owner),
            await self.encoded_state(delta.app, key.app),
        )

    async def encoded_state(
        self, pairs: Pairs, of: SessionKey | UserKey | AppName, log_id: str = ""
    ) -> Pairs:
        """State of a session, a user or an app as it is stored."""
        if not pairs:
            return pairs
        place = _place_of_state(of, log_id)
        coder = await self.codec.coder(place.app, place.user, create=True)

        def encoded(pair: tuple[str, bytes]) -> bytes:
            name, value = pair
            if value[:1] == MARK:
                return value
            return coder.encode(value, _named(place, name), sized=True)

        return await _each(encoded, pairs)

    async def encoded_fields(self, fields: Pairs, key: SessionKey, log_id: str) -> Pairs:
        """Fields that applications set as they are stored; labels stay as they are."""
        if not any(map(is_content, fields)):
            return fields
        coder = await self.codec.coder(key.app, key.user, create=True)
        return {
            name: coder.encode(
                value,
                Place("sessions", name, key.app, key.user, log_id),
                json=FIELDS[name].is_json,
            )
            if is_content(name) and value[:1] != MARK
            else value
            for name, value in fields.items()
        }

    async def decoded_state(self, pairs: Pairs, of: UserKey | AppName) -> Pairs:
        """State of a user or an app that the store gave.

        What was damaged or tampered with is `Unopened`.

        Raises:
            Undecodable: this process has not what it needs to decode it.
            Erased: the key was destroyed.
        """
        if not pairs or not self._is_to_be_decoded(pairs.values()):
            return pairs
        place = _place_of_state(of)
        coder = await self.codec.coder(place.app, place.user, pairs.values())
        return await _opened(coder, pairs, place)

    async def decoded_rows(
        self, key: SessionKey, log_id: str, rows: Sequence[bytes]
    ) -> Sequence[bytes]:
        """Rows of a log that the store gave; raises as `decoded_state`."""
        if not rows or not self._is_to_be_decoded(rows):
            return rows
        coder = await self.codec.coder(key.app, key.user, rows)
        return await in_pieces(partial(decoded_row, coder, place_of_log(key, log_id)), rows)

    async def decoded_snapshot(self, key: SessionKey, stored: SessionSnapshot) -> SessionSnapshot:
        """A session that the store gave, with its content decoded; raises as `decoded_state`."""
        head, state, user, app, rows, *_ = stored
        self.remember(key, head)
        shared = user.values(), app.values()
        if not self._is_to_be_decoded(chain(rows, head.fields.values(), state.values(), *shared)):
            return stored
        coder = await self.codec.coder(key.app, key.user, _values(stored))
        fields = {
            name: coder.open(
                value, Place("sessions", name, key.app, key.user, head.log_id), CEILING.state
            )
            if is_content(name)
            else value
            for name, value in head.fields.items()
        }
        log = place_of_log(key, head.log_id)
        return stored._replace(
            head=head._replace(fields=fields),
            state=await _opened(coder, state, _place_of_state(key, head.log_id)),
            user=await _opened(coder, user, _place_of_state(key.owner)),
            app=await self.decoded_state(app, key.app),
            rows=await in_pieces(partial(decoded_row, coder, log), rows),
        )

    async def decoded_page(self, page: StoredPage) -> StoredPage:
        """A page that the store gave; sessions that cannot be decoded here are marked as newer."""
        if self.codec.keys is not None:  # all keys that are not cached, at once
            owners = {key.owner: stored for key, stored in page.sessions}
            coders = [self.codec.coder(*owner, _values(stored)) for owner, stored in owners.items()]
            await asyncio.gather(*coders, return_exceptions=True)
        sessions: list[tuple[SessionKey, SessionSnapshot]] = []
        newer = [*page.newer]
        turns = Turns()
        for key, stored in page.sessions:
            try:
                sessions.append((key, await self.decoded_snapshot(key, stored)))
            except (Undecodable, Erased):
                newer.append(key)
            await turns.rest()
        return page._replace(sessions=sessions, newer=newer)

    def _is_to_be_decoded(self, values: Iterable[bytes]) -> bool:
        """Whether one of these has an encoding, or should have one."""
        return self.codec.keys is not None or max(values, default=b"") >= MARK  # no text is above


def _write_of(operation: Operation[Any]) -> tuple[SessionKey, WriteOptions] | None:
    """The session to whose log content is bound, and the options of the write."""
    if isinstance(operation, Begin):
        operation = operation.append
    if isinstance(operation, Append | Update | Save):
        return operation.key, operation.write
    return None


def _place_of_state(of: SessionKey | UserKey | AppName, log_id: str = "") -> Place:
    """Where state stands; the name is the key of each value."""
    if isinstance(of, SessionKey):
        return Place("sessions", "state", of.app, of.user, log_id)
    if isinstance(of, UserKey):
        return Place("sessions", "user state", of.app, of.user)
    return Place("sessions", "app state", of, None)


def _values(stored: SessionSnapshot) -> Iterator[bytes]:
    """What of a session its user's key has sealed."""
    yield from stored.rows
    for pairs in (stored.head.fields, stored.state, stored.user):
        yield from pairs.values()


def _named(of: Place, name: str) -> Place:
    """Where the value of a key stands in a state."""
    return Place(of.room, of.field, of.app, of.user, of.within, name)


async def _opened(coder: Coder, pairs: Pairs, of: Place) -> Pairs:
    return await _each(lambda pair: coder.open(pair[1], _named(of, pair[0]), CEILING.state), pairs)


async def _each(make: Callable[[tuple[str, bytes]], bytes], pairs: Pairs) -> Pairs:
    """What is made of each of some values, by their names."""
    if len(pairs) <= _FEW:
        return {pair[0]: make(pair) for pair in pairs.items()}
    return dict(zip(pairs, await in_pieces(make, pairs.items()), strict=True))
