"""What one more event costs when the session already holds 10, 100, 1,000, 5,000."""

from . import events as shapes
from .measure import Table, in_turn, repeat, timed


def row(length):
    return f"{length:,} events"


class Track:
    """Sessions of one length for one peer, none grown so far that the length would be a lie."""

    def __init__(self, peer, length, base):
        self.peer, self.length, self.base = peer, length, base
        self.made = 0
        self.places = []  # a handle as often as it may still be appended to

    async def ready(self, count):
        """Made before the clock runs, so that timed appends follow each other at every length."""
        while len(self.places) < count:
            sid = f"append-{self.length}-{self.made}"
            self.made += 1
            await self.peer.fill(sid, self.base)
            self.places += [await self.peer.load(sid)] * max(2, self.length // 10)


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
        await track.ready(plan.turn_samples)
        waiting = iter(peer.prepare(shapes.make(plan.turn_samples)))

        async def one():
            taken, _ = await timed(peer.append(track.places.pop(), next(waiting)))
            return taken

        table.add(row(length), name, *await repeat(one, plan.turn_samples, plan.turn_seconds))

    return turn
