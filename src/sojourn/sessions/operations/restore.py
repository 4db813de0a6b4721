"""Write sessions, logs and states in their stored form, for import."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import structs

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.caps import CEILING
from sojourn.errors import TooLarge
from sojourn.ids import AppName, SessionKey, UserKey, new_operation_id
from sojourn.sessions import refusals
from sojourn.sessions.archive import STAGED, ArchivedSession, Outcome
from sojourn.sessions.event_codec import ids_of
from sojourn.sessions.index_registry import REGISTER
from sojourn.sessions.inmemory import InMemorySessions, SessionInMemory, SharedStateInMemory
from sojourn.sessions.recent import entry_of
from sojourn.sessions.replies import DONE, counted, ms
from sojourn.sessions.store import IndexEntry, Pairs, WriteOptions

if TYPE_CHECKING:
    from sojourn.sessions.coded import CodedSessions
    from sojourn.sessions.redis import RedisSessions

_STAGE, _RESTORE, _EXPIRE, _STATE = (
    Script.beside(__name__, name)
    for name in ("stage_events", "restore_session", "set_expiry", "restore_state")
)

_CENTURY = 3_155_760_000.0
"""Seconds; the index of apps knows no "never"."""


class StageEvents(Operation[int], frozen=True):
    """Keep rows of a log that is not there yet, for an hour; how many there are now.

    Only those are added that are not there. With fewer than `before` none are.

    Attributes:
        key: of which session.
        name: of the rows, as in `ArchivedSession.staged`.
        dropped: the first of all is event `dropped + 1`.
        before: how many rows come before these.
        rows: the rows.
        log_id: of the session that they are for.
    """

    key: SessionKey
    name: str
    dropped: int
    before: int
    rows: Sequence[bytes]
    log_id: str = ""

    async def encoded(self, coded: CodedSessions) -> StageEvents:
        """As `Operation`."""
        rows = await coded.encoded_rows(self.key, self.log_id, self.rows)
        return structs.replace(self, rows=rows)

    async def on_server(self, server: RedisSessions) -> int:
        """One round trip."""
        call: Call[int] = Call(
            *("sessions.stage_events", server.keys.staged(self.key, self.name), only),
            script=_STAGE,
            args=(self.before, ms(STAGED), self.dropped, *self.rows),
            separate_connection=True,
        )
        return await server.engine.run(call)

    async def in_memory(self, memory: InMemorySessions) -> int:
        """As `Operation`."""
        staged = memory.staged.setdefault((self.key, self.name), [])
        if len(staged) >= self.before:
            staged += self.rows[len(staged) - self.before :]
        return len(staged)


class RestoreSession(Operation[Outcome], frozen=True):
    """Write a session in one step, with the rows that were staged; repeated, once.

    Raises TooManySessions, TooLarge, and Conflict when it was restored under this incarnation and
    is gone, or when its rows are.

    Attributes:
        key: which session.
        image: all of it.
        replace: whether it replaces a session of this id.
    """

    key: SessionKey
    image: ArchivedSession
    replace: bool

    async def encoded(self, coded: CodedSessions) -> RestoreSession:
        """As `Operation`."""
        key, image, head = self.key, self.image, self.image.head
        image = image._replace(
            head=head._replace(fields=await coded.encoded_fields(head.fields, key, head.log_id)),
            state=await coded.encoded_state(image.state, key, head.log_id),
            rows=await coded.encoded_rows(key, head.log_id, image.rows),
        )
        return RestoreSession(key, image, self.replace)

    async def on_server(self, server: RedisSessions) -> Outcome:
        """One round trip; one more for the first session of a user in this process."""
        key, image, head, policy = self.key, self.image, self.image.head, server.policy
        min_lifetime = _lasting(head.min_lifetime, head.expires)
        await server.registry.register_only(key.owner, min_lifetime)
        user = server.keys.user(key)
        call: Call[list[Any]] = Call(
            name="sessions.restore_session",
            keys=(
                *server.keys.session(key),
                *user[:2],
                user.operations,
                *server.keys.staged(key, image.staged),
                *policy.notice_keys(user),
            ),
            read=only,
            script=_RESTORE,
            args=(
                *(head.incarnation, key.session, "replace" if self.replace else ""),
                *(head.version, head.seq, head.dropped, head.created, head.updated),
                *(ms(head.ttl), ms(head.until), ms(head.expires)),
                CEILING.state,
                "" if policy.max_sessions is None else policy.max_sessions,
                image.before,
                *counted({"log_id": head.log_id.encode(), **head.fields}),
                *counted(image.state),
                len(image.rows),
                *image.rows,
                *policy.notice_args(),
            ),
            operation_id=head.incarnation,
            separate_connection=True,
        )
        reply = await server.engine.run(call)
        status, *said = reply
        if status in DONE:
            # Again: the server may be another now.
            await server.registry.register_only(key.owner, min_lifetime)
            server.recent.enter(entry_of(key, head, said[0] if said else b""))
            return "restored"
        if status == b"incomplete":
            raise refusals.incomplete(key, image.before, int(said[0]))
        if status in (b"gone", b"full", b"newer"):
            await server.refuse(reply, key, WriteOptions(head.incarnation))
        return _outcome(status, said)

    async def in_memory(self, memory: InMemorySessions) -> Outcome:
        """As `Operation`."""
        key, image, head = self.key, self.image, self.image.head
        there = memory.alive(key)
        if there is not None and there.head.incarnation == head.incarnation:
            return "restored"
        memory.check_operation(key, head.incarnation, "save")
        if head.expires is not None and head.expires <= memory.now():
            return "expired"
        if there is not None and not self.replace:
            return "exists"
        memory.check("state", {}, image.state, cap=CEILING.state)
        if there is None:
            memory.check_room(key)
        staged = memory.staged.pop((key, image.staged), [])
        if len(staged) != image.before:
            raise refusals.incomplete(key, image.before, len(staged))
        rows = [*staged, *image.rows]
        memory.sessions[key] = SessionInMemory(
            head._replace(epoch=0),
            dict(image.state),
            head.updated,
            rows,
            ids_of(rows, head.dropped + 1),
        )
        memory.remember(key, "save", head.incarnation)
        memory.tell(key, "created" if there is None else "updated", head.version)
        return "restored"


class SetExpiry(Operation[None], frozen=True):
    """Set when a session expires, and its TTL from its next change on; both None for never.

    That is no change of it: its version and its times stay, and so does the end it has.
    Raises SessionNotFound, StaleSession, CorruptRecord.

    Attributes:
        key: which session.
        write: its incarnation, and the version that it must have.
        ttl: seconds.
        at: when, seconds since the epoch.
    """

    key: SessionKey
    write: WriteOptions
    ttl: float | None
    at: float | None

    async def on_server(self, server: RedisSessions) -> None:
        """One round trip; one more when the user's index of an app is to live longer."""
        key, write = self.key, self.write
        await server.registry.register_only(key.owner, _lasting(self.ttl, self.at))
        head, events, _, ids = server.keys.session(key)
        call: Call[list[Any]] = Call(
            *("sessions.set_expiry", (head, events, ids, *server.keys.user(key)[:2]), only),
            script=_EXPIRE,
            args=(
                *(write.incarnation, write.expected or 0, key.session),
                *(ms(self.ttl), ms(self.at)),
            ),
            operation_id=write.operation_id,
        )
        reply = await server.engine.run(call)
        if reply[0] in (b"missing", b"stale", b"corrupt"):
            await server.refuse(reply, key, write)
        server.recent.enter(IndexEntry(key, *reply[1:]))

    async def in_memory(self, memory: InMemorySessions) -> None:
        """As `Operation`."""
        session = memory.writable(self.key, self.write)
        memory.check_version(self.key, session.head, self.write)
        ends = [end for end in (session.head.until, self.at) if end is not None]
        session.head = session.head._replace(ttl=self.ttl, expires=min(ends, default=None))


class RestoreState(Operation[Outcome], frozen=True):
    """Write the state of a user or an app in one step. Raises TooLarge.

    Attributes:
        of: the user or the app.
        pairs: its values.
        expires: when it is forgotten, seconds since the epoch; None for never.
        replace: whether it replaces a state that is there.
    """

    of: UserKey | AppName
    pairs: Pairs
    expires: float | None
    replace: bool

    async def encoded(self, coded: CodedSessions) -> RestoreState:
        """As `Operation`."""
        return structs.replace(self, pairs=await coded.encoded_state(self.pairs, self.of))

    async def on_server(self, server: RedisSessions) -> Outcome:
        """Two round trips; for a user one, when it was entered into its app's index lately."""
        of, name, ttl = self.of, "", server.policy.state_ttl
        if isinstance(of, UserKey):
            await server.registry.register_only(of, ttl)
        else:
            name, keys = f"restored-{new_operation_id()}", (server.keys.apps(),)
            args = (ms(2 * (ttl or _CENTURY)), of)
            await server.engine.run(
                Call("sessions.register", keys, only, script=REGISTER, args=args)
            )
        call: Call[list[Any]] = Call(
            *("sessions.restore_state", (server.state_key(of),), only),
            script=_STATE,
            args=(
                *("replace" if self.replace else "", ms(self.expires), CEILING.state, name),
                *counted(self.pairs),
            ),
            operation_id=new_operation_id(),
            separate_connection=True,
        )
        status, *said = await server.engine.run(call)
        if status == b"newer":
            raise refusals.newer("The state that would be replaced", said[0].decode())
        return "restored" if status == b"ok" else _outcome(status, said)

    async def in_memory(self, memory: InMemorySessions) -> Outcome:
        """As `Operation`."""
        if self.expires is not None and self.expires <= memory.now():
            return "expired"
        if memory.values(self.of) and not self.replace:
            return "exists"
        memory.check("state", {}, self.pairs, cap=CEILING.state)
        memory.shared_state[self.of] = SharedStateInMemory(dict(self.pairs), self.expires)
        return "restored"


def _outcome(status: bytes, said: Sequence[Any]) -> Outcome:
    if status == b"state":
        raise TooLarge("The state", int(said[0]), CEILING.state)
    return "expired" if status == b"expired" else "exists"


def _lasting(min_lifetime: float | None, expires: float | None) -> float | None:
    """Seconds that a session is on its user's index: its next change may be long before its end."""
    if min_lifetime is None or expires is None:
        return None
    return max(min_lifetime, expires - time.time())
