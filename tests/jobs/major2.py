"""A storage format 2 that no version has: what holds content stands there backwards.

`python -m jobs.major2 URL CALLS` upgrades a server to it, and kills itself at its call CALLS.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sojourn
from sojourn.codecs import growth, upgrades
from sojourn.jobs import format as formats

CONTENT = re.compile(rb"state:|value$|text$|metadata$|title$|summary$|version:|\d+$")


def flipped(value: bytes) -> bytes:
    return growth.encoded(2, ("backwards",), b"\n" + value[::-1])


def fields(kind: str, old: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """Fields in format 2."""
    is_content = CONTENT.match if kind != "outbox" else bool
    return {name: flipped(value) if is_content(name) else value for name, value in old.items()}


def row(old: bytes) -> bytes:
    """A row of a log in format 2."""
    name = json.dumps(json.loads(old)["id"]).encode()
    return growth.encoded(2, ("backwards",), name + b"\n" + old[::-1])


def back(value: bytes) -> bytes:
    """A value of either format as it was in format 1."""
    found = growth.parse(value)
    return value if found is None else found.body.partition(b"\n")[2][::-1]


@contextmanager
def known(refresh: float = -10.0) -> Iterator[None]:
    """This process is of a version that knows format 2. It waits for no others by default."""
    before, formats.REFRESH, growth.FORMAT = formats.REFRESH, refresh, 2
    upgrades.UPGRADES[1] = upgrades.Upgrade(fields, row)
    try:
        yield
    finally:
        formats.REFRESH, growth.FORMAT = before, 1
        upgrades.UPGRADES.clear()


async def upgrade_until(url: str, calls: int) -> None:
    async with sojourn.open(url, operation_timeout=2) as store:

        def one_more(_: Any) -> None:
            nonlocal calls
            calls -= 1
            if calls == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        store.on_call(one_more)
        await store.admin._jobs.upgrade(2, lease=0.2)


if __name__ == "__main__":
    with known():
        asyncio.run(upgrade_until(sys.argv[1], int(sys.argv[2])))
