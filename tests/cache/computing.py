"""A process that computes an entry for ever: `python computing.py URL NAME LEASE`."""

from __future__ import annotations

import asyncio
import sys

import sojourn


async def main(url: str, name: str, lease: float) -> None:
    async def compute() -> None:
        sys.stdout.write("computing\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    async with sojourn.open(url) as store:
        await store.cache.fetch(name, compute, lease=lease)


asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
