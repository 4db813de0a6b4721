"""Traffic of a connection: time in which bytes move does not count against deadlines."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, cast

from redis.asyncio.connection import AbstractConnection

from sojourn.resilience.deadline import IdleTimer

if sys.platform == "linux":
    from fcntl import ioctl
    from termios import TIOCOUTQ

_STILL = 0.1
"""Seconds without a byte after which traffic has stopped, unless something large is in flight."""
_MANY = 64 * 1024
"""Size of the send buffer from which it counts as traffic that it shrinks."""
_PACE = 1 / 2**20
"""Seconds allowed for each byte in flight: buffers hide that it moves."""


class Traffic:
    """Seconds in which bytes arrived or left, over successive connections.

    What comes is noticed as it comes. What leaves is looked at now and then: it stands in buffers
    of this process and of the system until the other side has it. Tunnels, proxies and sidecars
    have buffers, too, into which nobody sees: what has left has time for its way, at the pace that
    was seen and at least that of a slow link, and when it is answered, it moved until then.

    Args:
        idle: restarted by bytes that belong to something large.
        carried: how many bytes of large requests wait for their replies.

    Attributes:
        seconds: in which bytes moved.
        size: bytes that came.
        mid_reply: the last bytes that came did not complete a reply.
    """

    __slots__ = (
        *("_carried", "_last", "_left", "_seconds_out", "_idle", "_size_out", "_transport"),
        *("mid_reply", "seconds", "size"),
    )

    def __init__(self, idle: IdleTimer, carried: Callable[[], int]) -> None:
        self.seconds = 0.0
        self.size = 0
        self._idle = idle
        self._carried = carried
        self._begin()

    def _begin(self) -> None:
        self.mid_reply = False
        self._last = -math.inf
        self._left = 0
        self._seconds_out = self._size_out = 0.0
        self._transport: Any = None

    def attach(
        self, connection: AbstractConnection, feed: Callable[[bytes], object] | None = None
    ) -> None:
        """Count the bytes that arrive, and pass them on: to the own reader by default."""
        self._begin()
        ours = cast("Any", connection)
        with suppress(AttributeError):  # then there is only silence, as it were
            reader = ours._reader  # noqa: SLF001 - redis-py tells of whole replies only
            take = feed or reader.feed_data

            def fed(data: bytes) -> None:
                now = monotonic()
                gap = now - self._last
                self._last = now
                self.size += len(data)
                if self.mid_reply:
                    self._idle.restart()
                    self.seconds += gap
                else:
                    self.mid_reply = True
                    if gap < _STILL or (gap < math.inf and self._carried()):
                        self.seconds += gap
                take(data)

            reader.feed_data = fed
            self._transport = ours._writer.transport  # noqa: SLF001 - for its send buffer

    def rest(self) -> None:
        """Note that no call is in flight."""
        self._last = monotonic()
        self._left = 0

    def look(self) -> None:
        """Note whether the send buffer has become smaller."""
        if (transport := self._transport) is None:
            return
        before, self._left = self._left, _unsent(transport)
        if before < _MANY:
            if self._left >= _MANY or self._last == -math.inf:
                self._last = monotonic()
        elif self._left < before:
            now = monotonic()
            gap, self._last = now - self._last, now
            self.seconds += gap
            self._seconds_out += gap
            self._size_out += before - self._left
            self._idle.restart()

    def on_the_way(self) -> float:
        """Seconds that large requests may take to reach the server without any sign."""
        seen = self._seconds_out / self._size_out if self._size_out else 0.0
        return self._carried() * max(seen, _PACE)  # empty buffers fill faster than they drain


def _unsent(transport: Any) -> int:
    """Bytes that have not reached the other side, as far as this system knows."""
    size = cast("int", transport.get_write_buffer_size())
    if sys.platform == "linux":
        with suppress(OSError, AttributeError, ValueError):
            left = bytearray(4)
            ioctl(transport.get_extra_info("socket").fileno(), TIOCOUTQ, left)
            size += int.from_bytes(left, sys.byteorder)
    return size
