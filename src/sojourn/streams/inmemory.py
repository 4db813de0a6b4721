"""The in-memory stream store."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from sojourn.ids import SessionKey, UserKey
from sojourn.resilience.atomic import atomic
from sojourn.streams.model import StreamMessage
from sojourn.streams.store import Reach

_MOST = 10_000
"""Connections that are kept; those not used for longest go first."""


class _Connection:
    def __init__(self) -> None:
        self.told: OrderedDict[str, StreamMessage] = OrderedDict()
        self.seq = 0
        self.ends = 0.0


@atomic
class InMemoryStreams:
    """A `StreamStore` in this process.

    Args:
        reach: how much is kept.
        clock: seconds.
    """

    def __init__(self, reach: Reach, clock: Callable[[], float] = time.monotonic) -> None:
        self._reach = reach
        self._clock = clock
        self._open: OrderedDict[SessionKey, _Connection] = OrderedDict()

    async def open(self, key: SessionKey) -> None:
        """Begin a connection."""
        if self._live(key) is None:
            self._open[key] = _Connection()
            while len(self._open) > _MOST:
                self._open.popitem(last=False)
            self._live(key, begun=True)

    async def touch(self, key: SessionKey) -> bool:
        """Let a connection live on."""
        return self._live(key) is not None

    async def add(self, key: SessionKey, stream: str, message: str, operation_id: str) -> int:
        """Add a message."""
        found = self._live(key)
        if found is None:
            return 0
        if operation_id in found.told:
            return found.told[operation_id].number
        found.seq += 1
        found.told[operation_id] = StreamMessage(found.seq, stream, message)
        while len(found.told) > 1 and self._over(found):
            found.told.popitem(last=False)
        return found.seq

    async def read(self, key: SessionKey) -> list[StreamMessage]:
        """The messages that are kept."""
        found = self._open.get(key)
        return [] if found is None or found.ends <= self._clock() else list(found.told.values())

    async def close(self, key: SessionKey) -> bool:
        """Forget a connection."""
        return self._live(key) is not None and self._open.pop(key, None) is not None

    async def forget(self, owner: UserKey) -> int:
        """Forget all connections of a user."""
        ours = [key for key in self._open if key.owner == owner]
        for key in ours:
            del self._open[key]
        return len(ours)

    def apps_of(self, user: str) -> set[str]:
        """The apps in which a user is connected."""
        return {key.app for key in self._open if key.user == user}

    def _live(self, key: SessionKey, *, begun: bool = False) -> _Connection | None:
        found = self._open.get(key)
        if found is None:
            return None
        if not begun and found.ends <= self._clock():
            del self._open[key]
            return None
        found.ends = self._clock() + self._reach.ttl
        self._open.move_to_end(key)
        return found

    def _over(self, found: _Connection) -> bool:
        size = sum(len((told.stream + told.message).encode()) for told in found.told.values())
        return len(found.told) > self._reach.messages or size > self._reach.bytes
