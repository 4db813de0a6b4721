"""Get a session; create it if it does not exist."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sojourn.calls.operation import Operation
from sojourn.errors import SessionExists
from sojourn.sessions import refusals
from sojourn.sessions.operations.create import Create, made_sure
from sojourn.sessions.operations.read import Read
from sojourn.sessions.store import EventWindow, SessionSnapshot

if TYPE_CHECKING:
    from sojourn.sessions.coded import CodedSessions
    from sojourn.sessions.inmemory import InMemorySessions
    from sojourn.sessions.redis import RedisSessions


class Ensure(Operation[SessionSnapshot], frozen=True):
    """Read a session; create it first if there is none, in one step. Raises as `Create`.

    Attributes:
        create: the session to create.
        window: which of its events to read.
    """

    create: Create
    window: EventWindow

    async def encoded(self, coded: CodedSessions) -> Ensure:
        """As `Operation`."""
        return Ensure(await self.create.encoded(coded), self.window)

    async def decoded(self, result: SessionSnapshot, coded: CodedSessions) -> SessionSnapshot:
        """As `Operation`."""
        return await coded.decoded_snapshot(self.create.key, result)

    async def on_server(self, server: RedisSessions) -> SessionSnapshot:
        """As `Create`, and the reading travels with it unless it may be large."""
        create, key, snapshots = self.create, self.create.key, server.snapshots
        known = not await server.registry.register(key.owner, create.life.min_lifetime)
        call, read = create.call(server), snapshots.call(key, self.window)
        _, app_call = server.shared_state.state_calls(key.owner)
        # On the connection of the reading, which is done after it.
        short = [replace(call, separate_connection=True), read, app_call]
        together = short if snapshots.is_short(self.window) else [call]
        while True:
            reply, *seen = await server.engine.gather_calls(together)
            try:
                await create.created_by(reply, server, known=known)
                ours = True
            except SessionExists:
                ours = False
            if seen:
                for each in seen:
                    made_sure(each, create if ours else None)
                stored, settled = await snapshots.stored(key, self.window, *seen)
            else:
                stored, settled = None, False
            if not settled:
                stored = await snapshots.read(key, self.window)
            if stored is not None:  # else another client has deleted it in between
                return stored

    async def in_memory(self, memory: InMemorySessions) -> SessionSnapshot:
        """As `Operation`."""
        with suppress(SessionExists):
            await memory.run(self.create)
        stored = await memory.run(Read(self.create.key, self.window))
        if stored is None:
            raise refusals.missing(self.create.key)
        return stored
