"""Saves chunks of a large artifact, and stops before the next: `saving.py URL COUNT`."""

from __future__ import annotations

import asyncio
import os
import sys

from artifacts_kit import PIECE, save

import sojourn
from sojourn.telemetry import CallFact


async def main(url: str, count: int) -> None:
    sent: list[CallFact] = []

    def pause(fact: CallFact) -> None:
        sent.append(fact)
        if len(sent) == count:
            os.write(1, b"sent\n")
            sys.stdin.read()  # the whole process waits, to be killed

    async with sojourn.open(url) as store:
        store.on_call(pause)
        await save(store, b"x" * 3 * PIECE, "op")


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
