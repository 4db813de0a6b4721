"""Append events to the log of a session, and set state."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.codecs import in_pieces
from sojourn.errors import OutcomeUnknown
from sojourn.ids import SessionKey
from sojourn.resilience.deadline import Deadline
from sojourn.sessions import refusals
from sojourn.sessions.event_codec import encoded_row, ids_of, place_of_log
from sojourn.sessions.replies import DONE, as_object, counted
from sojourn.sessions.store import (
    NO_CHANGE,
    Delta,
    IndexEntry,
    Pairs,
    WriteOptions,
    WriteResult,
)

if TYPE_CHECKING:
    from sojourn.sessions.coded import CodedSessions
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions

SCRIPT = Script.beside(__name__)


class Append(Operation[WriteResult], frozen=True):
    """Append rows and set state. Raises SessionNotFound, StaleSession, EventExists, TooLarge.

    Attributes:
        key: to which session.
        rows: events, encoded.
        delta: state to set.
        updated: the time of the last of the events.
        write: operation id, incarnation, expected version.
    """

    key: SessionKey
    rows: Sequence[bytes]
    delta: Delta
    updated: float
    write: WriteOptions

    async def encoded(self, coded: CodedSessions) -> Append:
        """As `Operation`; bound to the session's log. A round trip where that is not known here."""
        known = coded.known_log(self.key, self.write)
        return await self.bound_to(coded, *known or await coded.log_of(self.key, self.write))

    async def bound_to(self, coded: CodedSessions, log_id: str, write: WriteOptions) -> Append:
        """Encoded for a log; `write` names the incarnation that has it."""
        key, rows, delta = self.key, self.rows, self.delta
        coder = await coded.codec.coder(key.app, key.user, create=True)
        log = place_of_log(key, log_id)
        if len(rows) == 1:  # as most
            rows = [encoded_row(coder, log, rows[0])]
        else:
            rows = await in_pieces(partial(encoded_row, coder, log), rows)
        if delta is not NO_CHANGE:
            delta = await coded.encoded_delta(key, log_id, delta)
        return Append(key, rows, delta, self.updated, write)

    async def on_server(self, server: RedisSessions) -> WriteResult:
        """One round trip; one more when the delta touches the app's state."""
        pending = server.engine.start(self.call(server))
        try:
            (reply,) = await pending.future
        finally:
            if pending.started:
                server.engine.tell(pending)
        if pending.doubtful and reply[0] == b"event" and int(reply[1]) == len(self.rows):
            raise self._in_doubt()
        return await self.appended_by(reply, server, pending.deadline)

    def _in_doubt(self) -> OutcomeUnknown:
        """Its events are there: it was done when it was sent first, and its id is forgotten since.

        Unless another operation has appended them.
        """
        name = self.write.operation_id
        return OutcomeUnknown(
            "The append was sent twice, as the first reply was lost, and all of its events are in "
            f"the log: it was done, or another operation has appended them. operation_id={name!r} "
            "is not remembered any more: more than 1,000 writes came in between.",
            operation_id=name,
        )

    def call(self, server: RedisSessions) -> Call[Any]:
        """The script that appends."""
        key, write, delta, rows = self.key, self.write, self.delta, self.rows
        policy = server.policy
        user = server.keys.user(key)
        told = (user.notices,) if policy.notices else ()
        return Call(
            name="sessions.append",
            keys=(*server.keys.session(key), *user[:4], *told),
            read=only,
            script=SCRIPT,
            args=(
                write.operation_id,
                write.incarnation,
                "" if write.expected is None else write.expected,
                key.session,
                self.updated,
                server.shared_ttl,
                policy.max_state_bytes,
                "" if policy.max_events is None else policy.max_events,
                as_object(delta.app) if delta.app else b"",
                len(rows),
                *rows,
                *(counted(delta.session) if delta.session else (0,)),
                *(counted(delta.user) if delta.user else (0,)),
            ),
            operation_id=write.operation_id,
        )

    async def appended_by(self, reply: list[Any], server: RedisSessions, end: float) -> WriteResult:
        """Raise what became of the script, or carry its app delta on."""
        key, write = self.key, self.write
        if reply[0] not in DONE:
            await server.refuse(reply, key, write)
        status, version, seq, stamp, waiting, ttl, expires, labels = reply
        if self.delta.app or waiting:
            app_delta: Pairs = self.delta.app if status == b"ok" else {}
            with Deadline(end):
                await server.shared_state.apply_delta(
                    key.owner, write.operation_id, app_delta, stamp, waiting
                )
        if server.recent.is_due(key):  # once a minute for each session
            server.registry.keep_alive(key.owner, int(ttl) / 1000 if ttl else None)
            server.recent.enter(IndexEntry(key, self.updated, expires, labels))
        return WriteResult(int(float(version)), int(seq), status == b"duplicate")

    async def in_memory(self, memory: InMemorySessions) -> WriteResult:
        """As `Operation`."""
        repeated = self.admit(memory)
        if repeated is not None:
            return repeated
        session = memory.sessions[self.key]
        seq, dropped = session.head.seq + len(self.rows), session.head.dropped
        session.rows += self.rows
        session.ids.update(ids_of(self.rows, session.head.seq + 1))
        session.state.update(self.delta.session)
        if memory.max_events is not None and seq - dropped > memory.max_events:
            dropped = seq - memory.max_events
            del session.rows[: len(session.rows) - memory.max_events]
            session.ids = {name: at for name, at in session.ids.items() if at > dropped}
        name = f"append:{self.write.operation_id}"
        written = memory.changed(session, name, seq=seq, dropped=dropped, updated=self.updated)
        memory.tell(self.key, "appended", written.version)
        memory.set_shared(self.key, self.delta)
        return written

    def admit(self, memory: InMemorySessions) -> WriteResult | None:
        """Raise what it would in memory; what it would return if it is a repetition."""
        session = memory.writable(self.key, self.write)
        name = f"append:{self.write.operation_id}"
        if name in session.operations:
            return WriteResult(session.operations[name], session.head.seq, repeated=True)
        memory.check_version(self.key, session.head, self.write)
        memory.check("state", session.state, self.delta.session)
        memory.check("user state", memory.values(self.key.owner), self.delta.user)
        known = [name for name in ids_of(self.rows, 0) if name in session.ids]
        if known:
            raise refusals.event_exists(len(known), known[-1])
        return None
