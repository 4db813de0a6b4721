"""What it costs to remember operation ids: server time of an append, and bytes.

python -m bench.operations

The append script runs as it is and without the lines that look an id up and keep it, in turn on
one server; the time is the server's own (INFO commandstats).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from statistics import median

import redis

import sojourn
from bench import server
from bench.events import make
from sojourn.calls.call import Script
from sojourn.integrations.adk import events
from sojourn.sessions import Event
from sojourn.sessions.operations import append as room

ROUNDS, APPENDS = 21, 500
_KEPT = "write_operation(ops, name, version, ttl)"
_LOOKED_UP = "redis.call('ZSCORE', ops, name)"


def without_ids() -> Script:
    body = room.SCRIPT.body.decode()
    assert _KEPT in body
    assert _LOOKED_UP in body
    head, _, tail = body.rpartition(_KEPT)
    return Script("append", (head + tail).replace(_LOOKED_UP, "false"))


async def append(url: str, script: Script, batch: Sequence[Event]) -> str:
    """Append to a session of its own, with one variant of the script; returns its key."""
    room.SCRIPT = script
    async with sojourn.open(url) as store:
        made = await store.sessions.create("bench", "ada")
        for event in batch:
            await store.sessions.append(made.key, event)
    return f"session:{{bench:ada}}:{made.key.session}"


def spent(client: redis.Redis) -> float:
    stats = client.info("commandstats")
    return float(stats["cmdstat_evalsha"]["usec"])


def main() -> None:
    variants = {"with ids": room.SCRIPT, "without": without_ids()}
    took: dict[str, list[float]] = {name: [] for name in variants}
    batch = [events.to_event(event) for event in make(APPENDS)]
    key = ""
    with server.running() as (url, _version), redis.Redis.from_url(url) as client:
        for _ in range(ROUNDS):
            for name, script in variants.items():
                asyncio.run(append(url, script, batch[:1]))
                before = spent(client)
                made = asyncio.run(append(url, script, batch))
                took[name].append((spent(client) - before) / APPENDS)
                key = made if name == "with ids" else key
        size = client.memory_usage(f"{key}:ops", samples=0) / APPENDS
        log = client.memory_usage(f"{key}:events", samples=0) / APPENDS
    with_ids, without = (median(times) for times in took.values())
    print(f"server time of an append: {with_ids:.1f} µs with ids, {without:.1f} without: "
          f"{with_ids / without:.2f} times")  # fmt: skip
    print(f"memory: {size:.0f} bytes an id, {log:.0f} an event: {size / log:.3f} times; "
          "the last 1,000 to 1,063 of a session are kept")  # fmt: skip


if __name__ == "__main__":
    main()
