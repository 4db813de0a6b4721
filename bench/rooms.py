"""The cache and the memory beside what people use for the same.

python -m bench.rooms

One process, one server, peers in turn; each value is a result of 1 KB. What ADK's memory service
finds is in bench/recall.py.
"""

import asyncio
import contextlib
import itertools
from statistics import median
from urllib.parse import urlparse

from aiocache import RedisCache
from aiocache.serializers import JsonSerializer
from cashews import Cache
from key_value.aio.stores.redis import RedisStore
from rich.console import Console
from rich.table import Table as Grid

import sojourn

from . import server
from .measure import flush, in_turn, timed
from .report import number

ROUNDS, CALLS, TASKS, BURST = 7, 200, 64, 20
VALUE = {"result": "x" * 900, "metadata": {"duration_ms": 1234, "tokens": [1, 2, 3]}}
OURS = "sojourn"


class Cached:
    """`store.cache`: a lease and tags are part of every entry."""

    name = OURS

    def __init__(self, url):
        self.store = sojourn.open(url)
        self.decorated = self.store.cache.cached(ttl=600)(compute)

    async def put(self, key):
        await self.store.cache.put(key, VALUE, ttl=600)

    async def get(self, key):
        return await self.store.cache.get(key)

    async def close(self):
        await self.store.close()


class Cashews:
    name = "cashews"

    def __init__(self, url):
        self.cache = Cache()
        self.cache.setup(url, pickle_type="json")
        self.decorated = self.cache(ttl="600s")(compute)

    async def put(self, key):
        await self.cache.set(key, VALUE, expire=600)

    async def get(self, key):
        return await self.cache.get(key)

    async def close(self):
        await self.cache.close()


class Aiocache:
    name = "aiocache"

    def __init__(self, url):
        address = urlparse(url)
        self.cache = RedisCache(
            endpoint=address.hostname, port=address.port, serializer=JsonSerializer()
        )
        self.decorated = None  # its decorator makes a client of its own for each function

    async def put(self, key):
        await self.cache.set(key, VALUE, ttl=600)

    async def get(self, key):
        return await self.cache.get(key)

    async def close(self):
        await self.cache.close()


class Remembered:
    """`store.memory`: versions, an index and operation ids are part of every entry."""

    name = OURS
    decorated = None

    def __init__(self, url):
        self.store = sojourn.open(url)
        self.scope = self.store.memory.knowledge("bench")

    async def put(self, key):
        await self.scope.put(key, VALUE, ttl=600)

    async def get(self, key):
        return await self.scope.get(key)

    async def close(self):
        await self.store.close()


class KeyValue:
    name = "py-key-value"
    decorated = None

    def __init__(self, url):
        self.store = RedisStore(url=url)

    async def put(self, key):
        await self.store.put(key, VALUE, collection="bench", ttl=600)

    async def get(self, key):
        return await self.store.get(key, collection="bench")

    async def close(self):
        await self.store.close()


async def compute(question):
    return {**VALUE, "question": question}


async def measure(url, kinds):
    """Milliseconds by row and peer; the last row is calls a second."""
    flush(url)
    peers = {kind.name: kind(url) for kind in kinds}
    rows = {}
    numbers = itertools.count()

    def add(row, name, value):
        rows.setdefault(row, {}).setdefault(name, []).append(value)

    async def turn(name, peer):
        for _ in range(CALLS):
            key = f"{name}-{next(numbers)}"
            taken, _ = await timed(peer.put(key))
            add("put", name, taken)
            taken, found = await timed(peer.get(key))
            assert found == VALUE
            add("get", name, taken)
        if peer.decorated is not None:
            await peer.decorated("q")
            for _ in range(CALLS):
                taken, found = await timed(peer.decorated("q"))
                assert found["question"] == "q"
                add("decorated, a hit", name, taken)

        async def burst():
            for _ in range(BURST):
                await peer.get(key)

        taken, _ = await timed(asyncio.gather(*(burst() for _ in range(TASKS))))
        add(f"gets a second, {TASKS} tasks", name, TASKS * BURST / taken * 1000)

    try:
        await in_turn(peers, ROUNDS, turn)
    finally:
        for peer in peers.values():
            with contextlib.suppress(Exception):
                await peer.close()
    return rows


def show(console, title, rows, kinds):
    grid = Grid(title=title, title_justify="left")
    grid.add_column("")
    for kind in kinds:
        grid.add_column(kind.name, justify="right")
    for row, peers in rows.items():
        ours = median(peers[OURS])
        cells = []
        for kind in kinds:
            value = median(peers[kind.name]) if kind.name in peers else None
            text = number(value)
            if value is not None and kind.name != OURS:
                text += f" [cyan]{number(value / ours)}x[/cyan]"
            cells.append(text)
        grid.add_row(row, *cells)
    console.print(grid)


def main():
    console = Console()
    groups = {"Cache (ms)": (Cached, Cashews, Aiocache), "Memory (ms)": (Remembered, KeyValue)}
    with server.running() as (url, version):
        console.print(f"{version}, {ROUNDS} rounds of {CALLS}; medians, and ratios to Sojourn")
        for title, kinds in groups.items():
            show(console, title, asyncio.run(measure(url, kinds)), kinds)


if __name__ == "__main__":
    main()
