"""64 sessions at once: a task each, which appends to its own session."""

import asyncio
import time

from . import events as shapes
from .measure import Table, in_turn

START = 10


async def run(bench):
    plan = bench.plan
    table = Table(
        "parallel",
        f"{plan.tasks} sessions at once, {plan.burst} appends each, from {START} events on",
        unit="appends/s",
        better="more",
    )
    async with bench.peers(appends=True) as peers:
        await in_turn(peers, plan.rounds, turn_for(table, plan))
    return [table]


def row(plan):
    return f"{plan.tasks} tasks"


def turn_for(table, plan):
    numbers = iter(range(1_000_000))

    async def turn(name, peer):
        done, refused, taken = 0, 0, 0.0
        while taken < plan.turn_seconds / 2:
            kept, lost, seconds = await burst(peer, plan, f"parallel-{next(numbers)}")
            done, refused, taken = done + kept, refused + lost, taken + seconds
        table.add(row(plan), name, done / taken)
        if refused:
            table.notes.append(f"{peer.label} refused {refused} appends in one of its turns")

    return turn


async def burst(peer, plan, prefix):
    """(appends done, refused, seconds) of one burst over new sessions."""
    base = shapes.make(START)
    names = [f"{prefix}-{i}" for i in range(plan.tasks)]
    for sid in names:
        await peer.fill(sid, base)
    sessions = [await peer.load(sid) for sid in names]
    loads = [peer.prepare(shapes.make(plan.burst, seed=i)) for i in range(plan.tasks)]
    start = time.perf_counter()
    write = writer_of(peer, start + plan.turn_seconds)
    counts = await asyncio.gather(*map(write, sessions, loads))
    taken = time.perf_counter() - start
    return sum(done for done, _ in counts), sum(refused for _, refused in counts), taken


def writer_of(peer, end):
    async def write(session, events):
        done = refused = 0
        for event in events:
            if time.perf_counter() > end:  # a slow peer does as much as it can until then
                break
            try:
                await peer.append(session, event)
                done += 1
            except Exception:  # noqa: BLE001  whatever a peer raises is an append refused
                refused += 1
        return done, refused

    return write
