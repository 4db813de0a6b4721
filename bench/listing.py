"""Listing one user's sessions."""

import asyncio

from . import events as shapes
from .measure import Table, in_turn, timed


def row(plan):
    return f"{plan.list_sessions} sessions of {plan.list_events}"


async def run(bench):
    plan = bench.plan
    table = Table("list", "List one user's sessions")
    base = shapes.make(plan.list_events)
    async with bench.peers() as peers:
        for peer in peers.values():
            await fill(peer, plan.list_sessions, base)

        async def turn(name, peer):
            taken, sessions = await timed(peer.listed())
            if len(sessions) != plan.list_sessions:
                raise SystemExit(f"{peer.label} listed {len(sessions)} sessions.")
            table.add(row(plan), name, taken)
            if taken < 500:
                again = [await timed(peer.listed()) for _ in range(5)]
                table.add(row(plan), name, *(ms for ms, _ in again))

        await in_turn(peers, plan.list_rounds, turn)
    return [table]


async def fill(peer, count, base):
    """The same events in every session, so that the bench's own process stays small."""
    names = [f"list-{i:04}" for i in range(count)]
    for start in range(0, count, peer.at_once):
        await asyncio.gather(*(peer.fill(sid, base) for sid in names[start : start + peer.at_once]))
