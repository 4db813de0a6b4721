"""What stands on the servers of a store, whatever their topology: all keys with all values."""

from __future__ import annotations

from typing import Any

from sojourn.calls.call import Call
from sojourn.client import Sojourn

READ: dict[bytes, tuple[str | int, ...]] = {
    b"string": ("GET",),
    b"hash": ("HGETALL",),
    b"list": ("LRANGE", 0, -1),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1),
    b"stream": ("XRANGE", "-", "+"),
}


async def everything(store: Sojourn) -> dict[str, Any]:
    """All keys of all servers with what they hold; of sorted sets the members, in any order."""
    engine = store._engine
    assert engine is not None
    found: dict[str, Any] = {}
    for node in await engine.nodes():
        call: Call[Any] = Call("test.scan", (), list, commands=[("SCAN", 0, "COUNT", 1_000_000)])
        ((_, names),) = await node.run(call)
        for name in names:
            kind = await node.run(Call("test.type", (), list, commands=[("TYPE", name)]))
            if kind[0] == b"none":  # expired since, of another test
                continue
            word, *rest = READ[kind[0]]
            value = await node.run(Call("test.read", (), list, commands=[(word, name, *rest)]))
            found[name.decode()] = sorted(value[0]) if kind[0] == b"zset" else value[0]
    return found


def mentions(found: dict[str, Any], *words: str) -> list[str]:
    """Keys in whose names or values one of the words stands."""
    return [
        key for key, value in found.items() if any(each in f"{key} {value!r}" for each in words)
    ]
