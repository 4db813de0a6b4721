"""Scan of keys by a pattern, for administrators: it covers every node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sojourn.calls.call import Call, Command, only
from sojourn.engine.engine import Engine

_STEP = 1000
"""Keys that a node looks at in one round trip: less than a millisecond of its time."""
_TOGETHER = 500
"""Keys that are deleted in one round trip."""


async def scan(engine: Engine, pattern: str) -> AsyncIterator[str]:
    """The names of the keys that match, of all nodes. A round trip for each 1,000 keys there are.

    A key that exists for the whole scan is returned at least once, unless its slot is moved
    meanwhile. Names that are not UTF-8 are not Sojourn's, and are left out.

    Raises:
        Unavailable: a node does not answer in time.
        AccessDenied: the server's user may not SCAN.
    """
    for node in await engine.nodes():
        cursor = b"0"
        while True:
            command: Command = ("SCAN", cursor, "MATCH", pattern, "COUNT", _STEP)
            call: Call[Any] = Call("engine.scan", (), only, commands=[command])
            cursor, names = await node.run(call)
            for name in names:
                try:
                    yield name.decode()
                except UnicodeDecodeError:
                    continue
            if cursor == b"0":
                break


async def found(engine: Engine, pattern: str) -> list[str]:
    """All names of keys that match, in order."""
    return sorted({name async for name in scan(engine, pattern)})


async def members(engine: Engine, key: str, pattern: str) -> list[bytes]:
    """The members of a sorted set that match. A round trip for each 1,000 there are.

    A key of another type has none.
    """
    names: set[bytes] = set()
    cursor = b"0"
    while True:
        command: Command = ("ZSCAN", key, cursor, "MATCH", pattern, "COUNT", _STEP)
        call: Call[Any] = Call(
            "engine.scan", (key,), only, commands=[command], allow_wrong_type=True
        )
        reply = await engine.run(call)
        if isinstance(reply, Exception):
            return []
        cursor, flat = reply
        names.update(flat[::2])
        if cursor == b"0":
            return sorted(names)


async def naming(engine: Engine, name: str, indexes: Sequence[tuple[str, str]]) -> set[str]:
    """The apps of those indexes, given with their apps, that have a member. One round trip.

    A key of another type has none.
    """
    calls = [
        Call("engine.naming", (key,), only, commands=[("ZSCORE", key, name)], allow_wrong_type=True)
        for _, key in indexes
    ]
    scores = await engine.run_all(calls)
    return {
        app
        for (app, _), score in zip(indexes, scores, strict=True)
        if score is not None and not isinstance(score, Exception)
    }


async def unlink(engine: Engine, names: Sequence[str]) -> None:
    """Delete keys, of any slots."""
    for start in range(0, len(names), _TOGETHER):
        part = names[start : start + _TOGETHER]
        await engine.run_all(
            [Call("engine.unlink", (name,), only, commands=[("UNLINK", name)]) for name in part]
        )
