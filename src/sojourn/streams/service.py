"""Public API of the streams room."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sojourn.access import access
from sojourn.calls.operation import RoomStore
from sojourn.caps import CAPS
from sojourn.codecs import decode, text
from sojourn.codecs.growth import FORMAT
from sojourn.errors import CorruptRecord, NewerFormat
from sojourn.ids import SessionKey, operation_id_of
from sojourn.process_bound import stays_here
from sojourn.streams.model import StoredMessage, StreamMessage
from sojourn.streams.operations.connections import (
    CloseConnection,
    OpenConnection,
    TouchConnection,
)
from sojourn.streams.operations.messages import AddMessage, ReadMessages


@stays_here("the store's URL, and open the store there")
class Streams:
    """Connections of clients, and the last messages to each. Made by `sojourn.open`.

    A connection's key is app, user and an id of its own. It is forgotten an hour after the last
    thing that happened to it; of its messages the last 256 are kept, of 2 MiB at most.

    Every method may raise `Unavailable` and its kin when no server answers in time.
    """

    def __init__(self, store: RoomStore) -> None:
        self._store = store

    async def open(self, key: SessionKey) -> None:
        """Open a connection, if there is none of this name. One round trip."""
        await self._store.run(OpenConnection(key))

    @access(miss="ended")
    async def touch(self, key: SessionKey) -> bool:
        """Let a connection live for an hour from now; whether there is one. One round trip."""
        return await self._store.run(TouchConnection(key))

    @access(logged=False)
    async def add(
        self, key: SessionKey, stream: str, message: str, *, operation_id: str | None = None
    ) -> int:
        """Keep a message. One round trip.

        Args:
            key: of the connection.
            stream: which of its streams the message belongs to.
            message: its text; empty to mark a place only.
            operation_id: repeat it with the same id and the message is there once.

        Returns:
            its number; 0 when there is no such connection.
        """
        name, content = text(stream, "stream", CAPS.event_id), text(message, "message")
        row, size = msgspec.json.encode((name, content)), len((name + content).encode())
        return await self._store.run(AddMessage(key, row, size, operation_id_of(operation_id)))

    @access(logged=False)
    async def after(self, key: SessionKey, number: int) -> Sequence[StreamMessage] | None:
        """The messages of a stream behind one of them, oldest first. One round trip.

        Args:
            key: of the connection.
            number: of the last message that the client has; it also says which stream.

        Returns:
            the message itself and those behind it; None when it was dropped, or never was.

        Raises:
            CorruptRecord: a message cannot be read; `Tampered` if it was changed or moved.
            Undecodable: this process cannot decode one: a newer version of Sojourn wrote it, or
                it is sealed with a key that this process does not have.
            Erased: the key of the user was destroyed.
        """
        stored = await self._store.run(ReadMessages(key))
        found = [_message(key, each) for each in stored]
        last = next((each for each in found if each.number == number), None)
        if last is None:
            return None
        return [each for each in found if each.number >= number and each.stream == last.stream]

    @access(miss="ended")
    async def close(self, key: SessionKey) -> bool:
        """Forget a connection and its messages; whether there was one. One round trip."""
        return await self._store.run(CloseConnection(key))


def _message(key: SessionKey, stored: StoredMessage) -> StreamMessage:
    what = f"Message {stored.number} of the connection {key.session}"
    try:
        match decode(stored.row):
            case [str(stream), str(message), *_]:
                return StreamMessage(stored.number, stream, message)
            case {} | [str(), dict(), *_]:
                raise NewerFormat(
                    f"{what} has a form that this version of Sojourn cannot read. Upgrade it; "
                    "nothing was changed.",
                    found=str(FORMAT),
                    known=str(FORMAT),
                )
            case _:
                raise ValueError("it is not a pair of texts")  # noqa: TRY301
    except ValueError as error:
        raise CorruptRecord(
            f"{what} cannot be read ({error}): another program wrote it, or it was damaged.",
            key=key.session,
            raw=stored.row,
        ) from error
