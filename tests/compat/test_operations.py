"""Each operation: written by one version, repeated by the other, seen alike by both."""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Any

import pytest
import redis

import sojourn.artifacts
import sojourn.cache
import sojourn.client
import sojourn.memory
import sojourn.sessions
import sojourn.streams
from compat.conftest import Sides
from compat.newer import WORD
from compat.operations import READS, SETTING, WRITES, Write
from compat.side import Side, agree
from servers import Server
from sojourn.rooms import StoreKeys

OPERATION = "the-same-operation-in-both"

CLASSES = (
    sojourn.client.Sojourn,
    sojourn.admin.Admin,
    sojourn.admin.CacheAdmin,
    sojourn.admin.MemoryAdmin,
    sojourn.admin.ArtifactAdmin,
    sojourn.sessions.Sessions,
    sojourn.sessions.Batches,
    sojourn.sessions.AdapterSessions,
    sojourn.sessions.SessionAdmin,
    sojourn.sessions.History,
    sojourn.cache.Cache,
    sojourn.memory.Memory,
    sojourn.memory.MemoryScope,
    sojourn.artifacts.Artifacts,
    sojourn.streams.Streams,
)


def pictures(one: Side, two: Side) -> Any:
    """What both see, which is the same."""
    one.ask("await picture(store)")
    two.ask("await picture(store)")
    found = one.answer(), two.answer()
    for name in sorted({*found[0], *found[1]}):
        seen = [each.get(name, "nothing") for each in found]
        assert agree(*seen), f"{name}: {one.version.name} sees {seen[0]}, the other {seen[1]}"
    return found[0]


def told(value: Any) -> Any:
    """A result without what says that it was a repetition."""
    if isinstance(value, dict):
        return {k: told(v) for k, v in value.items() if k not in {"repeated", "seqs", "expires"}}
    return [told(each) for each in value] if isinstance(value, list) else value


def more_in(server: Server) -> Counter[str]:
    """How much that only the next version knows stands in the keys of each kind."""
    keys, found = StoreKeys("compat"), Counter[str]()
    with redis.Redis.from_url(server.url) as client:
        for key in client.scan_iter("compat:*", count=1000):
            kind = keys.kind_of(key.decode())
            assert kind is not None, key
            found[kind.name] += _dump(client, key).count(WORD)
    return found


def lost(before: Counter[str], after: Counter[str], *but: str) -> dict[str, int]:
    """Of which kinds of keys something is gone; an entry of an outbox goes when it is applied."""
    gone = before - after
    return {kind: gone[kind] for kind in gone if kind not in {"outbox", *but}}


def _dump(client: redis.Redis, key: bytes) -> str:
    """All that a key holds, as text."""
    match client.type(key):
        case b"hash":
            return str(client.hgetall(key))
        case b"list":
            return str(client.lrange(key, 0, -1))
        case b"zset":
            return str(client.zrange(key, 0, -1))
        case b"stream":
            return str(client.xrange(key))
        case _:
            return str(client.get(key))


@pytest.mark.parametrize("first", ["earlier", "later"])
@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.name)
def test_an_operation_of_one_is_known_to_the_other(sides: Sides, write: Write, first: str) -> None:
    one, two = sides.in_order(first)
    if write.new and "baseline" in {one.version.name, two.version.name}:
        pytest.skip("the baseline does not have it")
    for step in (*SETTING, *write.before):
        two.run(step)
    before, more = pictures(one, two), more_in(sides.server)

    result = one.run(write.call, op=OPERATION)
    after, left = pictures(one, two), more_in(sides.server)
    assert (after != before) is write.seen
    assert not lost(more, left, *write.removes)

    if write.between:
        two.run(write.between)
        after = pictures(one, two)
    if write.once:
        again = two.run(write.call, op=OPERATION)
        assert agree(told(result), told(again))
        assert pictures(one, two) == after
        assert not lost(left, more_in(sides.server))


def test_every_operation_is_in_the_table() -> None:
    rows = {write.name.partition(" ")[0] for write in WRITES}
    for each in CLASSES:
        for name, method in vars(each).items():
            public = inspect.iscoroutinefunction(method) and not name.startswith("_")
            if public and name not in READS[each.__name__]:
                assert f"{each.__name__}.{name}" in rows, f"add {each.__name__}.{name} to WRITES"


NEWER = {
    *("session", "events", "ops", "operations", "state", "notices", "cached", "cacheops"),
    *("memory", "memoryops", "remembered", "artifact", "artifactdata", "mcp"),
}
"""Kinds of keys into which the next version writes more."""


def test_the_next_version_writes_more_into_every_record(sides: Sides) -> None:
    for step in SETTING:
        sides.later.run(step)
    if sides.later.version.name == "newer":
        assert {kind for kind, many in more_in(sides.server).items() if many} == NEWER
