"""Search of all records for those with an encoding: nothing may be removed that they need."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sojourn.calls.call import Call, Command, only
from sojourn.engine.engine import Engine
from sojourn.engine.scan import scan

_TOGETHER = 50
_READ: dict[bytes, tuple[str | int, ...]] = {
    b"hash": ("HGETALL",),
    b"list": ("LRANGE", 0, -1),
    b"string": ("GET",),
    b"stream": ("XRANGE", "-", "+"),
}
"""Types of keys that hold values, and how to read them; the key stands behind the first word."""
_inside = re.compile(rb'"\$encoded":"([A-Za-z0-9+/=]+)"').finditer
"""Values inside another JSON, in base64."""


async def named_in(
    engine: Engine, pattern: str, encoding: str, wanted: Callable[[str], bool]
) -> list[str]:
    """The keys that hold values with an encoding, in order. It reads each of them once.

    Args:
        engine: where calls go.
        pattern: of the names of keys.
        encoding: as it stands in a header: `name:parameter`.
        wanted: whether a key is to be looked at.

    Raises:
        Unavailable: a server does not answer.
    """
    header = re.compile(rb"\xff\d+ (?:[^ \n]+ )*" + re.escape(encoding.encode()) + rb"[ \n]").search
    found: set[str] = set()
    batch: list[str] = []

    async def look() -> None:
        values = await asyncio.gather(*(_values(engine, name) for name in batch))
        for name, value in zip(batch, values, strict=True):
            if any(header(part) for part in _parts(value)):
                found.add(name)
        batch.clear()

    async for name in scan(engine, pattern):
        if wanted(name):
            batch.append(name)
        if len(batch) >= _TOGETHER:
            await look()
    await look()
    return sorted(found)


async def _values(engine: Engine, key: str) -> Any:
    """What a key holds; nothing of one that is gone, or of another type by now."""
    kind = await engine.run(Call[Any]("jobs.type", (key,), only, commands=[("TYPE", key)]))
    word = _READ.get(kind if isinstance(kind, bytes) else str(kind).encode())
    if word is None:
        return None
    command: Command = (word[0], key, *word[1:])
    call: Call[Any] = Call(
        *("jobs.read", (key,), only),
        commands=[command],
        separate_connection=True,
        allow_wrong_type=True,
    )
    return await engine.run(call)


def _parts(value: Any) -> Iterator[bytes]:
    """The texts in a reply, and what stands in base64 inside them."""
    if isinstance(value, bytes):
        yield value
        for found in _inside(value):
            yield b64decode(found[1] + b"==")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _parts(each)
