"""A client in a process of its own, to be killed at any moment: `python -m faults.mortal`.

Reads lines from its input: a name in `LIVES` with its arguments makes a new process and answers its
id, `go` lets that process begin, and `ended` is answered when it is over. Forks are quick: Sojourn
is imported once.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from random import Random
from typing import Any

import sojourn
from faults.client import Client, Ways
from faults.notebook import Notebook, Place

NAME = "mortal"
PLACES = (Place("shop", "ada", "one"), Place("shop", "ada", "two"))


class Mortal(Client):
    """It sets all kinds of state with every write."""

    def _values(self) -> dict[str, Any]:
        names = (self.name, f"user:{self.name}", f"app:{self.name}")
        return dict.fromkeys(names, len(self.book.entries))


async def live(url: str, path: str) -> None:
    """Each kind of write, and some reads."""
    one, two = PLACES
    async with sojourn.open(url) as store:
        client = Mortal(NAME, store, Random(1), Ways(), book=Notebook(NAME, Path(path)))
        first = await client.create(one)
        await client.append(one, first)
        await client.update(one)
        second = await client.create(two)
        await client.append(two, second)
        await client.read(one)
        await client.append(one, first)
        await client.delete(two)
        third = await client.create(two)
        await client.append(two, third)


def buffering(url: str, journal: str) -> sojourn.Sojourn:
    return sojourn.open(
        url, on_outage="buffer", journal=journal, operation_timeout=0.3, connect_timeout=0.3
    )


async def go_on(url: str, journal: str, *paths: str) -> None:
    """A client for each notebook that creates and appends, whether there is a server or not."""
    async with buffering(url, journal) as store:
        clients = (
            Mortal(Path(path).name, store, Random(path), Ways(), book=Notebook(path, Path(path)))
            for path in paths
        )
        await asyncio.gather(*map(_for_ever, clients))


async def _for_ever(client: Mortal) -> None:
    one = PLACES[0]._replace(session=client.name)
    sessions = [(one, await client.create(one))]
    while True:
        for place, incarnation in sessions[-3:]:
            await client.append(place, incarnation)
            await asyncio.sleep(0.001)
        if len(client.book.entries) % 10 == 0:
            new = one._replace(session=f"{client.name}:{len(client.book.entries)}")
            sessions.append((new, await client.create(new)))


async def inherit(url: str, journal: str) -> None:
    """Nothing but to replay what another has left."""
    async with buffering(url, journal) as store:
        await store.sessions.list("shop", "ada")
        while store.stats().buffered:
            await asyncio.sleep(0.001)


async def rotate(url: str, *names: str) -> None:
    """Give a session another id."""
    async with sojourn.open(url) as store:
        await store.rotate(sojourn.SessionKey.of(*names), operation_id="r")


LIVES = {life.__name__: life for life in (live, go_on, inherit, rotate)}


def main() -> None:
    sojourn.open("redis://nowhere")  # imports what is imported late
    for line in sys.stdin:
        name, *arguments = line.split()
        begin, go = os.pipe()
        process = os.fork()
        if process == 0:
            os.read(begin, 1)
            try:
                asyncio.run(LIVES[name](*arguments))
            finally:
                os._exit(0)
        print(process, flush=True)  # noqa: T201
        sys.stdin.readline()
        os.write(go, b"!")
        os.waitpid(process, 0)
        os.close(begin)
        os.close(go)
        print("ended", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
