"""Figures for docs/operations.md: ``python -m bench.sizing [--quick]``.

Bytes of an event, memory of 1,000 sessions, and connections of a process, each measured on a server
of its own. `MEMORY USAGE … SAMPLES 0` is summed over all keys; `used_memory` has the server's own
tables besides.
"""

import argparse
import asyncio
import contextlib

import redis

import sojourn
from sojourn import Event

from . import events as shapes
from .server import running

SIZES = (300, 1_100, 3_000)
"""Bytes of an event's content."""


def usage(client):
    """Bytes of all keys, by what they hold."""
    found = {}
    for key in client.scan_iter(count=1000):
        kind = key.decode().partition(":")[0]
        if kind == "session":
            kind = {b"events": "log", b"ids": "event ids", b"ops": "operation ids"}.get(
                key.rpartition(b":")[2], "session"
            )
        found[kind] = found.get(kind, 0) + client.memory_usage(key, samples=0)
    return found


async def an_event(url, client, options, count):
    """What one event more costs, in a log of so many."""
    rows = []
    for size in SIZES:
        client.flushall()
        piece = shapes.texts(size)
        async with sojourn.open(url, **options) as store:
            key = (await store.sessions.create("bench", "ada")).key
            empty = sum(usage(client).values())
            for _ in range(count):
                await store.sessions.append(key, Event(author="agent", payload=piece(size)))
        used = usage(client)
        total = sum(used.values()) - empty
        rows.append((size, total / count, used["log"] / count, total / count / size))
    return rows


async def sessions(url, client, options, count, events):
    """What so many sessions of so many events cost, each of a user of its own."""
    client.flushall()
    before = client.info("memory")["used_memory"]
    piece = shapes.texts(1)
    async with sojourn.open(url, **options) as store:
        for number in range(count):
            made = await store.sessions.create("bench", f"user-{number}", state={"topic": "tea"})
            for _ in range(events):
                await store.sessions.append(made.key, Event(author="agent", payload=piece(1_100)))
    return client.info("memory")["used_memory"] - before, usage(client)


async def connections(url, client):
    """Connections that a process opens, by what it does."""
    rows = []

    def count():
        return len(client.client_list()) - 1

    async with sojourn.open(url, notices=True) as store:
        key = (await store.sessions.create("bench", "connected")).key
        rows.append(("small calls, from any number of tasks", count()))
        await asyncio.gather(
            *(store.sessions.append(key, Event(author="a", payload=1)) for _ in range(64))
        )
        await store.sessions.get(key)
        rows.append(("and large reads", count()))
        after = await store.notices.latest("bench", "connected")
        async with contextlib.aclosing(
            store.notices.subscribe("bench", "connected", after=after)
        ) as notices:
            heard = asyncio.ensure_future(anext(notices))
            await asyncio.sleep(0.5)  # it waits for a change by now
            rows.append(("and subscriptions to notices, any number", count()))
            await store.sessions.append(key, Event(author="a", payload=1))
            await heard
    return rows


async def measure(url, quick, options):
    count, events = (100, 10) if quick else (1_000, 20)
    with redis.Redis.from_url(url) as client:
        print("An event more, in a session of 100:")
        for size, total, log, ratio in await an_event(url, client, options, 100):
            print(
                f"  {size:>5,} bytes of content: {total:6,.0f} bytes ({ratio:.2f} x), "
                f"of which {log:6,.0f} in the log"
            )
        used, kinds = await sessions(url, client, options, count, events)
        per = used / count * 1_000 / 1024**2
        print(f"1,000 sessions of {events} events of 1.1 KB, each of a user: {per:.1f} MiB")
        for kind, size in sorted(kinds.items(), key=lambda each: -each[1]):
            print(f"  {kind:<14} {size / count:8,.0f} bytes a session")
        print("Connections of a process, for each event loop and node:")
        for what, number in await connections(url, client):
            print(f"  {number}  {what}")


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.sizing", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 sessions of 10 events")
    parser.add_argument("--compression", choices=["zstd"], help="as in sojourn.open()")
    given = parser.parse_args()
    options = {"compression": given.compression} if given.compression else {}
    with running() as (url, version):
        print(version)
        asyncio.run(measure(url, given.quick, options))


if __name__ == "__main__":
    main()
