"""Notices beside a bare XADD and a bare PUBLISH. Part of bench.rooms.

What a notice costs the writer is the difference between the two appends; a bare XADD and PUBLISH
carry the same, and no session. *Heard*: from the call of the writer until a reader has it.
"""

import asyncio
import contextlib
from contextlib import aclosing

import redis.asyncio

import sojourn

from .measure import flush, in_turn, timed

KINDS = ("sojourn", "no notices", "XADD", "PUBLISH")
WORDS = {"kind": "appended", "session": "s", "version": "2"}


class Notices:
    """An append that is told; the same without notices has nobody to hear it."""

    def __init__(self, url, told):
        self.store, self.told = sojourn.open(url, notices=told), told

    async def begin(self):
        self.key = (await self.store.sessions.create("bench", "ada")).key

    async def tell(self):
        await self.store.sessions.append(self.key, sojourn.Event(author="a", payload="x"))

    @contextlib.asynccontextmanager
    async def heard(self):
        notices = self.store.notices.subscribe(
            "bench", "ada", after=await self.store.notices.latest("bench", "ada")
        )
        async with aclosing(notices):
            yield notices.__anext__

    async def close(self):
        await self.store.close()


class Stream:
    told = True

    def __init__(self, url):
        self.client = redis.asyncio.from_url(url)

    async def begin(self):
        self.last = "0"

    async def tell(self):
        await self.client.xadd("bench", WORDS, maxlen=1000)

    @contextlib.asynccontextmanager
    async def heard(self):
        rows = await self.client.xrevrange("bench", count=1)
        last = rows[0][0] if rows else "0"

        async def following():
            nonlocal last
            ((_, found),) = await self.client.xread({"bench": last}, count=1, block=5000)
            last = found[0][0]

        yield following

    async def close(self):
        await self.client.aclose()


class Published:
    told = True

    def __init__(self, url):
        self.client = redis.asyncio.from_url(url)

    async def begin(self):
        """Nothing is kept."""

    async def tell(self):
        await self.client.publish("bench", "appended s 2")

    @contextlib.asynccontextmanager
    async def heard(self):
        async with self.client.pubsub() as listener:
            await listener.subscribe("bench")
            messages = listener.listen()
            await anext(messages)  # the subscription
            yield messages.__anext__

    async def close(self):
        await self.client.aclose()


async def measure(url, rounds, calls):
    """Milliseconds by row and peer."""
    flush(url)
    made = [Notices(url, True), Notices(url, False), Stream(url), Published(url)]  # noqa: FBT003
    peers, rows = dict(zip(KINDS, made, strict=True)), {}
    for peer in made:
        await peer.begin()

    async def turn(name, peer):
        for _ in range(calls):
            taken, _ = await timed(peer.tell())
            rows.setdefault("tell", {}).setdefault(name, []).append(taken)
        if not peer.told:
            return
        async with peer.heard() as following:
            for _ in range(calls):
                hearing = asyncio.ensure_future(following())
                await asyncio.sleep(0.002)  # it listens

                async def until_heard(hearing=hearing):
                    await peer.tell()
                    await hearing

                taken, _ = await timed(until_heard())
                rows.setdefault("heard", {}).setdefault(name, []).append(taken)

    try:
        await in_turn(peers, rounds, turn)
    finally:
        for peer in made:
            with contextlib.suppress(Exception):
                await peer.close()
    return rows
