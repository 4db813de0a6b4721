"""Create a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from sojourn.calls.call import Argument, Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.errors import Erased, OutcomeUnknown, Unavailable, Undecodable
from sojourn.ids import SessionKey
from sojourn.sessions import refusals
from sojourn.sessions.operations.delete import Delete
from sojourn.sessions.operations.forget import Forget
from sojourn.sessions.operations.lists import ListIds
from sojourn.sessions.operations.tombstones import FindTombstone
from sojourn.sessions.replies import as_object, counted, ms, seconds
from sojourn.sessions.store import (
    Created,
    Delta,
    IndexEntry,
    Lifetime,
    LogId,
    Pairs,
    SessionHeader,
    WriteOptions,
)
from sojourn.sessions.tombstones import names_of

if TYPE_CHECKING:
    from sojourn.sessions.coded import CodedSessions
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions

SCRIPT = Script.beside(__name__)


class Create(Operation[Created], frozen=True):
    """Create a session. Raises SessionExists, TooManySessions, TooLarge.

    InvalidInput when it would have ended already; Conflict or Erased when it has waited, and it or
    its user or app was revoked or forgotten since.

    Attributes:
        key: which session.
        operation_id: becomes its incarnation.
        created: seconds since the epoch; None for the server's clock.
        life: how long it lives.
        fields: all of those that a change may set.
        state: its first state.
        fresh: the id was made for it, so that no other session can have it.
        since: since when it has waited in an outage buffer, seconds since the epoch; None for one
            that has not: then nothing can have been revoked or forgotten since.
    """

    key: SessionKey
    operation_id: str
    created: float | None
    life: Lifetime
    fields: Pairs
    state: Delta
    fresh: bool = False
    since: float | None = None

    async def on_server(self, server: RedisSessions) -> Created:
        """One round trip; one more for the first session of a user in this process, or app state.

        The user is entered into the app's index first: a user without sessions is harmless there,
        a session without its user would be invisible. One that has waited is written first: who was
        forgotten since is not to be entered anywhere.
        """
        key, min_lifetime, registry = self.key, self.life.min_lifetime, server.registry
        waited = self.since is not None
        since = None if self.since is None else await self._not_buried(server, self.since)
        known = not waited and not await registry.register(key.owner, min_lifetime)
        reply, *states = await server.engine.gather_calls(
            [self.call(server, since), *server.shared_state.state_calls(key.owner)]
        )
        repeated = await self.created_by(reply, server, known=known)
        if self.since is not None:
            await registry.register(key.owner, min_lifetime)
            await self._not_buried(server, self.since, done=True)
        registry.keep_alive(key.owner, min_lifetime)  # the server may be another by now
        for state in states:
            made_sure(state, self)
        _, created, expires, _, _, until, _ = reply
        user_found, app_found = states
        flawed = await server.shared_state.report(key.owner, user_found, app_found)
        return Created(
            float(created),
            seconds(expires),
            seconds(until),
            {**user_found.pairs, **self.state.user},
            {**app_found.pairs, **self.state.app},
            repeated=repeated,
            readable=not (flawed or user_found.newer or app_found.newer),
        )

    async def encoded(self, coded: CodedSessions) -> Create:
        """As `Operation`."""
        log_id = self.fields.get("log_id", b"").decode()
        return replace(
            self,
            fields=await coded.encoded_fields(self.fields, self.key, log_id),
            state=await coded.encoded_delta(self.key, log_id, self.state),
        )

    async def decoded(self, result: Created, coded: CodedSessions) -> Created:
        """As `Operation`."""
        owner = self.key.owner
        if coded.codec.writes and not result.repeated:
            log_id = self.fields.get("log_id", b"").decode()
            coded.know(self.key, LogId(self.operation_id, log_id))
        try:
            user = await coded.decoded_state(result.user, owner)
            app = await coded.decoded_state(result.app, owner.app)
        except (Undecodable, Erased):  # it is told that there is none, and knows no id to delete
            if self.fresh and not result.repeated:
                await coded.undo(self)
            raise
        return result._replace(user=user, app=app)

    def call(self, server: RedisSessions, since: float | None = None) -> Call[Any]:
        """The script that creates it, unless there is one.

        `since` is of one that has waited, by the server's clock: then it matters not how late the
        script gets there.
        """
        key, life, user = self.key, self.life, server.keys.user(self.key)
        waited: tuple[Argument, Argument] = ("", "")
        if since is not None:
            waited = round(since * 1000), names_of(key)
        return Call(
            name="sessions.create",
            keys=(
                *server.keys.session(key),
                *user[:5],
                *(() if since is None else (server.keys.erased(key.owner),)),
                *server.policy.notice_keys(user),
            ),
            read=only,
            script=SCRIPT,
            args=(
                self.operation_id,
                key.session,
                "" if self.created is None else self.created,
                ms(life.ttl),
                server.shared_ttl,
                server.policy.max_state_bytes,
                as_object(self.state.app),
                ms(life.max_age),
                ms(life.until),
                "" if server.policy.max_sessions is None else server.policy.max_sessions,
                *waited,
                *counted(self.fields),
                *counted(self.state.session),
                *counted(self.state.user),
            ),
            operation_id=self.operation_id,
        )

    async def created_by(self, reply: Any, server: RedisSessions, *, known: bool) -> bool:
        """Raise what became of the script; whether it is a repetition.

        `known` says that the user was not entered into the app's index with it.
        """
        if isinstance(reply, BaseException):
            raise reply
        key, status = self.key, reply[0]
        if status == b"exists":
            raise refusals.exists(key)
        if status == b"gone":
            raise refusals.gone(key)
        if status == b"full":
            raise refusals.full(key, int(reply[1]))
        if status == b"past":
            raise refusals.past(key, int(reply[1]))
        if status == b"erased":
            raise refusals.erased(reply[1].decode())
        if status not in {b"ok", b"duplicate"}:
            server.refuse_size(reply, key)
        if known and status == b"ok":
            server.registry.register_again(key.owner, self.life.min_lifetime)
        _, created, expires, stamp, waiting, *_ = reply
        if status == b"ok":
            server.recent.enter(IndexEntry(key, created, expires, self.fields.get("labels", b"")))
        app_delta: Pairs = self.state.app if status == b"ok" else {}
        await server.shared_state.apply_delta(
            key.owner, self.operation_id, app_delta, stamp, waiting
        )
        return bool(status == b"duplicate")

    async def _not_buried(
        self, server: RedisSessions, since: float, *, done: bool = False
    ) -> float:
        """Raise what was revoked or forgotten since; else that time, by the server's clock.

        A tombstone in another slot, of an app or a user of any app, the script cannot know, and a
        name may have been entered into an index after it was struck off: so it looks again when
        it is done. An attempt that was cut off before that may have left the session.
        """
        key = self.key
        reason, since = await server.run(FindTombstone(key, since))
        if reason is None:
            return since
        if done and reason == "forgotten":
            await server.run(Forget(key.owner))
        elif done or await self._is_there(server):
            write = WriteOptions(f"{self.operation_id[:120]}.undone", self.operation_id)
            await server.run(Delete(key, write))
            if reason == "forgotten" and not (await server.run(ListIds(key.owner, None, 1))).places:
                await server.run(Forget(key.owner))  # it had nothing else: no more than came late
        raise refusals.erased(reason)

    async def _is_there(self, server: RedisSessions) -> bool:
        head = server.keys.session(self.key).head
        call: Call[bytes | None] = Call(
            "sessions.incarnation",
            (head,),
            only,
            commands=[("HGET", head, "incarnation")],
            allow_wrong_type=True,
        )
        return await server.engine.run(call) == self.operation_id.encode()

    async def in_memory(self, memory: InMemorySessions) -> Created:
        """As `Operation`."""
        key, now = self.key, memory.now()
        if self.since is not None:
            reason, _ = await memory.run(FindTombstone(key, self.since))
            if reason is not None:
                raise refusals.erased(reason)
        session = memory.alive(key)
        if session is not None and session.head.incarnation == self.operation_id:
            return memory.born(key, session.head)._replace(repeated=True)
        if session is not None:
            raise refusals.exists(key)
        memory.check_operation(key, self.operation_id, "create", "save")
        self.check(memory)
        created = now if self.created is None else self.created
        head = SessionHeader(
            incarnation=self.operation_id,
            version=1,
            epoch=0,
            seq=0,
            dropped=0,
            created=created,
            updated=created,
            ttl=self.life.ttl,
            until=self.life.end(now),
            expires=None,
        )
        head = head.told(self.fields).from_now(now)
        memory.put(key, head, self.state.session, created)
        memory.remember(key, "create", self.operation_id)
        memory.tell(key, "created", 1)
        memory.set_shared(key, self.state)
        return memory.born(key, head)

    def check(self, memory: InMemorySessions) -> None:
        """Raise what it would in memory if nothing of it were stored.

        TooLarge, InvalidInput, TooManySessions.
        """
        until, now = self.life.until, memory.now()
        if self.since is None and until is not None and until <= now:
            raise refusals.past(self.key, round((now - until) * 1000))
        memory.check("state", {}, self.state.session)
        memory.check("user state", memory.values(self.key.owner), self.state.user)
        if memory.alive(self.key) is None:
            memory.check_room(self.key)


def made_sure(result: Any, create: Create | None) -> None:
    """Raise what a read has met that came with a create; None when that created nothing."""
    if create is not None and isinstance(result, Unavailable):
        raise OutcomeUnknown(
            f"The session was created, but what is around it could not be read ({result})."
            f" Repeat it with operation_id={create.operation_id!r}, it takes effect once.",
            operation_id=create.operation_id,
        ) from result
    if isinstance(result, BaseException):
        raise result
