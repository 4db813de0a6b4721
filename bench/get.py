"""Reading a session: whole and its last events; in a fresh service, and again in the same one."""

from . import events as shapes
from .measure import Table, in_turn, repeat, timed


def whole(length):
    return f"all of {length:,}"


def tail(recent, length):
    return f"last {recent} of {length:,}"


async def run(bench):
    plan = bench.plan
    cold = Table("get-cold", "Get, in a fresh service (connection open, caches empty)")
    read = Table("get-read", "Get, in a fresh service, and read every event's content")
    warm = Table("get-warm", "Get again, in the same service")
    tables = {"cold": cold, "read": read, "warm": warm}
    cold.notes.append("ADK in-memory has no fresh service: its session is always in the process")
    cases = [(whole(n), n, None) for n in plan.whole]
    cases += [(tail(plan.recent, n), n, plan.recent) for n in plan.tails]
    async with bench.peers() as peers:
        for length in {case[1] for case in cases} | {2}:
            base = shapes.make(length)
            for peer in peers.values():
                await peer.fill(f"get-{length}", base)
        turns = [turn_for(tables, plan, *case) for case in cases]
        await in_turn(peers, plan.rounds, *turns)
    return [cold, read, warm]


def turn_for(tables, plan, row, length, recent):
    expected = recent or length

    async def turn(name, peer):
        async def visit():
            taken = await look(peer, f"get-{length}", recent, expected)
            for key, samples in taken.items():
                tables[key].add(row, name, *samples)
            return sum(taken["read"]) + sum(taken["warm"])

        await repeat(visit, 10, plan.turn_seconds / 2)

    return turn


async def look(peer, sid, recent, expected):
    service = peer.fresh()
    try:
        await service.load("get-2")  # opens the connection
        first, session = await timed(service.load(sid, recent))
        more, contents = await timed(contents_of(session))
        check(len(contents), expected)
        del session, contents
        again = await repeat(lambda: load_again(service, sid, recent, expected), 5, 0.05)
    finally:
        if service is not peer:
            await service.close()
    return {"cold": [first], "read": [first + more], "warm": again}


async def load_again(service, sid, recent, expected):
    taken, session = await timed(service.load(sid, recent))
    check(len(session.events), expected)
    return taken


async def contents_of(session):
    """What ADK does with a session: looks at every event. Lazy decoding pays here."""
    return [(event.author, event.content.parts[0]) for event in session.events]


def check(got, expected):
    if got != expected:
        raise SystemExit(f"A peer returned {got} events instead of {expected}.")
