"""40 writers on one session, each with a handle of its own: what is lost, what is refused."""

import asyncio
import time

from . import events as shapes
from .measure import Table

ROWS = (
    "refused",
    "events lost",
    "session keys lost",
    "user keys lost",
    "seconds",
)


async def run(bench):
    plan = bench.plan
    total = plan.writers * plan.writes
    table = Table(
        "contention",
        f"{plan.writers} writers on one session, {plan.writes} appends each: of {total}",
        unit="",
    )
    table.notes.append("lost: acknowledged, and not there afterwards")
    async with bench.peers() as peers:
        for name, peer in peers.items():
            for row, value in zip(ROWS, await one(peer, plan), strict=True):
                table.add(row, name, value)
    return [table]


async def one(peer, plan):
    await peer.fill("shared", shapes.make(2))
    handles = [await peer.load("shared") for _ in range(plan.writers)]
    kept = []

    async def write(writer, session):
        for i, event in enumerate(shapes.make(plan.writes, seed=writer)):
            mark = f"w{writer}_{i}"
            event.actions.state_delta = {mark: i, f"user:{mark}": i}
            try:
                await peer.append(session, event)
            except Exception:  # noqa: BLE001  whatever a peer raises is an append refused
                continue
            kept.append((event.id, mark))

    start = time.perf_counter()
    await asyncio.gather(*(write(i, session) for i, session in enumerate(handles)))
    seconds = time.perf_counter() - start
    return (plan.writers * plan.writes - len(kept), *await missing(peer, kept), seconds)


async def missing(peer, kept):
    session = await peer.load("shared")
    there = {event.id for event in session.events}
    return (
        sum(name not in there for name, _ in kept),
        sum(mark not in session.state for _, mark in kept),
        sum(f"user:{mark}" not in session.state for _, mark in kept),
    )
