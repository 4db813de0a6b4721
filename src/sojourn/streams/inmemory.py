"""Stream store in this process: the same contract and answers as on a server."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from sojourn.calls.operation import Operation, R
from sojourn.ids import SessionKey
from sojourn.resilience.atomic import atomic
from sojourn.streams.model import MAX_BYTES, MAX_MESSAGES, TTL, StoredMessage

_MOST = 10_000
"""Connections that are kept; those not used for longest go first."""


@dataclass(slots=True)
class _Connection:
    """The last messages of a connection, by operation."""

    ends: float
    seq: int = 0
    messages: OrderedDict[str, StoredMessage] = field(
        default_factory=OrderedDict[str, StoredMessage]
    )

    def is_over(self) -> bool:
        """Whether it has more messages, or larger ones, than are kept."""
        size = sum(each.size for each in self.messages.values())
        return len(self.messages) > MAX_MESSAGES or size > MAX_BYTES


@atomic
class InMemoryStreams:
    """Connections in this process, gone with it. Public attributes are for operations.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.connections: OrderedDict[SessionKey, _Connection] = OrderedDict()

    async def run(self, operation: Operation[R]) -> R:
        """As `RoomStore`."""
        return await operation.in_memory(self)

    def apps_of(self, user: str) -> set[str]:
        """The apps in which a user is connected."""
        return {key.app for key in self.connections if key.user == user}

    def open(self, key: SessionKey) -> None:
        """Start a connection."""
        self.connections[key] = _Connection(self.clock() + TTL)
        while len(self.connections) > _MOST:
            self.connections.popitem(last=False)

    def alive(self, key: SessionKey) -> _Connection | None:
        """A connection that has not expired, which is thereby kept for longer."""
        found = self.connections.get(key)
        if found is None:
            return None
        if found.ends <= self.clock():
            del self.connections[key]
            return None
        found.ends = self.clock() + TTL
        self.connections.move_to_end(key)
        return found
