"""What the library `limits` counts with: its storage, over our counters. Needs that library."""

from __future__ import annotations

import time
from typing import Any

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.util import WindowStats

from sojourn.errors import SojournError
from sojourn.security.counters import Bucket, Count, Counters


class CounterStorage(Storage):
    """A storage of `limits` over `Counters`.

    Args:
        counters: where failures are counted.
    """

    STORAGE_SCHEME = None

    def __init__(self, counters: Counters) -> None:
        super().__init__()
        self._counters = counters

    @property
    def base_exceptions(self) -> type[Exception]:
        """What an outage raises; it is passed on as it is."""
        return SojournError

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count. One round trip."""
        return (await self._counters.add(_bucket(key), amount, expiry)).failures

    async def get(self, key: str) -> int:
        """What was counted. One round trip."""
        return (await self.look(key)).failures

    async def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since the epoch. One round trip."""
        return time.time() + (await self.look(key)).left

    async def look(self, key: str) -> Count:
        """Both at once. One round trip."""
        return await self._counters.look(_bucket(key))

    async def check(self) -> bool:
        """Whether the counters can be read. One round trip."""
        try:
            await self._counters.look(Bucket("check", 0))
        except SojournError:
            return False
        return True

    async def reset(self) -> int | None:
        """Not offered: it would have to look for keys. They end by themselves."""
        raise NotImplementedError

    async def clear(self, key: str) -> None:
        """Begin again at 0. One round trip."""
        await self._counters.clear(_bucket(key))


class Window(RateLimitItemPerSecond):
    """So many failures in so many seconds; identified by the app and the number of a bucket."""

    def key_for(self, *identifiers: Any) -> str:
        """The number comes last and has no `#`, so no two buckets are one."""
        return "#".join(map(str, identifiers))


class Limiter(FixedWindowRateLimiter):
    """`limits`' strategy, which reads the count and the end of the window in one round trip."""

    def __init__(self, storage: CounterStorage) -> None:
        super().__init__(storage)
        self._storage = storage

    async def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """When the window ends, in seconds since the epoch, and how many failures it still has."""
        count = await self._storage.look(item.key_for(*identifiers))
        return WindowStats(time.time() + count.left, max(0, item.amount - count.failures))


def _bucket(key: str) -> Bucket:
    app, _, number = key.rpartition("#")
    return Bucket(app, int(number))
