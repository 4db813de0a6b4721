"""Create a session and get it back: requirement C6 wants both under 20 ms at the 99th."""

import asyncio

from .measure import Table, in_turn, repeat, timed

ROW = "create + get"


async def run(bench):
    plan = bench.plan
    table = Table("create", "Create a session and get it")
    numbers = iter(range(10_000_000))
    async with bench.peers() as peers:
        for peer in peers.values():
            await both(peer, "create-warm")

        async def turn(name, peer):
            async def one():
                await asyncio.sleep(0)
                taken, _ = await timed(both(peer, f"create-{next(numbers)}"))
                return taken

            table.add(ROW, name, *await repeat(one, plan.create_samples, plan.turn_seconds))

        await in_turn(peers, plan.rounds, turn)
    return [table]


async def both(peer, sid):
    await peer.create(sid, {"topic": "none yet"})
    await peer.load(sid)
