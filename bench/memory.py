"""What a session of 100 events costs the server, or the disk."""

import contextlib

import redis

from . import events as shapes
from .measure import Table, flush

OPERATIONS = b":ops"


def row(plan):
    return f"{plan.memory_events} events"


async def run(bench):
    plan, url = bench.plan, bench.url
    base = shapes.make(plan.memory_events)
    raw = plan.memory_events * shapes.mean_size(base)
    sizes = Table("memory", "Memory of one session (SQLite: its file)", unit="KB")
    times = Table("memory-ratio", "The same, as a multiple of ADK's exclude_none JSON", unit="x")
    extra = Table("memory-ops", "Operation ids, apart (they make retries safe)", unit="KB")
    sizes.notes.append(f"ADK's exclude_none JSON of the events: {raw / 1024:.1f} KB")
    sizes.notes.append("MEMORY USAGE … SAMPLES 0 of every key, indexes included")
    async with bench.peers() as peers:
        for name, peer in peers.items():
            flush(url)
            used, ids = await one(peer, plan, base, url)
            if used:
                sizes.add(row(plan), name, used / 1024)
                times.add(row(plan), name, used / raw)
            if ids:
                extra.add(row(plan), name, ids / 1024)
    return [sizes, times, extra]


async def one(peer, plan, base, url):
    """(bytes a session, bytes of operation ids a session)."""
    path = getattr(peer, "path", None)
    before = path.stat().st_size if path and path.exists() else 0
    for i in range(plan.memory_sessions):
        await peer.fill(f"memory-{i:03}", base)
    if path:
        return (path.stat().st_size - before) / plan.memory_sessions, 0
    used, ids = server_memory(url)
    return used / plan.memory_sessions, ids / plan.memory_sessions


def server_memory(url):
    used = ids = 0
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        for key in client.scan_iter(count=1000):
            size = client.memory_usage(key, samples=0)
            if key.endswith(OPERATIONS):
                ids += size
            else:
                used += size
    return used, ids
