"""The rooms beside what people use for the same; that of sessions is in the other files.

python -m bench.rooms           [cache memory artifacts notices history]
python -m bench.rooms --quick   a few calls of each, to see that it runs

One process, one server, peers in turn; each value of the cache and the memory is a result of 1 KB.
What ADK's memory service finds is in bench/recall.py.
"""

import argparse
import asyncio
import contextlib
import itertools
from functools import partial
from statistics import median
from urllib.parse import urlparse

from rich.console import Console
from rich.table import Table as Grid

import sojourn

from . import files, messages, server, told
from .measure import flush, in_turn, timed
from .report import number

ROUNDS, CALLS, TASKS, BURST = 7, 200, 64, 20
QUICK = 1, 5
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
        from cashews import Cache  # noqa: PLC0415 - each room needs its own peers only

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
        from aiocache import RedisCache  # noqa: PLC0415
        from aiocache.serializers import JsonSerializer  # noqa: PLC0415

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
        from key_value.aio.stores.redis import RedisStore  # noqa: PLC0415

        self.store = RedisStore(url=url)

    async def put(self, key):
        await self.store.put(key, VALUE, collection="bench", ttl=600)

    async def get(self, key):
        return await self.store.get(key, collection="bench")

    async def close(self):
        await self.store.close()


async def compute(question):
    return {**VALUE, "question": question}


async def measure(url, kinds, rounds, calls):
    """Milliseconds by row and peer; the last row is calls a second."""
    flush(url)
    peers = {kind.name: kind(url) for kind in kinds}
    rows = {}
    numbers = itertools.count()

    def add(row, name, value):
        rows.setdefault(row, {}).setdefault(name, []).append(value)

    async def turn(name, peer):
        for _ in range(calls):
            key = f"{name}-{next(numbers)}"
            taken, _ = await timed(peer.put(key))
            add("put", name, taken)
            taken, found = await timed(peer.get(key))
            assert found == VALUE
            add("get", name, taken)
        if peer.decorated is not None:
            await peer.decorated("q")
            for _ in range(calls):
                taken, found = await timed(peer.decorated("q"))
                assert found["question"] == "q"
                add("decorated, a hit", name, taken)

        async def burst():
            for _ in range(BURST):
                await peer.get(key)

        taken, _ = await timed(asyncio.gather(*(burst() for _ in range(TASKS))))
        add(f"gets a second, {TASKS} tasks", name, TASKS * BURST / taken * 1000)

    try:
        await in_turn(peers, rounds, turn)
    finally:
        for peer in peers.values():
            with contextlib.suppress(Exception):
                await peer.close()
    return rows


def show(console, title, rows, names):
    grid = Grid(title=title, title_justify="left")
    grid.add_column("")
    for name in names:
        grid.add_column(name, justify="right")
    for row, peers in rows.items():
        ours = median(peers[OURS])
        cells = []
        for name in names:
            value = median(peers[name]) if name in peers else None
            text = number(value)
            if value is not None and name != OURS:
                text += f" [cyan]{number(value / ours)}x[/cyan]"
            cells.append(text)
        grid.add_row(row, *cells)
    console.print(grid)


def of(*kinds):
    """A room whose peers are measured here: their names, and what measures them."""
    return [kind.name for kind in kinds], partial(measure, kinds=kinds)


GROUPS = {
    "cache": of(Cached, Cashews, Aiocache),
    "memory": of(Remembered, KeyValue),
    "artifacts": (files.KINDS, files.measure),
    "notices": (told.KINDS, told.measure),
    "history": (list(messages.kinds()), messages.measure),
}


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.rooms", description=__doc__)
    parser.add_argument("rooms", nargs="*", choices=(*GROUPS, []), help="all if none is named")
    parser.add_argument("--quick", action="store_true", help="a few calls of each")
    wanted = parser.parse_args()
    rounds, calls = QUICK if wanted.quick else (ROUNDS, CALLS)
    console = Console()
    with server.running() as (url, version):
        console.print(f"{version}, {rounds} rounds of {calls}; medians, and ratios to Sojourn")
        for room in wanted.rooms or GROUPS:
            names, measured = GROUPS[room]
            rows = asyncio.run(measured(url, rounds=rounds, calls=calls))
            show(console, f"{room.capitalize()} (ms)", rows, names)


if __name__ == "__main__":
    main()
