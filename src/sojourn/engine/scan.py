"""Finding keys by a glob, for what nobody waits for: every key of every node is passed by once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from sojourn.engine.call import Call, only
from sojourn.engine.engine import Engine

_STEP = 1000
"""Keys that a node looks at in one round trip: less than a millisecond of its time."""
_TOGETHER = 500
"""Keys that are deleted in one round trip."""


async def scan(engine: Engine, glob: str) -> AsyncIterator[list[str]]:
    """The names of the keys that match, some at a time; a name may come twice.

    What is there from the beginning to the end is found, unless its slot is moved meanwhile. A
    round trip for each 1,000 keys of the server. Names that are no UTF-8 are none of ours.
    """
    for node in await engine.nodes():
        cursor: bytes | str = "0"
        while cursor != b"0":
            command = ("SCAN", cursor, "MATCH", glob, "COUNT", _STEP)
            cursor, names = await node.run(Call("engine.scan", (), only, commands=[command]))
            if found := [text for name in names if (text := _text(name))]:
                yield found


async def found(engine: Engine, glob: str) -> list[str]:
    """All names of keys that match, in order."""
    return sorted({name async for names in scan(engine, glob) for name in names})


async def unlink(engine: Engine, names: Sequence[str]) -> None:
    """Delete keys, of any slots."""
    for start in range(0, len(names), _TOGETHER):
        part = names[start : start + _TOGETHER]
        await engine.run_all(
            [Call("engine.unlink", (name,), only, commands=[("UNLINK", name)]) for name in part]
        )


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return ""
