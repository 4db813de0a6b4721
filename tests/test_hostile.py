"""Whatever a caller gives, the answer is a result or an error of ours, soon, and short."""

from __future__ import annotations

import math
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import sojourn
from servers import Server
from sojourn import Event, InvalidInput, SessionKey, Sojourn, SojournError
from sojourn.errors import CorruptRecord, Unavailable
from sojourn.transfer import export, import_

KEY = SessionKey.of("shop", "ada", "s")
NUMBERS: Sequence[Any] = [
    *(math.nan, math.inf, -math.inf, 1e300, -1e300, 5e-324, -1, 0),
    *(2**53, 2**63, 10**400, -(10**400), 10**5000),
    *(True, "1", b"1", 1j, [], None),
]
TEXTS: Sequence[Any] = [
    *("", "\x00", "a\x00b", "\ud800", "\n", "\u202e", "../../etc/passwd", "a:b{c}", "%", "--help"),
    *("*" * 1000, "[" * 600, "x" * 1_000_000, "$encoded", None, 5, b"x", []),
]
MAPPINGS: Sequence[Any] = [
    *(None, 5, "x", [("a", 1)], {"a": math.nan}, {"\ud800": 1}, {1: 2}, {None: 1}, {("a",): 1}),
    *({"a": {1, 2}}, {"a": object()}, {"a": b"x"}, {"": 1}, {"\x00": 1}, {"x" * 2000: 1}),
    *({"a": 10**5000}, {"temp:": 1}, {"app:": 1}, {"user:": 1}, {"$encoded": "x"}, {"$plain": 1}),
]
SEVERAL: Sequence[Any] = [None, 5, "x", [5], [None], ["\ud800"], {"a": 5}, [{}]]

Call = Callable[[Sojourn, Any], Awaitable[Any]]


def event(**fields: Any) -> Event:
    return Event(**{"author": "a", "payload": 1, **fields})


CALLS: dict[str, tuple[Sequence[Any], Call]] = {
    "title": (TEXTS, lambda s, v: s.sessions.create("shop", "ada", title=v)),
    "status": (TEXTS, lambda s, v: s.sessions.update(KEY, status=v)),
    "metadata": (MAPPINGS, lambda s, v: s.sessions.create("shop", "ada", metadata=v)),
    "state": (MAPPINGS, lambda s, v: s.sessions.create("shop", "ada", state=v)),
    "labels": (MAPPINGS, lambda s, v: s.sessions.update(KEY, labels=v)),
    "wanted labels": (MAPPINGS, lambda s, v: s.sessions.list("shop", "ada", labels=v)),
    "session": (TEXTS, lambda s, v: s.sessions.ensure("shop", "ada", v)),
    "user": (TEXTS, lambda s, v: s.sessions.create("shop", v)),
    "app": (TEXTS, lambda s, v: s.sessions.list(v)),
    "ttl": (NUMBERS, lambda s, v: s.sessions.create("shop", "ada", ttl=v)),
    "max_age": (NUMBERS, lambda s, v: s.sessions.create("shop", "ada", max_age=v)),
    "until": (NUMBERS, lambda s, v: s.sessions.create("shop", "ada", until=v)),
    "created": (NUMBERS, lambda s, v: s.sessions.create("shop", "ada", created=v)),
    "last": (NUMBERS, lambda s, v: s.sessions.get(KEY, last=v)),
    "since": (NUMBERS, lambda s, v: s.sessions.get(KEY, since=v)),
    "after": (NUMBERS, lambda s, v: s.sessions.get(KEY, after=v)),
    "limit": (NUMBERS, lambda s, v: s.sessions.list("shop", "ada", limit=v)),
    "limit of users": (NUMBERS, lambda s, v: s.admin.users("shop", limit=v)),
    "limit of a sweep": (NUMBERS, lambda s, v: s.admin.sweep("shop", limit=v)),
    "limit of a revocation": (NUMBERS, lambda s, v: s.admin.revoke_app("other", limit=v)),
    "pattern": (TEXTS, lambda s, v: s.sessions.list("shop", "ada", pattern=v)),
    "cursor": (TEXTS, lambda s, v: s.sessions.list("shop", cursor=v)),
    "key": (TEXTS, lambda s, v: s.sessions.get(v)),
    "keys": (SEVERAL, lambda s, v: s.batch.get(v)),
    "expected_version": (NUMBERS, lambda s, v: s.sessions.append(KEY, event(), expected_version=v)),
    "drop": (NUMBERS, lambda s, v: s.sessions.trim(KEY, drop=v)),
    "keep": (NUMBERS, lambda s, v: s.sessions.trim(KEY, keep=v)),
    "author": (TEXTS, lambda s, v: s.sessions.append(KEY, event(author=v))),
    "kind": (TEXTS, lambda s, v: s.sessions.append(KEY, event(kind=v))),
    "event id": (TEXTS, lambda s, v: s.sessions.append(KEY, event(id=v))),
    "time": (NUMBERS, lambda s, v: s.sessions.append(KEY, event(time=v))),
    "payload": (
        [*MAPPINGS, *NUMBERS, *TEXTS],
        lambda s, v: s.sessions.append(KEY, event(payload=v)),
    ),
    "delta": (MAPPINGS, lambda s, v: s.sessions.append(KEY, event(state_delta=v))),
    "operation": (TEXTS, lambda s, v: s.sessions.append(KEY, event(), operation_id=v)),
    "updated": (NUMBERS, lambda s, v: s.adapters.replay(KEY, updated=v)),
    "release": (TEXTS, lambda s, v: s.admin.release("shop", "ada", v)),
    "role": (TEXTS, lambda s, v: s.history(KEY).append(v, "x")),
    "content": ([*TEXTS, *MAPPINGS], lambda s, v: s.history(KEY).append("user", v)),
    "metadata of a message": (
        MAPPINGS,
        lambda s, v: s.history(KEY).append("user", "x", metadata=v),
    ),
    "messages": (SEVERAL, lambda s, v: s.history(KEY).extend(v)),
    "size of a history": (NUMBERS, lambda s, v: s.history(KEY).last(v)),
    "memory key": (TEXTS, lambda s, v: s.memory.user("ada").put(v, 1)),
    "memory value": ([*MAPPINGS, *NUMBERS], lambda s, v: s.memory.user("ada").put("k", v)),
    "memory text": (TEXTS, lambda s, v: s.memory.user("ada").put("k", 1, text=v)),
    "memory metadata": (MAPPINGS, lambda s, v: s.memory.user("ada").put("k", 1, metadata=v)),
    "memory ttl": (NUMBERS, lambda s, v: s.memory.user("ada").put("k", 1, ttl=v)),
    "memory version": (
        NUMBERS,
        lambda s, v: s.memory.user("ada").put("v", 1, expected_version=v),
    ),
    "memory limit": (NUMBERS, lambda s, v: s.memory.user("ada").list(limit=v, newest_first=True)),
    "memory cursor": (
        [*TEXTS, "WzEsIjk5OTk5OTk5OTk5OTk5OTk5OTk5OTkiXQ==", "WzEsIi0xIl0=", "WzEsbnVsbF0="],
        lambda s, v: s.memory.user("ada").list(cursor=v, newest_first=True),
    ),
    "memory prefix": (TEXTS, lambda s, v: s.memory.user("ada").list(prefix=v)),
    "query": (TEXTS, lambda s, v: s.memory.user("ada").search(v)),
    "memory keys": (SEVERAL, lambda s, v: s.memory.user("ada").get_many(v)),
    "kind of scope": (TEXTS, lambda s, v: s.admin.memory.scopes(v)),
    "cache name": (TEXTS, lambda s, v: s.cache.put(v, 1)),
    "cache ttl": (NUMBERS, lambda s, v: s.cache.put("n", 1, ttl=v)),
    "cache stale": (NUMBERS, lambda s, v: s.cache.put("n", 1, stale=v)),
    "tags": (SEVERAL, lambda s, v: s.cache.put("n", 1, tags=v)),
    "tag": (TEXTS, lambda s, v: s.cache.invalidate(v)),
    "artifact name": (TEXTS, lambda s, v: s.artifacts.save(KEY, v, b"x")),
    "data": (SEVERAL, lambda s, v: s.artifacts.save(KEY, "n", v)),
    "type": (TEXTS, lambda s, v: s.artifacts.save(KEY, "n", b"", mime_type=v)),
    "made": (NUMBERS, lambda s, v: s.artifacts.save(KEY, "n", b"", created=v)),
    "version": (NUMBERS, lambda s, v: s.artifacts.load(KEY, "n", version=v)),
    "owner": (TEXTS, lambda s, v: s.artifacts.names(v)),
    "notice": (TEXTS, lambda s, v: s.notices.read("shop", "ada", after=v)),
    "limit of notices": (NUMBERS, lambda s, v: s.notices.read("shop", "ada", limit=v)),
    "since of an export": (NUMBERS, lambda s, v: export(s, "/nowhere/at all", since=v)),
}


@pytest.fixture(params=["memory", "server"])
async def store(request: pytest.FixtureRequest, shared_server: Server) -> AsyncIterator[Sojourn]:
    space = f"hostile-{secrets.token_hex(4)}"
    url = "memory://" if request.param == "memory" else f"{shared_server.url}?namespace={space}"
    async with sojourn.open(url, notices=True) as store:
        yield store


async def test_whatever_a_caller_gives(store: Sojourn, tmp_path: Path) -> None:
    wrong: list[str] = []
    for what, (values, call) in CALLS.items():
        await store.sessions.ensure("shop", "ada", "s")
        for place, value in enumerate(values):
            try:
                await call(store, value)
            except (Unavailable, CorruptRecord) as error:
                wrong.append(f"{what} {place}: {error}"[:300])
            except SojournError as error:
                if len(str(error)) > 1500:
                    wrong.append(f"{what} {place}: {len(str(error))} characters")
            except Exception as error:  # noqa: BLE001
                wrong.append(f"{what} {place}: {type(error).__name__} {error}"[:300])
    assert not wrong, "\n".join(wrong)

    page = await store.sessions.list("shop", limit=1000)
    assert (page.corrupt, page.corrupt_users) == ([], [])
    assert (await store.memory.user("ada").list(limit=1000)).corrupt == []
    done = await export(store, tmp_path / "archive", cache=True)
    assert done.counts.unreadable == 0
    async with sojourn.open("memory://") as other:
        assert (await import_(other, tmp_path / "archive")).counts == done.counts


async def test_true_is_no_number_of_anything(store: Sojourn) -> None:
    """A server would not take it; a store in memory does not, either."""
    await store.sessions.ensure("shop", "ada", "s")
    calls: list[Call] = [
        lambda s, v: s.sessions.get(KEY, last=v),
        lambda s, v: s.sessions.create("shop", "ada", ttl=v),
        lambda s, v: s.memory.user("ada").put("k", 1, ttl=v),
        lambda s, v: s.cache.put("n", 1, ttl=v),
        lambda s, v: s.sessions.list("shop", "ada", limit=v),
        lambda s, v: s.sessions.append(KEY, event(), expected_version=v),
        lambda s, v: s.memory.user("ada").list(limit=v),
        lambda s, v: s.memory.user("ada").put("k", 1, expected_version=v),
        lambda s, v: s.artifacts.load(KEY, "n", version=v),
        lambda s, v: s.notices.read("shop", "ada", limit=v),
    ]
    for call in calls:
        with pytest.raises(InvalidInput):
            await call(store, True)  # noqa: FBT003
