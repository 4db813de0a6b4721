"""What it costs to remember operation ids: server time of an append, and bytes.

python -m bench.operations

Three scripts get the keys and arguments of the same appends, in turn on one server: the append
itself; only its RPUSH; and its RPUSH with the commands that remember an id. The time is the
server's own (INFO commandstats); of many rounds the fastest counts, as all else is others' work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import redis
from google.adk.events.event import Event as AdkEvent

import sojourn
from bench import floor, server
from bench.events import make
from sojourn.calls.call import Script
from sojourn.integrations.adk.events import to_event
from sojourn.sessions import Event

ROUNDS, APPENDS = 41, 400
REMEMBERING = Script(
    "remembering",
    "redis.call('PTTL', KEYS[3]) local at = redis.call('RPUSH', KEYS[2], ARGV[11])"
    " redis.call('ZADD', KEYS[3], 'NX', at, 'a' .. ARGV[1])"
    " return {'ok', at, 1, 1, 0, '86400000', '', ''}",
)


async def append(url: str, batch: Sequence[Event]) -> str:
    """Append to a session of its own; returns its key."""
    async with sojourn.open(url) as store:
        made = await store.sessions.create("bench", "ada")
        for event in batch:
            await store.sessions.append(made.key, event)
    return f"session:{{bench:ada}}:{made.key.session}"


async def send(url: str, script: Script, batch: Sequence[AdkEvent]) -> None:
    """Give a script what appends to a session of its own would send."""
    place = floor.Floor(url, script)
    keys = await place.keys(script.name)
    for call in place.calls(batch):
        await place.run(call, keys)
    await place.close()


def spent(client: redis.Redis) -> float:
    """Microseconds of an average script."""
    stats = client.info("commandstats")["cmdstat_evalsha"]
    return float(stats["usec"] / stats["calls"])


def main() -> None:
    took: dict[str, list[float]] = {"append": [], "floor": [], "remembering": []}
    batch = make(APPENDS)
    events = [to_event(event) for event in batch]
    with server.running() as (url, _version), redis.Redis.from_url(url) as client:
        for _ in range(ROUNDS):
            client.flushall()
            for name, script in (("floor", floor.SCRIPT), ("remembering", REMEMBERING)):
                client.config_resetstat()
                asyncio.run(send(url, script, batch))
                took[name].append(spent(client))
            client.config_resetstat()
            key = asyncio.run(append(url, events))
            took["append"].append(spent(client))
        size = client.memory_usage(f"{key}:ops", samples=0) / APPENDS
        log = client.memory_usage(f"{key}:events", samples=0) / APPENDS
    whole, least, remembering = (min(times) for times in took.values())
    ids = remembering - least
    print(f"server time of an append: {whole:.1f} µs; its RPUSH alone {least:.1f}; operation ids "
          f"{ids:.1f}, {ids / whole:.0%} of it")  # fmt: skip
    print(f"memory: {size:.0f} bytes an id, {log:.0f} an event: {size / log:.3f} times; "
          "the last 1,000 to 1,063 of a session are kept")  # fmt: skip


if __name__ == "__main__":
    main()
