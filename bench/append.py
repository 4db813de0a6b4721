"""What one more event costs when the session already holds 10, 100, 1,000, 5,000."""

from . import events as shapes
from .measure import Table, in_turn, repeat, timed


def row(length):
    return f"{length:,} events"


class Track:
    """Sessions of one length for one peer; a new one before growth would falsify the length."""

    def __init__(self, peer, length, base):
        self.peer, self.length, self.base = peer, length, base
        self.used, self.left = 0, 0

    async def session(self):
        if not self.left:
            sid = f"append-{self.length}-{self.used}"
            await self.peer.fill(sid, self.base)
            self.held = await self.peer.load(sid)
            self.used += 1
            self.left = max(2, self.length // 10)
        self.left -= 1
        return self.held


async def run(bench):
    plan = bench.plan
    table = Table("append", "Append one event, by length of the session")
    async with bench.peers(appends=True) as peers:
        for peer in peers.values():
            table.notes.append(f"{peer.label} filled: {peer.filled}")
            await warm(peer)
        turns = [turn_for(table, plan, length) for length in plan.lengths]
        await in_turn(peers, plan.rounds, *turns)
    return [table]


async def warm(peer):
    await peer.fill("warm", shapes.make(2))
    session = await peer.load("warm")
    for event in peer.prepare(shapes.make(30)):
        await peer.append(session, event)


def turn_for(table, plan, length):
    base, tracks = shapes.make(length), {}

    async def turn(name, peer):
        track = tracks.setdefault(name, Track(peer, length, base))
        waiting = iter(peer.prepare(shapes.make(plan.turn_samples)))

        async def one():
            session = await track.session()
            taken, _ = await timed(peer.append(session, next(waiting)))
            return taken

        table.add(row(length), name, *await repeat(one, plan.turn_samples, plan.turn_seconds))

    return turn
