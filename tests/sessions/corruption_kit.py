"""A session with something of everything, and hands that damage what is stored of it."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Self
from zlib import crc32

import redis

import sojourn
from servers import Server
from sojourn import Event, Quarantined, Session, SessionKey

STATE = {"n": [1, "é"], "title": "T", "user:u": {"a": 1}, "user:v": 2, "app:a": "x", "app:b": None}
METADATA = {"m": [1, {}]}
PAYLOADS = ["first", {"say": "sécond"}, ["third", 3]]


def sealed(row: str) -> bytes:
    """A row with a checksum that is right."""
    return f'{row},"crc":"{crc32(row.encode()):08x}"}}'.encode()


def flipped(data: bytes, seed: str = "") -> Iterator[bytes]:
    """The data with each of its bytes changed, one at a time, to another by chance."""
    rng = random.Random(seed)
    for at, byte in enumerate(data):
        yield data[:at] + bytes([byte ^ rng.randrange(1, 256)]) + data[at + 1 :]


def truncated(data: bytes) -> Iterator[bytes]:
    """The data cut at every length."""
    for length in range(len(data)):
        yield data[:length]


class Bench:
    """One session of an app of its own, and plain redis-py that returns bytes."""

    def __init__(self, server: Server, store: sojourn.Sojourn) -> None:
        self.server = server
        self.store = store
        self.client = redis.Redis.from_url(server.url)
        app = f"app-{secrets.token_hex(6)}"
        self.key = SessionKey.of(app, "ada", "s")
        tag = f"{{{app}:ada}}"
        self.head = f"session:{tag}:s"
        self.events = f"{self.head}:events"
        self.ops = f"{self.head}:ops"
        self.user = f"state:{tag}"
        self.app = f"state:{{{app}}}"
        self.outbox = f"outbox:{tag}"
        self.index = f"sessions:{tag}"
        self.quarantine = f"quarantine:{tag}"

    async def __aenter__(self) -> Self:
        """Make the session, with its events."""
        await self.store.sessions.create(*self.key, title="Tea", state=STATE, metadata=METADATA)
        events = [
            Event(author="user", payload=payload, id=f"e{n}", time=10.0 + n, state_delta={"k": n})
            for n, payload in enumerate(PAYLOADS)
        ]
        await self.store.sessions.append(self.key, *events)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.client.close()

    async def get(self, **filters: Any) -> Session[Event]:
        session = await self.store.sessions.get(self.key, **filters)
        assert session is not None
        return session

    async def quarantined(self) -> Sequence[Quarantined]:
        return await self.store.admin.quarantined(self.key.app, self.key.user)

    async def kept(self) -> set[tuple[str, str, bytes]]:
        """Key, field and bytes of what is in the quarantine."""
        return {(each.key, each.field, each.raw) for each in await self.quarantined()}
