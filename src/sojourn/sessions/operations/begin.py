"""Append to a session; create it first if it does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from sojourn.calls.operation import Operation
from sojourn.errors import SessionExists, SojournError
from sojourn.resilience.deadline import end_of_operation, within
from sojourn.sessions.operations.append import Append
from sojourn.sessions.operations.create import Create
from sojourn.sessions.store import NO_CHANGE, LogId, WriteOptions, WriteResult

if TYPE_CHECKING:
    from sojourn.sessions.coded import CodedSessions
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions


class Begin(Operation[WriteResult], frozen=True):
    """Append; where there is no session, create it and append. Raises as both.

    Attributes:
        create: the session, if there is none.
        append: the events. Where they name an incarnation, the session is created only if that is
            the one that `create` makes.
    """

    create: Create
    append: Append

    @property
    def may_create(self) -> bool:
        """Whether the events may be appended to a session that is created."""
        return self.append.write.incarnation in ("", self.create.operation_id)

    async def encoded(self, coded: CodedSessions) -> Begin:
        """As `Operation`; bound to the log that is there, or else to that of the new session."""
        create, append = self.create, self.append
        if await coded.find_log(create.key) is not None:
            nothing = replace(create, fields={}, state=NO_CHANGE)
            return Begin(nothing, await append.encoded(coded))
        log_id = create.fields.get("log_id", b"").decode()
        write = WriteOptions(append.write.operation_id, create.operation_id, append.write.expected)
        return Begin(await create.encoded(coded), await append.bound_to(coded, log_id, write))

    async def decoded(self, result: WriteResult, coded: CodedSessions) -> WriteResult:
        """As `Operation`."""
        create = self.create
        if self.append.write.incarnation == create.operation_id and "log_id" in create.fields:
            log_id = create.fields["log_id"].decode()
            coded.know(create.key, LogId(create.operation_id, log_id))
        return result

    async def on_server(self, server: RedisSessions) -> WriteResult:
        """One round trip as `Append`; two where there is no session.

        The user is entered into the app's index while the append finds that out; the create and the
        append that is repeated behind it leave together. Where they do not arrive in that order
        (two connections, a Cluster that moves slots) the append is repeated once more.
        """
        with within(server.engine.timeout):
            return await self._on_server(server)

    async def _on_server(self, server: RedisSessions) -> WriteResult:
        registry, owner = server.registry, self.create.key.owner
        min_lifetime = self.create.life.min_lifetime
        append = self.append.call(server)
        due = registry.registration(owner, min_lifetime)
        # An append that names the session that is yet to be created finds none.
        first = [append] if self.append.write.incarnation != self.create.operation_id else []
        replies: list[Any] = await server.engine.gather_calls(
            [*first, *due], aside=len(due), by=registry.register_by()
        )
        reply = replies[0] if first else [b"missing"]
        entered = replies[len(first) :]
        failed = [each for each in entered if isinstance(each, BaseException)]
        if due and not failed:
            registry.registered(owner, min_lifetime)
        if _is_missing(reply) and self.may_create:
            for each in failed:
                registry.check_lost(each)
            create = self.create.call(server)
            made, reply = await server.engine.gather_calls([create, append])
            try:
                await self.create.created_by(made, server, known=not due or bool(failed))
            except SojournError as error:
                if _is_missing(reply) and not isinstance(error, SessionExists):
                    raise
            if _is_missing(reply):
                reply = await server.engine.run(append)
        if isinstance(reply, BaseException):
            raise reply
        return await self.append.appended_by(reply, server, end_of_operation())

    async def in_memory(self, memory: InMemorySessions) -> WriteResult:
        """As `Operation`."""
        if memory.alive(self.create.key) is None and self.may_create:
            await memory.run(self.create)
        return await memory.run(self.append)


def _is_missing(reply: Any) -> bool:
    return not isinstance(reply, BaseException) and reply[0] == b"missing"
