"""What compression and encryption cost: the same work in plain, compressed and sealed stores.

python -m bench.codec             # ratios to plain, in one run; the stores take turns
python -m bench.codec --rounds 30
"""

import argparse
import asyncio
import gc
import logging
import statistics
import tempfile
import time
from pathlib import Path

from sojourn.integrations.adk import SessionService
from sojourn.keys.ring import KeyRing

from . import events as shapes
from . import server

TASKS, APPENDS, LOADED = 64, 20, 1_000
KINDS = ("plain", "zstd", "aes", "zstd+aes")


def service_of(kind, url, ring):
    options = {"near_cache_bytes": 0}
    if "zstd" in kind:
        options["compression"] = "zstd"
    if "aes" in kind:
        options["keys"] = ring
    return SessionService(url, **options)


async def append(service, number):
    """Seconds that 64 tasks take to append, each to a session of its own."""
    names = [f"s{number}-{n}" for n in range(TASKS)]
    sessions = [
        await service.create_session(app_name="bench", user_id="ada", session_id=name)
        for name in names
    ]
    waiting = [shapes.make(APPENDS, seed=n) for n in range(TASKS)]

    async def write(session, events):
        for event in events:
            await service.append_event(session, event)

    gc.collect()
    start = time.perf_counter()
    await asyncio.gather(*map(write, sessions, waiting))
    return time.perf_counter() - start


async def load(service):
    """Seconds that a session of 1,000 events takes to be read without a cache."""
    gc.collect()
    start = time.perf_counter()
    session = await service.get_session(app_name="bench", user_id="ada", session_id="long")
    taken = time.perf_counter() - start
    if len(session.events) != LOADED:
        raise SystemExit(f"{len(session.events)} events came back.")
    return taken


async def measure(url, rounds, ring):
    taken = {what: {kind: [] for kind in KINDS} for what in ("append", "load")}
    services = {
        kind: service_of(kind, f"{url}?namespace={n}", ring) for n, kind in enumerate(KINDS)
    }
    try:
        for service in services.values():
            session = await service.create_session(
                app_name="bench", user_id="ada", session_id="long"
            )
            for event in shapes.make(LOADED):
                await service.append_event(session, event)
            await append(service, -1)
        for number in range(rounds):
            for kind in KINDS[number % len(KINDS) :] + KINDS[: number % len(KINDS)]:
                taken["append"][kind].append(await append(services[kind], number))
                taken["load"][kind].append(await load(services[kind]))
    finally:
        for service in services.values():
            await service.close()
    return taken


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.codec", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    logging.disable(logging.WARNING)
    with server.running() as (url, version), tempfile.TemporaryDirectory() as folder:
        ring = Path(folder) / "ring"
        KeyRing.new().save(ring)
        taken = asyncio.run(measure(url, rounds, str(ring)))
    print(f"{version}; median of {rounds} turns; throughput as a part of plain's")
    for what, each, count in (
        ("append", f"{TASKS} tasks, an append", TASKS * APPENDS),
        ("load", f"{LOADED:,} events, an event", LOADED),
    ):
        medians = {kind: statistics.median(taken[what][kind]) for kind in KINDS}
        print(f"{what:8}" + "".join(f"{kind:>18}" for kind in KINDS) + f"   ({each})")
        print(
            " " * 8
            + "".join(
                f"{1e6 * found / count:9.1f} µs {medians['plain'] / found:5.2f}"
                for found in medians.values()
            )
        )


if __name__ == "__main__":
    main()
