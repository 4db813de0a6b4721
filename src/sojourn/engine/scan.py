"""All keys of a kind, by SCAN: for administrators' commands, never for what an agent waits for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sojourn.engine.call import Call, Command, only
from sojourn.engine.engine import Engine

_STEP = 500
"""Keys of one SCAN: a fraction of a millisecond of the server's time."""


async def scan(engine: Engine, pattern: str) -> AsyncIterator[str]:
    """Keys that match a pattern, of all nodes. One round trip for each 500 keys there are.

    A key that is there all the time comes at least once, perhaps more than once. While slots of a
    Cluster move from node to node, keys may be missed.

    Raises:
        Unavailable: a node does not answer in time.
        AccessDenied: the server's user may not SCAN.
    """
    for node in await engine.nodes():
        cursor = b"0"
        while True:
            command: Command = ("SCAN", cursor, "MATCH", pattern, "COUNT", _STEP)
            call: Call[Any] = Call("engine.scan", (), only, commands=[command])
            cursor, found = await node.run(call)
            for name in found:
                try:
                    yield name.decode()
                except UnicodeDecodeError:  # none of ours
                    continue
            if cursor == b"0":
                break
