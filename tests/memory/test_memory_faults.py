"""A reply is lost, the server goes, others write in our place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis

import sojourn
from proxy import Proxy
from servers import Server
from sojourn import CorruptRecord, OutcomeUnknown, Unavailable
from sojourn.memory import Draft, MemoryScope

HEAD = "memory:{memory:user:ada}"
SHARED = [HEAD, *(f"{HEAD}:{part}" for part in ("names", "expiry", "changes", "deleted", "ops"))]


@pytest.fixture
async def store(server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(server.url) as store:
        yield store


@pytest.fixture
def ada(store: sojourn.Sojourn) -> MemoryScope:
    return store.memory.user("ada")


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


def lose(proxy: Proxy, script: str = "EVALSHA", what: str = "lose") -> list[bytes]:
    """Lose the reply to the next script; what was lost."""
    lost: list[bytes] = []

    def on_request(data: bytes) -> str:
        if script.encode() not in data or lost:
            return "pass"
        lost.append(data)
        return what

    proxy.on_request = on_request
    return lost


def add(
    scope: MemoryScope, *keys: str, unless: str | None = None, **options: Any
) -> Awaitable[None]:
    return scope.add({key: Draft(value="added", unless=unless) for key in keys}, **options)


Step = Callable[[MemoryScope], Awaitable[Any]]


@pytest.mark.parametrize(
    ("step", "value"),
    [
        (lambda ada: ada.put("k", {"n": 2}, expected_version=1), {"n": 2}),
        (lambda ada: ada.put_many({"k": 1, "l": 2}), 1),
        (lambda ada: ada.add({"k": Draft(value=1)}, replace=True), 1),
        (lambda ada: ada.merge("k", {"m": 1}), {"n": 1, "m": 1}),
        (lambda ada: ada.delete("k", expected_version=1), None),
        (lambda ada: ada.clear(), None),
    ],
)
async def test_a_write_whose_reply_is_lost_is_done_once(
    server: Server, ada: MemoryScope, step: Step, value: Any
) -> None:
    await ada.put("k", {"n": 1})
    async with Proxy(server.port) as proxy, sojourn.open(proxy.url) as store:
        ours = store.memory.user("ada")
        await ours.put("warm", 1)
        await ours.delete("warm")
        with server.client() as client:
            before = int(client.hget(HEAD, "seq") or 0)
        lost = lose(proxy)
        result = await step(ours)
        assert lost
        assert result is not False
        with server.client() as client:
            changes = int(client.hget(HEAD, "seq") or 0) - before
    assert changes == (2 if isinstance(result, dict) else 1)
    assert await ada.get("k") == value


async def test_a_write_in_doubt_is_repeated_by_its_id(server: Server, ada: MemoryScope) -> None:
    async with (
        Proxy(server.port) as proxy,
        sojourn.open(proxy.url, operation_timeout=0.3) as store,
    ):
        ours = store.memory.user("ada")
        await ours.put("k", {"n": 0})
        lost = lose(proxy, what="mute")
        with pytest.raises(OutcomeUnknown) as caught:
            await ours.merge("k", {"n": 1})
        assert lost
        await ada.merge("k", {"n": 2})
        proxy.on_request = lambda _: "pass"
        await ours.merge("k", {"n": 1}, operation_id=caught.value.operation_id)
    assert await ada.get("k") == {"n": 2}


async def test_an_outage_is_not_emptiness(server: Server) -> None:
    async with sojourn.open(server.url, operation_timeout=0.3) as store:
        ada = store.memory.user("ada")
        await ada.put("k", "giraffe")
        assert await ada.search("giraffe")
        server.stop(9)
        for call in (
            ada.get("k"),
            ada.get_many(["k"]),
            ada.list(),
            ada.search("giraffe"),
            ada.put("k", 1),
            ada.add({"k": Draft(value=1)}),
            ada.delete("k"),
            ada.clear(),
            store.admin.memory.scopes("user"),
        ):
            with pytest.raises(Unavailable):
                await call


async def test_a_server_that_forgot_everything_is_searched_anew(
    server: Server, ada: MemoryScope, client: redis.Redis
) -> None:
    await ada.put("k", "giraffe")
    assert await ada.search("giraffe")
    client.flushall()
    assert await ada.search("giraffe") == []
    await ada.put("l", "giraffe")
    assert [hit.entry.key for hit in await ada.search("giraffe")] == ["l"]


async def test_who_has_entries_is_told_anew_to_a_server_that_forgot(
    server: Server, store: sojourn.Sojourn, ada: MemoryScope
) -> None:
    await ada.put("k", 1)
    server.stop(9)
    server.start()  # nothing was saved
    async with asyncio.timeout(20):
        while await ada.put("k", 1) != 1:
            await asyncio.sleep(0.01)
    assert (await store.admin.memory.scopes("user")).names == ["ada"]


@pytest.mark.parametrize("key", SHARED)
async def test_a_foreign_shared_key_stops_a_write_before_it_starts(
    ada: MemoryScope, client: redis.Redis, key: str
) -> None:
    await ada.put("k", 1)
    client.delete(key)
    client.set(key, "mine")
    before = client.hgetall(f"{HEAD}:entry:k")
    for step in (
        ada.put("k", 2),
        ada.put("l", 2),
        ada.delete("k"),
        add(ada, "l"),
        ada.merge("m", {"a": 1}),
    ):
        with pytest.raises(CorruptRecord):
            await step
    assert client.get(key) == "mine"
    assert client.hgetall(f"{HEAD}:entry:k") == before
    assert not client.exists(f"{HEAD}:entry:l")


async def test_a_foreign_key_in_an_entrys_place_is_refused_and_left_alone(
    ada: MemoryScope, client: redis.Redis
) -> None:
    await ada.put_many({"a": "giraffe", "k": "giraffe", "z": "giraffe"})
    client.delete(f"{HEAD}:entry:k")
    client.rpush(f"{HEAD}:entry:k", "mine")
    for step in (ada.get("k"), ada.get_many(["a", "k"]), ada.put("k", 1), ada.delete("k")):
        with pytest.raises(CorruptRecord):
            await step
    with pytest.raises(CorruptRecord):
        await ada.put_many({"a": "changed", "k": 1})
    for replace in (False, True):
        with pytest.raises(CorruptRecord):
            await add(ada, "a", "k", replace=replace)
    with pytest.raises(CorruptRecord):
        await add(ada, "a", unless="k", replace=True)
    assert client.lrange(f"{HEAD}:entry:k", 0, -1) == ["mine"]
    page = await ada.list()
    assert ([entry.key for entry in page.entries], page.corrupt) == (["a", "z"], ["k"])
    assert {hit.entry.key for hit in await ada.search("giraffe")} == {"a", "z"}
    assert await ada.get("a") == "giraffe"


@pytest.mark.parametrize(
    ("field", "damage"),
    [
        *(("value", b"{oops"), ("value", b'"\xff"'), ("metadata", b"[]"), ("metadata", b"")),
        *(("version", b"x"), ("version", b""), ("created", b"nan"), ("expires", b"soon")),
        *(("text", b"\xff"), ("value", None), ("version", None)),
    ],
)
async def test_a_damaged_entry_is_loud_and_can_be_deleted(
    server: Server, ada: MemoryScope, client: redis.Redis, field: str, damage: bytes | None
) -> None:
    await ada.put("k", "giraffe", text="giraffe")
    await ada.put("l", "giraffe")
    entry = f"{HEAD}:entry:k"
    if damage is None:
        client.hdel(entry, field)
    else:
        client.hset(entry, field, damage)
    with pytest.raises(CorruptRecord) as caught:
        await ada.get("k")
    assert "k" in caught.value.key
    page = await ada.list()
    assert ([found.key for found in page.entries], page.corrupt) == (["l"], ["k"])
    async with sojourn.open(server.url) as other:
        hits = await other.memory.user("ada").search("giraffe")
        assert [hit.entry.key for hit in hits] == ["l"]
    if field == "version":
        for step in (ada.put("k", 1), add(ada, "m", "k"), add(ada, "m", unless="k")):
            with pytest.raises(CorruptRecord):
                await step
    assert await ada.delete("k")
    assert await ada.put("k", 1, expected_version=0)


@pytest.mark.parametrize("lost", SHARED)
async def test_an_evicted_shared_key_costs_no_entry_and_no_order(
    ada: MemoryScope, client: redis.Redis, lost: str
) -> None:
    first = await ada.put("k", "giraffe")
    await ada.put("l", "giraffe")
    assert len(await ada.search("giraffe")) == 2
    client.delete(lost)
    assert await ada.get("k") == "giraffe"
    assert await ada.put("k", "zebra", expected_version=first) > first
    assert await ada.put("l", "zebra") > first
    assert {hit.entry.key for hit in await ada.search("zebra giraffe")} == {"k", "l"}
    assert {entry.key for entry in (await ada.list()).entries} == {"k", "l"}
    assert all(client.pttl(key) > 0 for key in SHARED if client.exists(key))


async def test_many_writers_in_many_processes_lose_no_merge(server: Server) -> None:
    stores = [sojourn.open(server.url) for _ in range(6)]
    scopes = [store.memory.user("ada") for store in stores]
    await asyncio.gather(
        *(scope.merge("k", {f"{n}-{m}": m}) for n, scope in enumerate(scopes) for m in range(5))
    )
    assert len(await scopes[0].get("k")) == 30
    for store in stores:
        await store.close()
