"""A client in a process of its own, to be killed at any moment: `python -m faults.mortal`.

Reads lines from its input: `URL NOTEBOOK` makes a new process and answers its id, `go` lets that
process begin, and `ended` is answered when it is over. Forks are quick: Sojourn is imported once.
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
        return dict.fromkeys((NAME, f"user:{NAME}", f"app:{NAME}"), len(self.book.entries))


async def live(url: str, path: Path) -> None:
    """Each kind of write, and some reads."""
    one, two = PLACES
    async with sojourn.open(url) as store:
        client = Mortal(NAME, store, Random(1), Ways(), book=Notebook(NAME, path))
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


def main() -> None:
    sojourn.open("redis://nowhere")  # imports what is imported late
    for line in sys.stdin:
        url, path = line.split()
        begin, go = os.pipe()
        process = os.fork()
        if process == 0:
            os.read(begin, 1)
            try:
                asyncio.run(live(url, Path(path)))
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
