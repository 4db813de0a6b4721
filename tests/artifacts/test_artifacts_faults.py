"""Replies are lost, writers die, keys are evicted, records are damaged."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from artifacts_kit import HEAD, INDEX, KEY, PIECE, content, data_keys, load, save

import sojourn
from proxy import Proxy
from servers import Server
from sojourn import CorruptRecord, OutcomeUnknown, Unavailable
from sojourn.artifacts.model import ArtifactPlace
from sojourn.artifacts.operations.save import UploadChunk
from sojourn.artifacts.redis import RedisArtifacts

SAVING = Path(__file__).with_name("saving.py")


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(server.port) as proxy:
        yield proxy


def hit(proxy: Proxy, what: str, nth: int) -> list[bytes]:
    """Do something to the nth script from now on; what was hit."""
    scripts: list[bytes] = []
    found: list[bytes] = []

    def on_request(data: bytes) -> str:
        if b"EVALSHA" in data:
            scripts.append(data)
            if len(scripts) == nth:
                found.append(data)
                return what
        return "pass"

    proxy.on_request = on_request
    return found


# ── lost replies ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("chunks_of_1000")
@pytest.mark.parametrize("what", ["lose", "drop", "trim"])
@pytest.mark.parametrize(("size", "nth"), [(10, 1), *((6500, nth) for nth in (1, 2, 3))])
async def test_a_save_is_one_version_whatever_is_lost(
    proxy: Proxy, client: redis.Redis, what: str, size: int, nth: int
) -> None:
    async with sojourn.open(proxy.url) as store:
        await save(store, b"before")
        found = hit(proxy, what, nth)
        data = os.urandom(size)
        assert await save(store, data) == 1
        assert found
        assert await load(store) == data
        assert await save(store, b"after") == 2
    assert len(data_keys(client)) == len(client.keys(f"{HEAD}:data:*")) == 3


@pytest.mark.parametrize("nth", [1, 2])
async def test_a_delete_is_done_once_whatever_is_lost(proxy: Proxy, nth: int) -> None:
    async with sojourn.open(proxy.url) as store:
        await save(store)
        found = hit(proxy, "lose", nth)
        assert await store.artifacts.delete(KEY, "a.bin")
        assert found
        assert await store.artifacts.names(KEY) == []


async def test_a_save_without_an_answer_may_be_repeated(server: Server, proxy: Proxy) -> None:
    async with sojourn.open(proxy.url, operation_timeout=0.5) as store:
        await store.ping()
        proxy.on_request = lambda data: "mute" if b"EVALSHA" in data else "pass"
        with pytest.raises(OutcomeUnknown) as caught:
            await save(store, b"once")
        proxy.on_request = lambda _: "pass"
        assert await save(store, b"once", caught.value.operation_id) == 0
        assert await save(store, b"twice") == 1
        assert await load(store, 0) == b"once"


@pytest.mark.usefixtures("chunks_of_1000")
async def test_an_upload_without_an_answer_has_not_happened(proxy: Proxy) -> None:
    async with sojourn.open(proxy.url, operation_timeout=0.5) as store:
        await store.ping()
        proxy.on_request = lambda data: "mute" if b"EVALSHA" in data else "pass"
        with pytest.raises(Unavailable) as caught:
            await save(store, b"x" * 2500)
        assert not isinstance(caught.value, OutcomeUnknown)
        proxy.on_request = lambda _: "pass"
        assert await store.artifacts.names(KEY) == []


@pytest.mark.usefixtures("chunks_of_1000")
async def test_a_chunk_that_arrives_late_changes_nothing(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    room: Any = store.artifacts._store._store
    assert isinstance(room, RedisArtifacts)
    data = b"x" * 2500
    await save(store, data, "op")
    upload, saved = f"{HEAD}:data:op", f"{HEAD}:saved:op"
    place = ArtifactPlace(KEY, "a.bin")
    for forgotten in (False, True):
        if forgotten:
            client.delete(saved)
        late = [UploadChunk(place, "op", number, b"late" * 250, 600, 2) for number in (0, 1)]
        assert [(await room.run(each)).version for each in late] == [b"0", b"0"]
        assert await load(store) == data
        assert client.ttl(upload) > 1_000_000
        assert await save(store, b"late", "op") == 0
    await save(store, data, "deleted")
    await store.artifacts.delete(KEY, "a.bin")
    last = UploadChunk(place, "deleted", 0, b"late", 600, 1)
    assert (await room.run(last)).version == b"1"
    assert client.keys(f"{HEAD}:data:*") == []


# ── writers that die ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("chunks", [1, 2, 3])
async def test_of_a_writer_that_was_killed_nothing_is_seen_and_nothing_stays(
    server: Server, store: sojourn.Sojourn, client: redis.Redis, chunks: int
) -> None:
    pipe = asyncio.subprocess.PIPE
    paths = os.pathsep.join(filter(None, sys.path))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, SAVING, server.url, str(chunks)),
        stdin=pipe,
        stdout=pipe,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"sent\n"
    process.kill()
    await process.wait()
    assert await store.artifacts.names(KEY) == []
    assert await store.artifacts.load(KEY, "a.bin") is None
    (left,) = client.keys("*")
    assert chunks <= client.hlen(left) <= 3
    assert 0 < client.ttl(left) <= 600
    data = b"x" * 3 * PIECE
    assert await save(store, data, "op") == 0
    assert await load(store) == data
    assert client.ttl(left) > 1_000_000


@pytest.mark.usefixtures("chunks_of_1000")
async def test_an_upload_that_is_cancelled_leaves_nothing_to_see(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    sent = asyncio.Event()
    store.on_call(lambda fact: sent.set() if fact.name == "artifacts.upload" else None)
    saving = asyncio.create_task(save(store, b"x" * 500_000))
    await sent.wait()
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    await store.ping()
    assert await store.artifacts.names(KEY) == []
    assert all(0 < client.ttl(key) <= 600 for key in client.keys("*"))


@pytest.mark.usefixtures("chunks_of_1000")
@pytest.mark.parametrize("lost", ["key", "chunk"])
async def test_chunks_that_are_evicted_before_the_end_are_sent_again(
    store: sojourn.Sojourn, client: redis.Redis, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else the save leaves before the fact of the last chunk comes.
    monkeypatch.setattr("sojourn.artifacts.records.AHEAD", 1)
    uploads: list[str] = []

    def evict(fact: Any) -> None:
        uploads.append(fact.name)
        if len(uploads) == 3:
            (key,) = client.keys(f"{HEAD}:data:*")
            client.hdel(key, *("012" if lost == "key" else "1"))

    store.on_call(evict)
    data = os.urandom(2500)
    assert await save(store, data) == 0
    assert await load(store) == data
    assert uploads.count("artifacts.save") == 2


@pytest.mark.usefixtures("chunks_of_1000")
async def test_a_server_that_keeps_no_chunk_is_told_of(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    def evict(_: Any) -> None:
        client.delete(*client.keys(f"{HEAD}:data:*"), "nothing")

    store.on_call(evict)
    with pytest.raises(Unavailable, match="evicts"):
        await save(store, b"x" * 2500)
    assert await store.artifacts.names(KEY) == []


# ── what cannot be read ────────────────────────────────────────────────────────────────────────


def data(client: redis.Redis) -> str:
    (key,) = data_keys(client)
    return key


def edit(client: redis.Redis, old: str, new: str) -> None:
    record = client.hget(HEAD, "version:0")
    assert old in record
    client.hset(HEAD, "version:0", record.replace(old, new))


DAMAGE: dict[str, Callable[[redis.Redis], Any]] = {
    "data evicted": lambda client: client.delete(data(client)),
    "a chunk gone": lambda client: client.hdel(data(client), "1"),
    "a chunk cut": lambda client: client.hset(data(client), "1", b"x" * 999),
    "a byte changed": lambda client: client.hset(data(client), "2", b"y" * 500),
    "chunks swapped": lambda client: client.hset(data(client), "0", b"y" * 1000),
    "data a string": lambda client: (key := data(client), client.set(key, "x")),
    "record no JSON": lambda client: client.hset(HEAD, "version:0", "{"),
    "record cut": lambda client: client.hset(HEAD, "version:0", '{"created":1.0,"size":1}'),
    "other size": lambda client: edit(client, '"size":2500', '"size":2400'),
    "fewer chunks": lambda client: edit(client, '"chunks":3', '"chunks":2'),
    "record gone": lambda client: client.hdel(HEAD, "version:0"),
    "name of data gone": lambda client: client.hdel(HEAD, "data:0"),
    "format": lambda client: client.hset(HEAD, "format", "second"),
    "versions": lambda client: client.hset(HEAD, "versions", "many"),
    "no versions": lambda client: client.hset(HEAD, "versions", "0"),
    "expires": lambda client: client.hset(HEAD, "expires", "-1"),
    "head evicted": lambda client: client.delete(HEAD),
    "head a list": lambda client: (client.delete(HEAD), client.rpush(HEAD, "x")),
}


@pytest.mark.usefixtures("chunks_of_1000")
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
async def test_what_is_damaged_or_evicted_is_loud(
    store: sojourn.Sojourn, client: redis.Redis, damage: Callable[[redis.Redis], Any]
) -> None:
    await save(store, b"x" * 2500)
    damage(client)
    for version in (None, 0):
        with pytest.raises(CorruptRecord) as caught:
            await store.artifacts.load(KEY, "a.bin", version=version)
        assert caught.value.key.startswith(HEAD) or "WRONGTYPE" in str(caught.value)
    assert await store.artifacts.names(KEY) == ["a.bin"]
    if client.type(HEAD) == "list":
        with pytest.raises(CorruptRecord):
            await store.artifacts.delete(KEY, "a.bin")
        return
    assert await store.artifacts.delete(KEY, "a.bin")
    assert await store.artifacts.names(KEY) == []
    assert await save(store, b"anew") == 0
    assert await load(store) == b"anew"


@pytest.mark.parametrize("name", ["head evicted", "format", "versions", "head a list"])
async def test_nothing_is_written_over_what_cannot_be_read(
    store: sojourn.Sojourn, client: redis.Redis, name: str
) -> None:
    await save(store)
    DAMAGE[name](client)
    before = content(client)
    with pytest.raises(CorruptRecord):
        await save(store)
    with pytest.raises(CorruptRecord):
        await store.artifacts.find(KEY, "a.bin")
    with pytest.raises(CorruptRecord):
        await store.artifacts.versions(KEY, "a.bin")
    assert content(client) == before


@pytest.mark.parametrize("kind", ["names", "saved", "data", "deleted"])
async def test_keys_of_another_type_stop_a_write_before_it_begins(
    store: sojourn.Sojourn, client: redis.Redis, kind: str
) -> None:
    await save(store)
    key = INDEX if kind == "names" else f"{HEAD}:{kind}:op"
    client.delete(key)
    client.rpush(key, "foreign")
    before = content(client)
    delete = store.artifacts.delete(KEY, "a.bin", operation_id="op")
    with pytest.raises(CorruptRecord):
        await (delete if kind == "deleted" else save(store, b"x", "op"))
    delete.close()
    assert content(client) == before


async def test_an_index_that_was_evicted_is_made_again(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    await save(store)
    client.delete(INDEX)
    assert await load(store) == b"x"
    await save(store)
    assert await store.artifacts.names(KEY) == ["a.bin"]
    assert client.ttl(INDEX) > 0
    client.zadd(INDEX, {b"\xff": 9e15})
    with pytest.raises(CorruptRecord):
        await store.artifacts.names(KEY)


# ── beside others ──────────────────────────────────────────────────────────────────────────────


async def test_an_append_does_not_wait_for_a_large_artifact(proxy: Proxy) -> None:
    async with sojourn.open(proxy.url, operation_timeout=1) as store:
        made = await store.sessions.create("shop", "ada", "s")
        await save(store, b"x" * 4 * PIECE)
        proxy.on_request = lambda data: "stall" if b"HGET\r\n" in data else "pass"
        loading = asyncio.create_task(load(store))
        while not any(b"HGET\r\n" in data for data in proxy.requests):
            await asyncio.sleep(0.001)
        event = sojourn.Event(author="ada", payload="hi")
        await store.sessions.append(made.key, event)
        assert not loading.done()
        proxy.on_request = lambda _: "pass"
        with pytest.raises(Unavailable):
            await loading


async def test_without_a_server_it_is_unavailable(server: Server, store: sojourn.Sojourn) -> None:
    await save(store)
    server.stop(9)
    for call in (save, load):
        with pytest.raises(Unavailable):
            await call(store)
    with pytest.raises(Unavailable):
        await store.artifacts.names(KEY)
