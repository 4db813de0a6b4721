"""Checker of stored threads. It reads the keys by itself, from docs/storage-format.md."""

from __future__ import annotations

import re
from collections import Counter

import redis


def tokens_in(line: str) -> list[str]:
    return [
        re.sub(r"^\*|:.*", "", token) for token in re.split("[ ,]", line) if token not in {"", "-"}
    ]


def check(client: redis.Redis, namespace: str) -> None:
    """What is named is there, counted as often as it is named; nothing else is; all expires."""
    for key in client.scan_iter(f"{namespace}:*"):
        assert client.pttl(key) > 0, key
    for head in client.scan_iter(f"{namespace}:thread:*:values"):
        stem = head.decode().removesuffix(":values")
        found = {name.decode(): body for name, body in client.hgetall(head).items()}
        used: Counter[str] = Counter()
        for stored in client.hvals(f"{stem}:checkpoints"):
            used.update(tokens_in(stored.split(b"\n")[1].decode()))
        for stored in client.hvals(f"{stem}:writes"):
            for line in stored.split(b"\n")[1:]:
                used.update(tokens_in(line.split(b" ")[3].decode()))
        for body in found.values():
            if body[:1] == b"*":
                used.update(tokens_in(body[1:].split(b"\n")[0].decode()))
        assert set(used) == set(found)
        counted = {name.decode(): int(n) for name, n in client.hgetall(f"{stem}:refs").items()}
        assert {name: n for name, n in used.items() if n > 1} == counted
