"""What the tests of the migration share: a source on a server of its own, and looks behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis

import sojourn
from servers import Server
from sojourn.integrations.adk.migration import read_event
from sojourn.transfer.migration import MigrationReport, migrate, source_at

FIXTURES = Path(__file__).parent / "fixtures"


class Origin:
    """A server that holds another program's data.

    Attributes:
        url: its address.
        client: plain redis-py.
    """

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.client = redis.Redis.from_url(server.url)

    def put(self, key: str, value: Any, ttl: int | None = 3600) -> None:
        """A JSON text, or bytes as they are."""
        self.client.set(key, value if isinstance(value, bytes) else json.dumps(value), ex=ttl)

    def say(self, session: str, *texts: str, ttl: int | None = 3600) -> None:
        """Messages in a list, as the history's manager writes them."""
        for text in texts:
            entry = {"role": "user", "content": text, "metadata": {"n": len(text)}}
            self.client.rpush(f"session:{session}", json.dumps(entry))
        if ttl is not None:
            self.client.expire(f"session:{session}", ttl)

    def load(self, name: str) -> dict[str, Any]:
        """Data that a real library has written, put here again; returns what else is known."""
        found = json.loads((FIXTURES / name).read_text("utf-8"))
        for key, kept in found["keys"].items():
            _restore(self.client, key, kept)
        return found

    def image(self) -> dict[bytes, tuple[bytes, int]]:
        """All that is there: each key's bytes as DUMP gives them, and when it expires."""
        return {
            key: (self.client.dump(key), self.client.pexpiretime(key))
            for key in self.client.scan_iter()
        }


def _restore(client: redis.Redis, key: str, kept: Mapping[str, Any]) -> None:
    value = kept["value"]
    match kept["type"]:
        case "string":
            client.set(key, value)
        case "list":
            client.rpush(key, *value)
        case "hash":
            client.hset(key, mapping=value)
        case "set":
            client.sadd(key, *value)
    if kept["ttl"] is not None:
        client.expire(key, kept["ttl"])


def is_unchanged(before: Mapping[bytes, Any], after: Mapping[bytes, Any]) -> bool:
    """Whether two images are the same."""
    assert before == after
    return True


async def moved(
    origin: Origin | str, store: sojourn.Sojourn, layout: str | None = None, **options: Any
) -> MigrationReport:
    """Migrate from a URL."""
    app = options.pop("app", None)
    url = origin if isinstance(origin, str) else origin.url
    source = await source_at(url, layout=layout, app=app, adk_event=read_event)
    try:
        return await migrate(source, store, **options)
    finally:
        await source.close()
