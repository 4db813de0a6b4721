"""Timers, turns and tables. Peers take turns: A B C, A B C, …, so that all share the weather."""

import contextlib
import gc
import statistics
import tempfile
import time
from dataclasses import dataclass, field

import redis

from .plan import Plan


@dataclass
class Bench:
    """What every group needs: the peers' classes by name, their server, how much to do."""

    kinds: dict
    url: str
    plan: Plan

    @contextlib.asynccontextmanager
    async def peers(self, appends=False):
        """Fresh services over an empty server; those that only append join when wanted."""
        flush(self.url)
        with tempfile.TemporaryDirectory() as folder:
            peers = {
                name: kind((self.url, folder))
                for name, kind in self.kinds.items()
                if appends or not kind.appends_only
            }
            try:
                yield peers
            finally:
                for peer in peers.values():
                    await peer.close()
        flush(self.url)


@dataclass
class Table:
    """Samples by row and peer. ``better`` is 'less' or 'more'."""

    name: str
    title: str
    unit: str = "ms"
    better: str = "less"
    notes: list = field(default_factory=list)
    rows: dict = field(default_factory=dict)

    def add(self, row, peer, *samples):
        self.rows.setdefault(row, {}).setdefault(peer, []).extend(samples)

    def cell(self, row, peer):
        """Median, 99th percentile (the worst of fewer than 100) and how many samples."""
        samples = sorted(self.rows.get(row, {}).get(peer, ()))
        if not samples:
            return None
        last = min(len(samples) - 1, int(len(samples) * 0.99))
        return {
            "median": statistics.median(samples),
            "p99": samples[last],
            "samples": len(samples),
        }

    def median(self, row, peer):
        cell = self.cell(row, peer)
        return cell and cell["median"]


def flush(url):
    with contextlib.closing(redis.Redis.from_url(url, socket_timeout=60)) as client:
        client.flushall()


async def timed(awaitable):
    """Milliseconds and the result."""
    start = time.perf_counter()
    result = await awaitable
    return (time.perf_counter() - start) * 1000, result


async def in_turn(peers, rounds, *turns):
    """Calls each ``turn(name, peer)`` for each peer, round by round, another peer first each time.

    The collector stays on; it only begins every turn with nothing left over from the last one.
    """
    names = list(peers)
    for number in range(rounds):
        shift = number % len(names)
        for turn in turns:
            for name in names[shift:] + names[:shift]:
                gc.collect()
                await turn(name, peers[name])


async def repeat(action, most, seconds):
    """Awaits ``action()``, which returns its milliseconds, ``most`` times; stops when those add
    up to ``seconds``. What an action prepares is not counted. At least once."""
    samples = [await action()]
    while len(samples) < most and sum(samples) < seconds * 1000:
        samples.append(await action())
    return samples
