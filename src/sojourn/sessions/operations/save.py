"""Write a session as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sojourn.calls.call import Script
from sojourn.sessions import refusals
from sojourn.sessions.event_codec import ids_of
from sojourn.sessions.operation import SessionWrite
from sojourn.sessions.replies import counted, ms, seconds
from sojourn.sessions.store import (
    Change,
    IndexEntry,
    Lifetime,
    LogId,
    Pairs,
    SessionHeader,
    WriteOptions,
    WriteResult,
)

if TYPE_CHECKING:
    from sojourn.sessions.coded import CodedSessions
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions

SCRIPT = Script.beside(__name__)
_SHORT = 64
"""Events up to which a save travels with small calls."""


class Save(SessionWrite[WriteResult], frozen=True):
    """Put a session in the place of what is there, or make it; version 0 is that of none.

    Raises as `Update`, and TooManySessions, TooLarge.

    Attributes:
        change: all fields, and the lifetime; what of that is kept is `ttl`'s in a new session.
        ttl: of a new session, in seconds; None for ever.
        state: its own.
        rows: its log.
        new: whether it may make a session where there is none.
        write: operation id, incarnation, expected version.
    """

    change: Change
    ttl: float | None
    state: Pairs
    rows: Sequence[bytes]
    new: bool
    write: WriteOptions

    async def encoded(self, coded: CodedSessions) -> Save:
        """As `Operation`. The log keeps its id; where there is none, nobody may make one meanwhile.

        A round trip where it is not known here.
        """
        key, write, fields = self.key, self.write, self.change.fields
        known = await coded.find_log(key, write.incarnation)
        if known is not None:
            log_id = known.log_id
            write = WriteOptions(write.operation_id, known.incarnation, write.expected)
        else:
            log_id = fields.get("log_id", b"").decode()
            expected = 0 if write.expected is None else write.expected
            write = WriteOptions(write.operation_id, write.incarnation, expected)
        return Save(
            key,
            self.change._replace(fields=await coded.encoded_fields(fields, key, log_id)),
            self.ttl,
            await coded.encoded_state(self.state, key, log_id),
            await coded.encoded_rows(key, log_id, self.rows),
            self.new,
            write,
        )

    async def decoded(self, result: WriteResult, coded: CodedSessions) -> WriteResult:
        """As `Operation`."""
        write, fields = self.write, self.change.fields
        if coded.codec.writes and not (write.incarnation or result.repeated):
            log_id = fields.get("log_id", b"").decode()
            coded.know(self.key, LogId(write.operation_id, log_id))
        return result

    async def on_server(self, server: RedisSessions) -> WriteResult:
        """One round trip; one more for the first session of a user in this process."""
        key, change, policy = self.key, self.change, server.policy
        min_lifetime = Lifetime(self.ttl).min_lifetime
        known = self.new and not await server.registry.register(key.owner, min_lifetime)
        reply = await server.change(
            SCRIPT,
            key,
            self.write,
            *("keep" if each == "keep" else ms(each) for each in (change.ttl, change.until)),
            ms(self.ttl) if self.new else "none",
            policy.max_state_bytes,
            "" if policy.max_events is None else policy.max_events,
            "" if policy.max_sessions is None else policy.max_sessions,
            *counted(change.fields),
            *counted(self.state),
            len(self.rows),
            *self.rows,
            operations=True,
            separate_connection=len(self.rows) > _SHORT,
        )
        if known and reply[4]:
            server.registry.register_again(key.owner, min_lifetime)
        server.registry.keep_alive(key.owner, seconds(reply[2]))
        server.recent.enter(IndexEntry(key, *reply[5:9]))
        return WriteResult(int(float(reply[1])), int(reply[3]), reply[0] == b"duplicate")

    async def in_memory(self, memory: InMemorySessions) -> WriteResult:
        """As `Operation`."""
        key, write, change, now = self.key, self.write, self.change, memory.now()
        name = f"save:{write.operation_id}"
        session = memory.alive(key)
        if session is not None:
            memory.writable(key, write)
            if name in session.operations:
                return WriteResult(session.operations[name], session.head.seq, repeated=True)
            memory.check_operation(key, write.operation_id, "save")
            memory.check_version(key, session.head, write)
        elif write.incarnation or not self.new:
            raise memory.missing(key, write)
        else:
            memory.check_operation(key, write.operation_id, "save", "create")
            if write.expected:
                raise refusals.missing(key)
        memory.check("state", {}, self.state)
        if session is None:
            memory.check_room(key)
            head = SessionHeader(write.operation_id, 0, -1, 0, 0, now, now, self.ttl, None)
            session = memory.put(key, head, {}, now)
        memory.remember(key, "save", write.operation_id)
        head = session.head
        head = head._replace(
            ttl=head.ttl if change.ttl == "keep" else change.ttl,
            until=head.until if change.until == "keep" else change.until,
        )
        seq = len(self.rows)
        dropped = 0 if memory.max_events is None else max(0, seq - memory.max_events)
        session.head = head._replace(fields={}).from_now(now).told(change.fields)
        if head.version:
            session.head = session.head._replace(log_id=head.log_id)
        session.state, session.rows = dict(self.state), list(self.rows[dropped:])
        session.ids = ids_of(session.rows, dropped + 1)
        written = memory.changed(
            session, name, seq=seq, dropped=dropped, epoch=head.epoch + 1, updated=now
        )
        memory.tell(key, "created" if written.version == 1 else "updated", written.version)
        return written
