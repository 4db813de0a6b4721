"""Chat histories beside a list of JSON. Part of bench.rooms.

The column of LangChain's messages is there only where langchain-core is installed.
"""

import contextlib
import importlib.util
import itertools
import json

import redis.asyncio

import sojourn

from .measure import flush, in_turn, timed

TEXT, LENGTH, LAST = "x" * 400, 100, 20


class History:
    """`store.history`: a message is an event of a session, under an operation id."""

    def __init__(self, url):
        self.store = sojourn.open(url)

    async def add(self, session):
        await self.store.history(session).append("user", TEXT)

    async def last(self, session):
        return await self.store.history(session).last(LAST)

    async def all(self, session):
        return await self.store.history(session).all()

    async def close(self):
        await self.store.close()


class List:
    """redis-py, RPUSH of JSON, and a new lifetime in the same pipeline."""

    def __init__(self, url):
        self.client = redis.asyncio.from_url(url)

    async def add(self, session):
        message = json.dumps({"role": "user", "content": TEXT})
        async with self.client.pipeline(transaction=False) as pipe:
            await pipe.rpush(f"chat:{session}", message).expire(f"chat:{session}", 600).execute()

    async def last(self, session):
        return self._read(await self.client.lrange(f"chat:{session}", -LAST, -1))

    async def all(self, session):
        return self._read(await self.client.lrange(f"chat:{session}", 0, -1))

    def _read(self, rows):
        return [json.loads(row) for row in rows]

    async def close(self):
        await self.client.aclose()


class LangChain:
    """Our `ChatMessageHistory`, an object for each request, as an application makes it."""

    def __init__(self, url):
        from langchain_core.messages import HumanMessage  # noqa: PLC0415 - it may be missing

        from sojourn.integrations.langchain import ChatMessageHistory  # noqa: PLC0415

        self.kind, self.message = ChatMessageHistory, HumanMessage(TEXT)
        self.store = sojourn.open(url)

    async def add(self, session):
        await self.kind(session, self.store).aadd_messages([self.message])

    async def last(self, session):
        return await self.kind(session, self.store, last=LAST).aget_messages()

    async def all(self, session):
        return await self.kind(session, self.store).aget_messages()

    async def close(self):
        await self.store.close()


def kinds():
    """The peers that can run here, by name."""
    found = {"sojourn": History, "RPUSH of JSON": List}
    if importlib.util.find_spec("langchain_core"):
        found["sojourn, LangChain"] = LangChain
    return found


async def measure(url, rounds, calls):
    """Milliseconds by row and peer."""
    flush(url)
    peers = {name: kind(url) for name, kind in kinds().items()}
    rows, numbers = {}, itertools.count()

    async def turn(name, peer):
        def add(row, taken):
            rows.setdefault(row, {}).setdefault(name, []).append(taken)

        for _ in range(calls):
            taken, _ = await timed(peer.add(f"{name}-{next(numbers)}"))
            add("the first message", taken)
        session = f"{name}-{next(numbers)}"
        for _ in range(LENGTH):
            await peer.add(session)
        for _ in range(calls):
            taken, found = await timed(peer.last(session))
            assert len(found) == LAST
            add(f"the last {LAST}", taken)
        for _ in range(calls):
            taken, found = await timed(peer.all(session))
            assert len(found) == LENGTH
            add(f"all {LENGTH}", taken)
        for _ in range(calls):
            taken, _ = await timed(peer.add(session))
            add("one more", taken)

    try:
        await in_turn(peers, rounds, turn)
    finally:
        for peer in peers.values():
            with contextlib.suppress(Exception):
                await peer.close()
    return rows
