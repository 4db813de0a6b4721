"""What no version writes yet, planted by a plain client in every kind of key.

It is passed over in reading, listing, export and migration, and it stays where it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import pytest
import redis

import sojourn
from compat.child import Child
from compat.newer import MEMBER, WORD
from compat.operations import SETTING, WRITES, Write
from compat.test_operations import lost, more_in
from servers import Server, any_binary
from sojourn.rooms import StoreKeys
from sojourn.transfer.migration import migrate

Client = redis.Redis
Plant = Callable[[Client, str], object]


def field(client: Client, key: str) -> None:
    client.hset(key, WORD, b"more \xff\x00 bytes")


def minor(client: Client, key: str) -> None:
    client.hset(key, "format", "1.7")


def word(client: Client, key: str) -> None:
    """In a sorted set of operations: one that this version does not know."""
    (_, score), *_ = client.zrange(key, 0, 0, withscores=True)
    client.zadd(key, {f"{WORD}:1:a:{WORD}": score})


def member_of_events(client: Client, key: str) -> None:
    for place, row in enumerate(client.lrange(key, 0, -1)):
        _rewrite(client, key, place, row[:-18] + b"," + MEMBER.encode())


def kind_of_events(client: Client, key: str) -> None:
    row = client.lindex(key, 0)
    _rewrite(client, key, 0, row[:-18].replace(b'"kind":"message"', f'"kind":"{WORD}"'.encode()))


def _rewrite(client: Client, key: str, place: int, body: bytes) -> None:
    client.lset(key, place, body + b',"crc":"%08x"}' % crc32(body))


def member_of_outbox(client: Client, key: str) -> None:
    delta = f'{{"stamp":1,"delta":{{"late":"1"}},{MEMBER}}}'
    client.hset(key, "left", delta)


def member_of_quarantine(client: Client, key: str) -> None:
    head = {"time": 1.5, "key": "k", "field": "f", "reason": "r", "size": 3, WORD: [1]}
    client.hset(key, mapping={"0123456789abcdef": json.dumps(head) + "\nraw", "bytes": "99"})


def field_of_notices(client: Client, key: str) -> None:
    _notice(client, key, {"kind": "updated", "session": "s", "version": "9", WORD: "more"})


def kind_of_notices(client: Client, key: str) -> None:
    _notice(client, key, {"kind": WORD, "session": "s", "version": "9"})
    _notice(client, key, {"kind": WORD, "whose": "fields are others"})


def _notice(client: Client, key: str, fields: dict[str, str]) -> None:
    ((last, _),) = client.xrevrange(key, count=1)
    at, number = last.decode().split("-")
    client.xadd(key, fields, id=f"{at}-{int(number) + 1}")


def member_of_versions(client: Client, key: str) -> None:
    record = client.hget(key, "version:0")
    client.hset(key, "version:0", record[:-1] + b"," + MEMBER.encode() + b"}")


def member_of_messages(client: Client, key: str) -> None:
    message = client.hget(key, "1")
    client.hset(key, "1", message[:-1] + b",{" + MEMBER.encode() + b"}]")


def kind_of_scopes(client: Client, key: str) -> None:
    """A kind of memory that this version does not know, with an entry."""
    names = re.sub(r"\{shop:user#", f"{{shop:{WORD}#", key)
    if names.endswith(":expiry"):
        client.zadd(names, {"ada": "inf"})
    else:
        client.zadd(names, {"ada": 0})
    scope = f"compat:memory:{{shop:{WORD}:ada}}"
    client.hset(f"{scope}:entry:k", mapping={"value": "1", "metadata": "{}", "version": "1"})
    client.hset(scope, mapping={"id": "x", "seq": "1"})
    client.zadd(f"{scope}:names", {"k": 0})


def kind_of_tombstones(client: Client, key: str) -> None:
    client.hset(key, mapping={f"{'0' * 32}:{'1' * 40}": f"1 {WORD}", WORD: "more"})


def reason_of_counts(client: Client, key: str) -> None:
    client.hset(key, f"{WORD}:{WORD}", "3")


NAMES = "a set of names and numbers, or of one value: there is no place for more"

PLANTS: dict[str, tuple[Plant, ...] | str] = {
    "session": (field, minor),
    "events": (member_of_events, kind_of_events),
    "ops": (word,),
    "ids": NAMES,
    "staged": "nobody but the import that brings it reads it",
    "sessions": NAMES,
    "label": NAMES,
    "recent": NAMES,
    "expiry": NAMES,
    "state": (field, minor),
    "outbox": (member_of_outbox,),
    "operations": (word,),
    "quarantine": (member_of_quarantine,),
    "notices": (field_of_notices, kind_of_notices),
    "users": NAMES,
    "apps": NAMES,
    "cached": (field, minor),
    "lease": NAMES,
    "tags": NAMES,
    "cacheops": (word,),
    "memories": (kind_of_scopes,),
    "memory": (field, minor),
    "memoryindex": NAMES,
    "memoryops": (word,),
    "remembered": (field, minor),
    "artifact": (field, minor, member_of_versions),
    "artifactdata": (field, minor),
    "artifactops": NAMES,
    "owner": NAMES,
    "security": (reason_of_counts,),
    "artifacts": NAMES,
    "enumeration": NAMES,
    "erased": (kind_of_tombstones,),
    "mcp": (field, minor, member_of_messages),
    "datakeys": "wrapped keys, of which no other may be among them: tests/keys",
    "destroyed": NAMES,
    "dictionary": "known by their ids; others are passed over: tests/dictionaries",
    "format": "one number, and since when: tests/jobs",
    "job": "places of a run: with other settings it begins anew (tests/jobs)",
    **dict.fromkeys(
        (
            *("thread", "threaddata", "threads", "threadops"),
            *("stagedthread", "threadindex", "threadowners", "threadruns"),
        ),
        "the version before has no threads: tests/checkpoints",
    ),
}
"""For each kind of key what another version may put there; or why there is nothing to put."""

MADE = {
    "outbox": "compat:outbox:{shop:ada}",
    "quarantine": "compat:quarantine:{shop:ada}",
    "security": "compat:security:{shop}",
    "memory": "compat:memory:{shop:user:ada}",
}
"""Keys that are planted though there are none yet, or others of their kind are no hashes."""

SHOWN = (kind_of_events, member_of_outbox, member_of_quarantine, field_of_notices)
"""Plants that are also something that this version shows."""

CASES = [
    pytest.param(kind, plant, id=f"{kind}-{plant.__name__}")
    for kind, plants in PLANTS.items()
    if not isinstance(plants, str)
    for plant in plants
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("planted"), any_binary()).start()
    yield server
    server.close()


class Planted(NamedTuple):
    """A store with something of everything, and a plain client of its server."""

    child: Child
    client: Client
    server: Server

    async def run(self, expression: str, **names: Any) -> Any:
        return await self.child.run(expression, names)

    def plant(self, kind: str, plant: Plant) -> None:
        """Put something into all keys of a kind; there is at least one."""
        keys, found = StoreKeys("compat"), []
        for key in sorted(key.decode() for key in self.client.scan_iter("compat:*")):
            named = keys.kind_of(key)
            assert named is not None
            if named.name == kind:
                found.append(key)
        if kind in MADE:
            found = [MADE[kind]]
        assert found, f"nothing of the kind {kind} is there"
        for key in found:
            plant(self.client, key)


@pytest.fixture
async def planted(server: Server) -> AsyncIterator[Planted]:
    server.ask("FLUSHALL")
    child = Child()
    await child.opened(server.url, namespace="compat", notices=True)
    for step in SETTING:
        await child.run(step, {})
    await child.run("await store.admin.revoke_user('shop', 'eve')", {})
    with redis.Redis.from_url(server.url) as client:
        yield Planted(child, client, server)
    await child.closed()


def test_every_kind_of_key_has_a_row() -> None:
    assert not {kind.name for kind in StoreKeys().kinds} - PLANTS.keys()


@pytest.mark.parametrize(("kind", "plant"), CASES)
async def test_what_is_planted_is_passed_over_and_stays(
    planted: Planted, kind: str, plant: Plant, tmp_path: Path
) -> None:
    before = await planted.run("await picture(store)")
    counts = (await planted.run("await transfer.export(store, path)", path=tmp_path / "a")).counts
    planted.plant(kind, plant)
    more = more_in(planted.server)

    reopened = Child()
    await reopened.opened(planted.server.url, namespace="compat", notices=True)
    found = await reopened.run("await picture(store)", {})
    if plant not in SHOWN:
        assert found == before
    assert found["session " + str(SESSION)]["complete"]
    assert await reopened.run("store.stats().corrupt", {}) == 0
    assert not lost(more, more_in(planted.server))

    told: list[str] = []
    names = {"path": tmp_path / "b", "told": told.append}
    exported = await reopened.run("await transfer.export(store, path, told=told)", names)
    assert exported.counts == counts
    await reopened.opened(planted.server.url, namespace="other")
    imported = await reopened.run("await transfer.import_(store, path, told=told)", names)
    assert (imported.counts, told) == (counts, [])
    await reopened.closed()


SESSION = sojourn.SessionKey.of("shop", "ada", "s")


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.name)
async def test_an_operation_leaves_what_is_planted(planted: Planted, write: Write) -> None:
    for step in write.before:
        await planted.run(step)
    for kind, plants in PLANTS.items():
        for plant in () if isinstance(plants, str) else plants:
            planted.plant(kind, plant)
    more = more_in(planted.server)
    corrupt = await planted.run("store.stats().corrupt")
    result = await planted.run(write.call, op="once")
    left = more_in(planted.server)
    assert not lost(more, left, *write.removes)
    if write.once:
        again = await planted.run(write.call, op="once")
        assert type(again) is type(result)
        assert not lost(left, more_in(planted.server))
    assert await planted.run("store.stats().corrupt") == corrupt


async def test_a_migration_leaves_what_is_planted(planted: Planted) -> None:
    async with sojourn.open("memory://", namespace="compat") as source:
        for name in ("s", "new"):
            made = await source.sessions.create("shop", "ada", name, state={"user:b": 1})
            await source.sessions.append(
                made.key, *(sojourn.Event(author="user", payload=n, id=f"m{n}") for n in range(2))
            )
        await source.memory.user("ada", app="shop").put("k", "another")
        for kind, plants in PLANTS.items():
            for plant in () if isinstance(plants, str) else plants:
                planted.plant(kind, plant)
        more = more_in(planted.server)
        report = await migrate(source, await planted.run("store"))
    assert report.outcomes, report
    assert not lost(more, more_in(planted.server))
    assert await planted.run("store.stats().corrupt") == 0
