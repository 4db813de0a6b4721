"""The near-cache of a store that several threads use, each with an event loop of its own."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from sojourn.sessions.nearcache import Known, NearCache


class Slow(str):
    """A key that lets other threads run whenever it is looked up."""

    __slots__ = ()

    def __hash__(self) -> int:
        time.sleep(0)
        return super().__hash__()


def test_threads_do_not_trip_over_each_other() -> None:
    cache = NearCache(100)
    keys = [Slow(n) for n in range(3)]
    run = Known(None, 1, ["event"], b"", 60)  # type: ignore[arg-type]

    def work(_: int) -> None:
        for n in range(300):
            cache.find(keys[n % 3], "view")  # type: ignore[arg-type]
            cache.keep(keys[n % 3], "view", run)  # type: ignore[arg-type]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert (cache.stats().sessions, cache.stats().size) == (1, 60)
