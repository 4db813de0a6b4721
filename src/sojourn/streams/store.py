"""Protocol of a stream store, as the streams room calls it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sojourn.ids import SessionKey, UserKey
from sojourn.streams.model import StreamMessage


class Reach(NamedTuple):
    """How much is kept of a connection.

    Attributes:
        ttl: seconds from the last thing that happened to it.
        messages: how many; the oldest go first.
        bytes: how many their texts and streams have together; the newest is kept in any case.
    """

    ttl: float = 3600.0
    messages: int = 256
    bytes: int = 2 * 1024 * 1024


class StreamStore(Protocol):
    """Where connections are kept. Each method but `forget` is an atomic step and one round trip.

    All raise `Unavailable` and its kin when no server answers in time.
    """

    async def open(self, key: SessionKey) -> None:
        """Begin a connection, if there is none of this name."""
        ...

    async def touch(self, key: SessionKey) -> bool:
        """Let a connection live for its TTL from now; whether there is one."""
        ...

    async def add(self, key: SessionKey, stream: str, message: str, operation_id: str) -> int:
        """Add a message, once; its number, 0 when there is no such connection."""
        ...

    async def read(self, key: SessionKey) -> list[StreamMessage]:
        """The messages that are kept, oldest first."""
        ...

    async def close(self, key: SessionKey) -> bool:
        """Forget a connection and its messages; whether there was one."""
        ...

    async def forget(self, owner: UserKey) -> int:
        """Forget all connections of a user; how many. Looks at every key."""
        ...
