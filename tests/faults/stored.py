"""What stands on the servers, read with plain redis-py as docs/storage-format.md says.

Nothing here imports Sojourn: it reads what the code that it judges has written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote
from zlib import crc32

import redis

from faults.notebook import Place

SHARDS = 16


class Owner(NamedTuple):
    """A user of an app."""

    app: str
    user: str

    @property
    def shard(self) -> int:
        return crc32(self.user.encode()) % SHARDS


@dataclass
class Parts:
    """The keys of one session, as far as they are there."""

    head: dict[str, str] | None = None
    events: list[dict[str, Any]] | None = None
    ids: dict[str, float] | None = None
    operations: dict[str, float] | None = None

    @property
    def incarnation(self) -> str | None:
        return None if self.head is None else self.head.get("incarnation")


@dataclass
class Stored:
    """All keys of a namespace, sorted by what they are.

    `unreadable` tells of keys and values that the format does not know.
    """

    sessions: dict[Place, Parts] = field(default_factory=dict)
    by_update: dict[Owner, dict[str, float]] = field(default_factory=dict)
    by_expiry: dict[Owner, dict[str, float]] = field(default_factory=dict)
    user_state: dict[Owner, dict[str, str]] = field(default_factory=dict)
    outbox: dict[Owner, dict[str, str]] = field(default_factory=dict)
    operations: dict[Owner, dict[str, float]] = field(default_factory=dict)
    app_state: dict[str, dict[str, str]] = field(default_factory=dict)
    users: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)
    recent: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)
    apps: dict[str, float] = field(default_factory=dict)
    immortal: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def parts(self, place: Place) -> Parts:
        return self.sessions.setdefault(place, Parts())


_KEY = re.compile(r"(?P<kind>[a-z]+)(?::\{(?P<tag>[^{}]*)\}(?::(?P<rest>.*))?)?")
_READ = {
    "hash": lambda pipe, key: pipe.hgetall(key),
    "list": lambda pipe, key: pipe.lrange(key, 0, -1),
    "zset": lambda pipe, key: pipe.zrange(key, 0, -1, withscores=True),
}


def look(clients: Iterable[redis.Redis], namespace: str) -> Stored:
    """Read every key of a namespace from all servers that have some: a primary, or each of many."""
    stored = Stored()
    seen: set[str] = set()
    for client in clients:
        for key in {*client.scan_iter(f"{namespace}:*", count=1000)}:
            if key in seen:
                stored.twice.append(key)
            seen.add(key)
            if client.pttl(key) == -1:
                stored.immortal.append(key)
            kind = client.type(key)
            if kind not in _READ:
                stored.unreadable.append(f"{key} is a {kind}")
                continue
            value = _READ[kind](client, key)
            try:
                _sort(stored, key.removeprefix(f"{namespace}:"), kind, value)
            except (LookupError, ValueError, TypeError, AttributeError) as error:
                stored.unreadable.append(f"{key}: {error!r}")
    return stored


def _sort(stored: Stored, key: str, kind: str, value: Any) -> None:
    """Put a value where it belongs.

    Raises:
        LookupError, ValueError, TypeError, AttributeError: it belongs nowhere.
    """
    found = _KEY.fullmatch(key)
    if found is None:
        raise LookupError("not a key of the format")
    name, tag, rest = found["kind"], found["tag"], found["rest"]
    table = dict(value) if kind == "zset" else value
    if key == "apps":
        stored.apps = {app: float(until) for app, until in table.items()}
    elif name == "users" and rest is None:
        app, shard = tag.split("#")
        stored.users[unquote(app), int(shard)] = dict(table)
    elif name == "recent" and rest in (None, "expiry"):
        app, shard = tag.split("#")
        if rest is None:
            stored.recent[unquote(app), int(shard)] = dict(table)
    elif name == "state" and ":" not in tag and rest is None:
        stored.app_state[unquote(tag)] = dict(table)
    else:
        owner = Owner(*map(unquote, tag.split(":")))
        if name == "session":
            session, _, part = rest.partition(":")
            _sort_part(stored.parts(Place(*owner, unquote(session))), part, table)
        else:
            shelf = {
                ("sessions", None): stored.by_update,
                ("sessions", "expiry"): stored.by_expiry,
                ("state", None): stored.user_state,
                ("outbox", None): stored.outbox,
                ("operations", None): stored.operations,
            }[name, rest]
            shelf[owner] = dict(table)


def _sort_part(parts: Parts, part: str, value: Any) -> None:
    if part == "":
        parts.head = dict(value)
        for name in ("version", "seq", "dropped"):
            int(value[name])
    elif part == "events":
        parts.events = list(map(json.loads, value))
        for event in parts.events:
            event["id"].encode()
    elif part == "ids":
        parts.ids = dict(value)
    elif part == "ops":
        parts.operations = dict(value)
    else:
        raise LookupError("not a part of a session")
