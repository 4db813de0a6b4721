"""Faults, at moments that the dice choose."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from proxy import Proxy
from servers import Server

ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")
EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec")


class ProxyFault(NamedTuple):
    """What a proxy does to some requests.

    Attributes:
        what: as `Proxy.on_request` answers; `delay` for a while of up to `most` seconds.
        chance: of a request to be hit.
        most: seconds.
    """

    what: str
    chance: float
    most: float = 0.0


PROXY_FAULTS = {
    "delay": ProxyFault("delay", 0.02, 0.3),
    "cut before the request": ProxyFault("drop", 0.03),
    "cut after the request": ProxyFault("lose", 0.03),
    "cut in the reply": ProxyFault("trim", 0.03),
    "stall": ProxyFault("stall", 0.002),
    "stall after the request": ProxyFault("mute", 0.002),
}


@contextmanager
def hurt(proxies: list[Proxy], dice: Random, *faults: str) -> Iterator[Counter[str]]:
    """Let proxies hit requests at random. Gives how many were hit, by fault."""
    hits: Counter[str] = Counter()

    def on_request(_: bytes) -> str | float:
        for name in faults:
            fault = PROXY_FAULTS[name]
            if dice.random() < fault.chance:
                hits[name] += 1
                return dice.random() * fault.most if fault.what == "delay" else fault.what
        return "pass"

    for proxy in proxies:
        proxy.on_request = on_request
    try:
        yield hits
    finally:
        for proxy in proxies:
            proxy.on_request = lambda _: "pass"


async def kill(server: Server, dice: Random) -> float:
    """`kill -9` in the middle of whatever it does; when, in seconds since the epoch."""
    await asyncio.sleep(dice.random() * 0.05)
    at = time.time()
    await asyncio.to_thread(server.stop, 9)
    return at


async def kill_and_restart(server: Server, dice: Random) -> float:
    """The same, and up again."""
    at = await kill(server, dice)
    await asyncio.to_thread(server.start)
    return at


async def freeze(server: Server, seconds: float) -> None:
    """SIGSTOP and, so much later, SIGCONT."""
    server.pause()
    try:
        await asyncio.sleep(seconds)
    finally:
        server.resume()


class AofSizes:
    """How much of the append-only file there was, lately: for a power cut."""

    def __init__(self, server: Server) -> None:
        self._path = next(Path(server.folder).glob("**/*.aof*incr*"))
        self._sizes: deque[tuple[float, int]] = deque()
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            self._sizes.append((time.time(), self._path.stat().st_size))
            await asyncio.sleep(0.02)

    async def power_cut(self, server: Server, dice: Random, seconds: float) -> float:
        """Kill the server, and with it all that it wrote in the last so many seconds.

        Returns:
            since when what it wrote is lost, in seconds since the epoch.
        """
        while not self._sizes or self._sizes[0][0] > time.time() - seconds:
            await asyncio.sleep(0.02)
        at = await kill(server, dice)
        self._task.cancel()
        since, size = [each for each in self._sizes if each[0] <= at - seconds][-1]
        with self._path.open("ab") as file:
            file.truncate(size)
        await asyncio.to_thread(server.start)
        return since
