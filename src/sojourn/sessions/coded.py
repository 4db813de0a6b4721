"""Session store that encodes content: rows of logs, fields and states."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from sojourn.calls.coded import CodedStore
from sojourn.calls.operation import Operation, R, RoomStore
from sojourn.caps import CEILING
from sojourn.codecs import in_pieces
from sojourn.codecs.codec import Codec, Coder, Place
from sojourn.codecs.growth import MARK
from sojourn.errors import Erased, SessionNotFound, Undecodable
from sojourn.ids import SessionKey, UserKey
from sojourn.sessions.event_codec import decoded_row, encoded_row
from sojourn.sessions.operations.log_id import ReadLogId
from sojourn.sessions.record import FIELDS
from sojourn.sessions.store import (
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
_NOBODY = LogId("none", "")
"""Of a session that is not there: no session has this incarnation, so the store says so."""


class CodedSessions(CodedStore):
    """As `CodedStore`. Content of a session is bound to its `log_id`, which a writer has to know.

    It is remembered with the incarnation of the session, and a write names that: when another
    session has the id by now, the write is refused, encoded anew and sent again.
    """

    def __init__(self, store: RoomStore, codec: Codec) -> None:
        super().__init__(store, codec)
        self._logs: dict[SessionKey, LogId] = {}
        self._lock = threading.Lock()

    async def _coded(self, operation: Operation[R]) -> R:
        try:
            return await super()._coded(operation)
        except SessionNotFound:
            key: SessionKey | None = getattr(operation, "key", None)
            with self._lock:
                known = self._logs.pop(key, None) if key is not None else None
            if known is None or not self.codec.writes:
                raise
        return await super()._coded(operation)

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

    async def log_of(self, key: SessionKey, write: WriteOptions) -> tuple[LogId, WriteOptions]:
        """The log's id of a session, and options of a write that say so. None, or one round trip.

        Of a session that is not there they are such that the store refuses the write.
        """
        known = self._logs.get(key)
        if known is None or (write.incarnation and write.incarnation != known.incarnation):
            found = await self._store.run(ReadLogId(key))
            known = found or _NOBODY
            if found is not None:
                self.know(key, found)
        if write.incarnation:
            return known, write
        return known, replace(write, incarnation=known.incarnation)

    async def encoded_rows(self, key: SessionKey, log: LogId, rows: Sequence[bytes]) -> list[bytes]:
        """Rows of a session's log as they are stored."""
        coder = await self.codec.coder(key.app, key.user, create=True)
        if len(rows) == 1:
            return [encoded_row(coder, key, log.log_id, rows[0])]
        return await in_pieces(lambda row: encoded_row(coder, key, log.log_id, row), rows)

    async def encoded_delta(self, key: SessionKey, log: LogId, delta: Delta) -> Delta:
        """State to set as it is stored."""
        owner = UserKey(key.app, key.user)
        return Delta(
            await self.encoded_state(delta.session, owner, "state", log.log_id),
            await self.encoded_state(delta.user, owner, "user state"),
            await self.encoded_state(delta.app, owner, "app state"),
        )

    async def encoded_state(
        self, pairs: Pairs, owner: UserKey, field: str, log_id: str = ""
    ) -> Pairs:
        """State of a session, a user or an app (`field` says which) as it is stored."""
        if not pairs:
            return pairs
        user = None if field == "app state" else owner.user
        coder = await self.codec.coder(owner.app, user, create=True)
        place = Place("sessions", field, owner.app, user, log_id)
        return {
            name: coder.encode(value, place._replace(name=name), sized=True)
            for name, value in pairs.items()
        }

    async def encoded_fields(self, fields: Pairs, key: SessionKey, log_id: str) -> Pairs:
        """Fields that applications set as they are stored; labels stay as they are."""
        coder = await self.codec.coder(key.app, key.user, create=True)
        return {
            name: coder.encode(
                value,
                Place("sessions", name, key.app, key.user, log_id),
                json=FIELDS[name].is_json,
            )
            if name in FIELDS and not FIELDS[name].in_clear
            else value
            for name, value in fields.items()
        }

    async def decoded_state(self, pairs: Pairs, owner: UserKey, field: str) -> Pairs:
        """State of a user or an app (`field` says which) that the store gave."""
        if not pairs or (
            self.codec.keys is None and not any(each[:1] == MARK for each in pairs.values())
        ):
            return pairs
        user = None if field == "app state" else owner.user
        coder = await self.codec.coder(owner.app, user, pairs.values())
        return _opened(coder, pairs, Place("sessions", field, owner.app, user))

    async def decoded_snapshot(self, key: SessionKey, stored: SessionSnapshot) -> SessionSnapshot:
        """A session that the store gave, with its content decoded.

        What was damaged or tampered with stays as it stands, as `Unopened`.

        Raises:
            Undecodable: this process has not what it needs to decode it.
            Erased: the key was destroyed.
        """
        self.remember(key, stored.head)
        if self.codec.keys is None and not any(each[:1] == MARK for each in _values(stored)):
            return stored
        log_id, app, user = stored.head.log_id, key.app, key.user
        coder = await self.codec.coder(app, user, _values(stored))
        apps = await self.codec.coder(app, None, stored.app.values()) if stored.app else coder
        rows = await in_pieces(lambda row: decoded_row(coder, key, log_id, row), stored.rows)
        fields = {
            name: coder.open(value, Place("sessions", name, app, user, log_id), CEILING.state)
            if name in FIELDS and not FIELDS[name].in_clear
            else value
            for name, value in stored.head.fields.items()
        }
        return stored._replace(
            head=stored.head._replace(fields=fields),
            state=_opened(coder, stored.state, Place("sessions", "state", app, user, log_id)),
            user=_opened(coder, stored.user, Place("sessions", "user state", app, user)),
            app=_opened(apps, stored.app, Place("sessions", "app state", app, None)),
            rows=rows,
        )

    async def decoded_page(self, page: StoredPage) -> StoredPage:
        """A page that the store gave; sessions that cannot be decoded here are marked as newer."""
        sessions: list[tuple[SessionKey, SessionSnapshot]] = []
        newer = [*page.newer]
        for key, stored in page.sessions:
            try:
                sessions.append((key, await self.decoded_snapshot(key, stored)))
            except (Undecodable, Erased):
                newer.append(key)
        return page._replace(sessions=sessions, newer=newer)


def _values(stored: SessionSnapshot) -> Iterator[bytes]:
    yield from stored.rows
    for pairs in (stored.head.fields, stored.state, stored.user, stored.app):
        yield from pairs.values()


def _opened(coder: Coder, pairs: Pairs, place: Place) -> Pairs:
    return {
        name: coder.open(value, place._replace(name=name), CEILING.state)
        for name, value in pairs.items()
    }
