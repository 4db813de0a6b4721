"""Records of a server, as they stand there."""

from __future__ import annotations

from typing import Any

Records = dict[str, Any]


def records(client: Any) -> Records:
    """Every hash and list of a server."""
    found: Records = {}
    for name in client.scan_iter("*", count=1000):
        kind = client.type(name)
        if kind == b"hash":
            found[name.decode()] = client.hgetall(name)
        elif kind == b"list":
            found[name.decode()] = client.lrange(name, 0, -1)
    return found
