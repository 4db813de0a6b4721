"""Message streams restricted to one user."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from sojourn.errors import InvalidId
from sojourn.security.gate import Gate
from sojourn.streams import StreamMessage, Streams


class UserStreams:
    """Connections of one user's clients. Methods are those of `Streams`, by the connection's id.

    A connection of somebody else is one that is not there. Clients name one that has expired as a
    matter of course: that is no guess, and counts against nobody.
    """

    def __init__(self, gate: Gate, streams: Streams) -> None:
        self._gate = gate
        self._streams = streams

    async def open(self) -> str:
        """Begin a connection; its id, of 128 random bits."""
        made = secrets.token_hex(16)

        async def opened() -> str:
            await self._streams.open(self._gate.key(made))
            return made

        return await self._gate.to("streams.open", opened, of=lambda each: each)

    async def touch(self, connection: str) -> bool:
        """Whether there is such a connection, which then lives on: see `Streams.touch`."""
        try:
            return await self._gate.on(
                "streams.touch", connection, self._streams.touch, guessed=False
            )
        except InvalidId:  # no connection has such an id
            return False

    async def add(
        self, connection: str, stream: str, message: str, *, operation_id: str | None = None
    ) -> int:
        """Keep a message: see `Streams.add`. It is no decision, so it is not logged."""
        key = self._gate.key(connection)
        return await self._streams.add(key, stream, message, operation_id=operation_id)

    async def after(self, connection: str, number: int) -> Sequence[StreamMessage] | None:
        """The messages of a stream behind one of them: see `Streams.after`. It is not logged."""
        return await self._streams.after(self._gate.key(connection), number)

    async def close(self, connection: str) -> bool:
        """Forget a connection: see `Streams.close`."""
        try:
            return await self._gate.on(
                "streams.close", connection, self._streams.close, guessed=False
            )
        except InvalidId:
            return False
