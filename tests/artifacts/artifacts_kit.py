"""What the tests of artifacts share."""

from __future__ import annotations

import redis

import sojourn
from sojourn import SessionKey

KEY = SessionKey.of("shop", "ada", "s")
HEAD = "artifact:{shop:ada}:s:a.bin"
INDEX = "artifacts:{shop:ada}:s"
PIECE = 512 * 1024


async def save(store: sojourn.Sojourn, data: bytes = b"x", operation_id: str | None = None) -> int:
    return await store.artifacts.save(KEY, "a.bin", data, operation_id=operation_id)


async def load(store: sojourn.Sojourn, version: int | None = None) -> bytes:
    found = await store.artifacts.load(KEY, "a.bin", version=version)
    assert found is not None
    return found.data


def data_keys(client: redis.Redis) -> list[str]:
    """The keys that hold data, oldest version first."""
    return sorted(client.keys(f"{HEAD}:data:*"), key=lambda key: int(client.hget(key, "version")))


def content(client: redis.Redis) -> dict[str, object]:
    """All keys and what they hold, whatever the order within a hash."""
    readers = {
        "hash": client.hgetall,
        "string": client.get,
        "list": lambda key: client.lrange(key, 0, -1),
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }
    types = {key: client.type(key) for key in client.keys("*")}
    return {
        key: readers[kind.decode() if isinstance(kind, bytes) else kind](key)
        for key, kind in types.items()
    }
