"""Read sessions, logs and states in their stored form, for export. It lengthens no lifetime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.codecs import in_pieces
from sojourn.errors import CorruptRecord, Unavailable
from sojourn.ids import AppName, SessionKey, UserKey
from sojourn.sessions.archive import ArchivedState, LogSlice
from sojourn.sessions.event_codec import archived_row
from sojourn.sessions.session_codec import FOREIGN, app_state, parse_head, user_state
from sojourn.sessions.store import LogId, SessionSnapshot

if TYPE_CHECKING:
    from sojourn.sessions.coded import CodedSessions
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions

_SLICE = Script.beside(__name__, "read_log_slice")


class ReadStoredSession(Operation[SessionSnapshot | None], frozen=True):
    """A session with its own state and no rows. Raises CorruptRecord, NewerFormat.

    Attributes:
        key: which session.
    """

    key: SessionKey

    async def on_server(self, server: RedisSessions) -> SessionSnapshot | None:
        """One round trip."""
        name = server.keys.session(self.key).head
        call: Call[list[Any]] = Call(
            *("sessions.find", (name,), only, [("HGETALL", name)]),
            separate_connection=True,
            allow_wrong_type=True,
        )
        fields = await server.engine.run(call)
        if not fields:
            return None
        head, state, flaws, newer = parse_head(fields)
        if newer is not None:
            raise newer
        if head is None:
            raise CorruptRecord(f"The session at {name!r} cannot be read.", key=name, raw=b"")
        return SessionSnapshot(head, state, {}, {}, [], 0, readable=not flaws)

    async def decoded(
        self, result: SessionSnapshot | None, coded: CodedSessions
    ) -> SessionSnapshot | None:
        """As `Operation`; what was tampered with is `Unopened`."""
        return None if result is None else await coded.decoded_snapshot(self.key, result)

    async def in_memory(self, memory: InMemorySessions) -> SessionSnapshot | None:
        """As `Operation`."""
        found = memory.alive(self.key)
        if found is None:
            return None
        return SessionSnapshot(found.head, dict(found.state), {}, {}, [], 0)


class ReadLogSlice(Operation[LogSlice | None], frozen=True):
    """A part of a log; None when there is no session.

    Raises CorruptRecord when the session's fields cannot be read, or its log is none.

    Attributes:
        key: of which session.
        first: number of the first event; below zero, so many from the end.
        most: how many rows at most.
        size: bytes after which no more rows follow.
    """

    key: SessionKey
    first: int
    most: int
    size: int

    async def on_server(self, server: RedisSessions) -> LogSlice | None:
        """One round trip."""
        head, events, *_ = server.keys.session(self.key)
        call: Call[list[Any]] = Call(
            *("sessions.read_log_slice", (head, events), only),
            script=_SLICE,
            args=(self.first, self.most, self.size),
            separate_connection=True,
        )
        reply = await server.engine.run(call)
        if not reply:
            return None
        if reply[0] == b"corrupt":
            raise CorruptRecord(f"The session at {head!r} cannot be read.", key=head, raw=b"")
        _, incarnation, log_id, version, epoch, dropped, lost, seq, first, *rows = reply
        log, place = LogId.read(incarnation, log_id), (epoch, dropped, lost, seq, first)
        return LogSlice(log.incarnation, *place, rows, log.log_id, version)

    async def decoded(self, result: LogSlice | None, coded: CodedSessions) -> LogSlice | None:
        """As `Operation`; rows are as `encode_row` gave them, or `Unopened`."""
        if result is None:
            return None
        rows = await coded.decoded_rows(self.key, result.log_id, result.rows)
        return result._replace(rows=await in_pieces(archived_row, rows))

    async def in_memory(self, memory: InMemorySessions) -> LogSlice | None:
        """As `Operation`."""
        session, size = memory.alive(self.key), self.size
        if session is None:
            return None
        head = session.head
        wanted = self.first if self.first >= 0 else head.seq + 1 + self.first
        first = max(wanted, head.dropped + 1)
        start, rows = first - head.dropped - 1, list[bytes]()
        for row in session.rows[start : start + self.most]:
            rows.append(row)
            size -= len(row)
            if size <= 0:
                break
        place = head.epoch, head.dropped, 0, head.seq, first
        return LogSlice(head.incarnation, *place, rows, head.log_id, head.version)


class ReadStoredState(Operation[ArchivedState], frozen=True):
    """The state of a user, once its app has all changes that the user's sessions left; or an app's.

    Raises CorruptRecord when it is a key of another type, and Unavailable when such a change
    cannot be carried out now.

    Attributes:
        of: the user or the app.
    """

    of: UserKey | AppName

    async def on_server(self, server: RedisSessions) -> ArchivedState:
        """One round trip; more when changes of the app's state are left to be carried out."""
        of, newer = self.of, 0
        key = server.state_key(of)
        commands = [("TIME",), ("PTTL", key), ("HGETALL", key)]
        calls: list[Call[Any]] = [
            Call("sessions.state", (key,), list, commands, allow_wrong_type=True)
        ]
        if isinstance(of, UserKey):
            outbox = server.keys.user(of).outbox
            calls.append(Call("sessions.outbox", (outbox,), only, [("HLEN", outbox)]))
        (clock, left, fields), *waiting = await server.engine.run_all(calls)
        if isinstance(of, UserKey) and any(waiting):
            flushed = await server.shared_state.flush(of)
            newer = flushed.newer
            if flushed.left:
                raise Unavailable("A change of the app's state cannot be carried out now.")
        found = user_state(fields) if isinstance(of, UserKey) else app_state(fields)
        if FOREIGN in found.flaws:
            raise CorruptRecord(f"{key!r} is a key of another type.", key=key, raw=b"")
        now = int(clock[0]) * 1000 + int(clock[1]) // 1000
        expires = None if left < 0 else (now + left) / 1000
        return ArchivedState(found.known(), expires, not found.flaws, found.more, newer)

    async def decoded(self, result: ArchivedState, coded: CodedSessions) -> ArchivedState:
        """As `Operation`; values that were tampered with are `Unopened`."""
        return result._replace(pairs=await coded.decoded_state(result.pairs, self.of))

    async def in_memory(self, memory: InMemorySessions) -> ArchivedState:
        """As `Operation`."""
        values = memory.values(self.of)
        return ArchivedState(dict(values), memory.shared_state[self.of].expires if values else None)


class ReadClock(Operation[float], frozen=True):
    """The time where sessions are stored, seconds since the epoch."""

    async def on_server(self, server: RedisSessions) -> float:
        """One round trip."""
        call: Call[Any] = Call("sessions.clock", (server.keys.apps(),), only, [("TIME",)])
        seconds, micros = await server.engine.run(call)
        return int(seconds) + int(micros) / 1_000_000

    async def in_memory(self, memory: InMemorySessions) -> float:
        """As `Operation`."""
        return memory.now()
