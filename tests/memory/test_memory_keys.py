"""What stands on the server, read behind Sojourn's back with plain redis-py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

import sojourn
from servers import Server
from sojourn.doctor.model import Level
from sojourn.memory import Draft
from sojourn.memory.keys import MemoryRoomKeys

HEAD = "memory:{shop:user:ada}"
parts = st.text(max_size=12)
kinds = st.sampled_from(["user", "agent", "knowledge", "sessions", "events"])
identities = st.tuples(parts, kinds, parts, parts)


@pytest.fixture
async def store(server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(server.url) as store:
        yield store


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@given(identities, identities, st.sampled_from(["", "shop"]))
def test_keys_are_injective_and_known_by_their_kind(one, two, namespace: str) -> None:
    keys = MemoryRoomKeys(namespace)

    def of(app: str, kind: str, name: str, key: str) -> tuple[set[str], str, set[str]]:
        shared = keys.memory(app, kind, name)
        return {*shared}, keys.remembered(shared, key), {*keys.memories_of(app, kind, name)}

    a, b = of(*one), of(*two)
    if one != two:
        assert a[1] != b[1]
    if one[:3] != two[:3]:
        assert not {*a[0], a[1]} & {*b[0], b[1]}
    if one[:2] != two[:2]:
        assert not a[2] & b[2]
    assert len(a[0] | {a[1]} | a[2]) == 9
    found = {key: keys.kind_of(key) for key in (*a[0], a[1], *a[2])}
    assert None not in found.values()
    shared = keys.memory(*one[:3])
    assert found[shared.head] == ("memory", shared.expiry)
    assert found[shared.names] == ("memoryindex", shared.expiry)
    assert found[shared.operations] == ("memoryops", shared.operations)
    assert found[a[1]] == ("remembered", a[1])
    index, expiry = keys.memories_of(*one[:3])
    assert found[index] == found[expiry] == ("memories", expiry)
    assert MemoryRoomKeys("other").kind_of(a[1]) is None


async def test_a_human_can_read_it(store: sojourn.Sojourn, client: redis.Redis) -> None:
    ada = store.memory.user("ada", app="shop")
    version = await ada.put("likes: tea?", {"é": ["ü"]}, text="She", metadata={"by": "bot"})
    entry = client.hgetall(f"{HEAD}:entry:likes%3A%20tea%3F")
    assert entry["value"] == '{"é":["ü"]}'
    assert (entry["text"], json.loads(entry["metadata"])) == ("She", {"by": "bot"})
    assert (entry["version"], entry["created"]) == (str(version), entry["updated"])
    assert client.zrange(f"{HEAD}:names", 0, -1) == ["likes: tea?"]
    assert client.hget(HEAD, "seq") == "1"


async def test_every_key_has_its_lifetime(store: sojourn.Sojourn, client: redis.Redis) -> None:
    ada = store.memory.user("ada", app="shop")
    await ada.put("k", 1, ttl=1000)
    await ada.put("l", 1, ttl=500_000)
    await ada.delete("none")

    def left(key: str) -> float:
        return client.pttl(key) / 1000

    assert {key for key in client.scan_iter("*") if client.pttl(key) < 0} == set()
    assert 990 < left(f"{HEAD}:entry:k") <= 1000
    assert all(left(key) > 499_990 for key in (HEAD, f"{HEAD}:names", f"{HEAD}:changes"))
    await ada.delete("l")
    assert all(990 < left(key) <= 86_400 for key in (HEAD, f"{HEAD}:names", f"{HEAD}:deleted"))
    await ada.put("l", 1, ttl=None)
    endless = {key for key in client.scan_iter("*") if client.pttl(key) == -1}
    assert endless == {
        *(HEAD, f"{HEAD}:names", f"{HEAD}:expiry", f"{HEAD}:changes"),
        *(f"{HEAD}:entry:l", *MemoryRoomKeys().memories_of("shop", "user", "ada")),
    }
    await ada.delete("l")
    forgotten = {key for key in client.scan_iter("*") if client.pttl(key) == -1}
    assert forgotten == {*MemoryRoomKeys().memories_of("shop", "user", "ada")}


async def test_what_is_added_again_has_its_new_lifetime_on_the_server(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    ada = store.memory.user("ada", app="shop")
    again = {"k": Draft(value=1), "l": Draft(value=1, unless="guard")}
    await ada.put_many({"k": 1, "guard": 1}, ttl=100)
    for ttl, expected in ((50, 100), (1000, 1000), (None, -0.001)):
        await ada.add(again, ttl=ttl)
        for key in ("k", "guard"):
            lives = client.pttl(f"{HEAD}:entry:{key}") / 1000
            assert expected - 10 < lives <= expected
    assert not client.exists(f"{HEAD}:entry:l")


async def test_a_touch_of_nothing_leaves_nothing_for_ever(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    ada = store.memory.user("ada", app="shop")
    assert await ada.search("giraffe") == []
    assert (await ada.list()).entries == []
    await ada.clear()
    assert client.keys("*") == []
    assert not await ada.delete("k")
    assert all(0 < client.pttl(key) <= 86_400_000 for key in client.scan_iter("*"))


async def test_what_has_expired_leaves_the_indexes_in_bounded_steps(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    ada = store.memory.user("ada", app="shop")
    await ada.put("stays", 1)
    await ada.put_many({f"k{n}": n for n in range(250)}, ttl=0.05)
    async with asyncio.timeout(10):
        while await ada.entry("k249") is not None:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.002)
    for left in (151, 51, 1):
        await ada.put("stays", 1)
        for part in ("names", "expiry", "changes"):
            assert client.zcard(f"{HEAD}:{part}") == left


async def test_many_that_expire_do_not_gather(store: sojourn.Sojourn, client: redis.Redis) -> None:
    ada = store.memory.user("ada", app="shop")
    await ada.put("stays", 1)
    for turn in range(4):
        await ada.put_many({f"{turn}-{n}": n for n in range(300)}, ttl=0.05)
        async with asyncio.timeout(10):
            while await ada.entry(f"{turn}-299") is not None:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.002)
    assert client.zcard(f"{HEAD}:names") == 301


async def test_lifetimes_come_from_the_options_and_the_url(server: Server) -> None:
    url = f"{server.url}?memory_ttl=10&history_ttl=none"
    async with sojourn.open(url, knowledge_ttl=20) as store:
        scopes = {
            store.memory.user("a"): 10,
            store.memory.agent("a"): 10,
            store.memory.knowledge("a"): 20,
            store.memory.sessions("a"): None,
            store.memory.events("a"): None,
        }
        for scope, ttl in scopes.items():
            await scope.put("k", 1)
            entry = await scope.entry("k")
            assert entry is not None
            lives = entry.expires and round(entry.expires - entry.updated)
            assert lives == ttl
    with pytest.raises(sojourn.InvalidInput):
        sojourn.open(server.url, memory_ttl=0)


async def test_the_doctor_tells_choice_from_accident(
    server: Server, store: sojourn.Sojourn, client: redis.Redis
) -> None:
    async def level() -> Level:
        report = await store.admin.doctor.examine()
        return next(each.level for each in report.findings if each.check == "lifetimes")

    await store.memory.user("ada").put("k", 1, ttl=None)
    assert await level() is Level.OK
    await store.memory.user("eve").put("k", 1)
    ours = [key for key in client.scan_iter("*") if "eve" in key]
    assert len(ours) == 6
    for key in ours:
        lives = client.pttl(key)
        assert lives > 0
        client.persist(key)
        assert await level() is Level.WARNING
        client.pexpire(key, lives)
    assert await level() is Level.OK


async def test_nothing_is_scanned(store: sojourn.Sojourn, client: redis.Redis) -> None:
    ada = store.memory.user("ada")
    await ada.put("k", "giraffe")
    await ada.search("giraffe")
    await ada.list()
    await store.admin.memory.scopes("user")
    await ada.clear()
    names = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    assert not names & {"scan", "keys", "sscan", "hscan", "zscan"}
