"""Set fields of a session, or how long it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sojourn.calls.call import Script
from sojourn.sessions import refusals
from sojourn.sessions.operation import SessionWrite
from sojourn.sessions.record import FIELDS
from sojourn.sessions.replies import ms, seconds
from sojourn.sessions.store import Change, IndexEntry, WriteOptions, WriteResult

if TYPE_CHECKING:
    from sojourn.sessions.coded import CodedSessions
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.outage_cache import OutageCache
    from sojourn.sessions.redis import RedisSessions

SCRIPT = Script.beside(__name__)


class Update(SessionWrite[WriteResult], frozen=True):
    """Set fields or the lifetime. Raises SessionNotFound, StaleSession, TooManyLabels.

    Attributes:
        change: the values to set.
        write: operation id, incarnation, expected version.
    """

    change: Change
    write: WriteOptions

    async def encoded(self, coded: CodedSessions) -> Update:
        """As `Operation`; bound to the session's log. A round trip where that is not known here."""
        fields = self.change.fields
        if all(FIELDS[name].in_clear for name in fields):
            return self
        log_id, write = await coded.log_of(self.key, self.write)
        fields = await coded.encoded_fields(fields, self.key, log_id)
        return Update(self.key, self.change._replace(fields=fields), write)

    async def on_server(self, server: RedisSessions) -> WriteResult:
        """One round trip."""
        key, change = self.key, self.change
        reply = await server.change(
            SCRIPT,
            key,
            self.write,
            *("keep" if each == "keep" else ms(each) for each in (change.ttl, change.until)),
            refusals.MAX_LABELS,
            *(part for pair in change.fields.items() for part in pair),
        )
        server.registry.keep_alive(key.owner, seconds(reply[2]))
        now = IndexEntry(key, *reply[3:7])
        if now.labels == now.former and change.ttl == change.until == "keep":
            server.recent.changed(now)
        else:
            server.recent.enter(now)
        return WriteResult(int(float(reply[1])), 0, reply[0] == b"duplicate")

    async def in_memory(self, memory: InMemorySessions) -> WriteResult:
        """As `Operation`."""
        session = memory.writable(self.key, self.write)
        name, change = f"update:{self.write.operation_id}", self.change
        if name in session.operations:
            return WriteResult(session.operations[name], 0, repeated=True)
        memory.check_version(self.key, session.head, self.write)
        head = session.head
        ttl = head.ttl if change.ttl == "keep" else change.ttl
        until = head.until if change.until == "keep" else change.until
        told = head._replace(ttl=ttl, until=until).from_now(memory.now()).told(change.fields)
        if "labels" in change.fields and len(told.labels) > refusals.MAX_LABELS:
            raise refusals.too_many_labels(len(told.labels))
        session.head = told
        if change.is_touch:
            return WriteResult(head.version, 0, repeated=False)
        written = memory.changed(session, name, updated=memory.now())
        memory.tell(self.key, "updated", written.version)
        return replace(written, seq=0)

    def hold(self, held: OutageCache, result: WriteResult) -> None:
        """As `SessionWrite`."""
        held.changed(self.key, self.change, result)
