"""The memory over sealed content."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis

import extent
import sojourn
from sealing import TestKeys, open_sealed
from servers import Server
from sojourn import CorruptRecord, Erased, KeyMissing, NewerFormat, Tampered, Unavailable
from sojourn.codecs.growth import encoded
from sojourn.memory import Draft, MemoryScope, search
from sojourn.memory.index import Index
from sojourn.memory.keys import MemoryRoomKeys
from sojourn.testing import MemoryContract

if extent.FULL:  # else a handful is enough

    class TestSealedMemory(MemoryContract):
        @pytest.fixture(scope="class")
        async def store(self, shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
            async with open_sealed(shared_server.url) as store:
                yield store


@pytest.fixture
def keys() -> TestKeys:
    return TestKeys()


@pytest.fixture
def app() -> str:
    return f"shop-{secrets.token_hex(6)}"


@pytest.fixture(params=["server", "memory"])
async def store(
    request: pytest.FixtureRequest, shared_server: Server, keys: TestKeys
) -> AsyncIterator[sojourn.Sojourn]:
    url = shared_server.url if request.param == "server" else "memory://"
    async with open_sealed(url, keys) as store:
        yield store


@pytest.fixture
async def sealed(shared_server: Server, keys: TestKeys) -> AsyncIterator[sojourn.Sojourn]:
    async with open_sealed(shared_server.url, keys) as store:
        yield store


@pytest.fixture
async def plain(shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(shared_server.url) as store:
        yield store


@pytest.fixture
def client(shared_server: Server) -> Iterator[redis.Redis]:
    """Plain redis-py; what it reads are bytes."""
    with redis.Redis.from_url(shared_server.url) as client:
        yield client


def ada(store: sojourn.Sojourn, app: str) -> MemoryScope:
    return store.memory.user("ada", app=app)


def entry_of(app: str, key: str = "k") -> str:
    return MemoryRoomKeys().remembered(MemoryRoomKeys().memory(app, "user", "ada"), key)


def fields(client: redis.Redis, app: str, key: str = "k") -> dict[bytes, bytes]:
    found: Any = client.hgetall(entry_of(app, key))
    return found


async def found(scope: MemoryScope, query: str) -> set[str]:
    return {hit.entry.key for hit in await scope.search(query)}


# ── what is added again ────────────────────────────────────────────────────────────────────────


async def version(scope: MemoryScope, key: str = "k") -> int:
    entry = await scope.entry(key)
    assert entry is not None
    return entry.version


async def test_what_is_added_again_is_not_written_again(
    store: sojourn.Sojourn, keys: TestKeys, app: str
) -> None:
    scope = ada(store, app)
    draft = Draft(value={"drink": "tea"}, text="green", metadata={"by": "bot"})
    await scope.add({"k": draft}, replace=True)
    first = await version(scope)
    await scope.add({"k": draft}, replace=True)
    assert await version(scope) == first
    others = [
        Draft(value={"drink": "tee"}, text="green", metadata={"by": "bot"}),
        Draft(value={"drink": "tee"}, text="red", metadata={"by": "bot"}),
        Draft(value={"drink": "tee"}, text="red"),
        Draft(value={"drink": "tee"}),
        Draft(value={"drink": "tee"}, text=""),
    ]
    for number, other in enumerate(others, 1):
        for _ in range(2):
            await scope.add({"k": other}, replace=True)
            assert await version(scope) == first + number
    keys.renew(app, "ada")
    for _ in range(2):  # once more under another key, and no more
        await scope.add({"k": others[-1]}, replace=True)
        assert await version(scope) == first + len(others) + 1


async def test_a_vector_counts_when_it_is_added_again(store: sojourn.Sojourn, app: str) -> None:
    scope = ada(store, app)
    await scope.add({"k": Draft(value="tea")}, replace=True)
    store.memory.embed_with(lambda texts: [[1.0, 0.0]] * len(texts), 2)
    for _ in range(2):
        await scope.add({"k": Draft(value="tea")}, replace=True)
    assert await version(scope) == 2
    assert await found(scope, "unheard") == {"k"}  # by meaning alone


async def test_digests_tell_nothing(
    sealed: sojourn.Sojourn, plain: sojourn.Sojourn, client: redis.Redis, app: str
) -> None:
    await ada(sealed, app).put_many({"k": "tea", "other": "tea"})
    await ada(sealed, f"{app}2").put("k", "tea")
    digests = {
        fields(client, *place)[b"digest"] for place in ((app,), (app, "other"), (f"{app}2",))
    }
    assert len(digests) == 3
    await ada(plain, f"{app}3").put("k", "tea")
    assert b"digest" not in fields(client, f"{app}3")
    async with open_sealed("memory://", TestKeys()) as other:  # the same, under another key
        await ada(other, app).put("k", "tea")
        stored: Any = other.stores.memory
        (scope,) = stored._store.scopes.values()
        assert scope.rows["k"].item.digest.encode() not in digests


async def test_a_plain_entry_is_sealed_when_it_is_added_again(
    plain: sojourn.Sojourn, shared_server: Server, client: redis.Redis, app: str
) -> None:
    draft = Draft(value="tea", text="tea", metadata={"a": 1})
    await ada(plain, app).add({"k": draft})
    async with open_sealed(shared_server.url, TestKeys(migrating=True)) as sealing:
        scope = ada(sealing, app)
        assert await scope.get("k") == "tea"
        assert await found(scope, "tea") == {"k"}
        for _ in range(2):
            await scope.add({"k": draft}, replace=True)
        assert await version(scope) == 2
        assert all(fields(client, app)[name][:1] == b"\xff" for name in (b"value", b"text"))
    async with open_sealed(shared_server.url) as strict:
        await ada(plain, app).put("new", "tea")
        with pytest.raises(Tampered):
            await ada(strict, app).get("new")


# ── who cannot open it ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("other", ["no keys", "other keys"])
async def test_without_the_key(
    sealed: sojourn.Sojourn,
    client: redis.Redis,
    app: str,
    other: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await ada(sealed, app).put("k", {"drink": "tea"}, text="tea", metadata={"a": "tea"})
    before = fields(client, app)
    url = client_url(client)
    async with sojourn.open(url) if other == "no keys" else open_sealed(url) as store:
        scope = ada(store, app)
        await scope.put("mine", "tea")
        for read in (scope.get("k"), scope.entry("k"), scope.get_many(["mine", "k"])):
            with pytest.raises(KeyMissing):
                await read
        for page in (await scope.list(), await scope.latest()):
            assert [entry.key for entry in page.entries] == ["mine"]
            assert (page.corrupt, page.newer) == ([], ["k"])
        with caplog.at_level(logging.WARNING, "sojourn.memory"):
            assert await found(scope, "tea") == {"mine"}
        assert "leave out 1 entries that this process cannot decode" in caplog.text
        with pytest.raises(KeyMissing):
            await scope.merge("k", {"cup": "big"})
        if other == "no keys":
            for write in (
                scope.put("k", 1),
                scope.put_many({"new": 1, "k": 1}),
                scope.add({"k": Draft(value=1)}, replace=True),
            ):
                with pytest.raises(KeyMissing, match="keys="):
                    await write
        assert fields(client, app) == before
        await scope.add({"k": Draft(value=1)}, ttl=None)  # it lives on
        assert client.pttl(entry_of(app)) == -1
        assert await scope.delete("k")
    assert not fields(client, app)


async def test_what_cannot_be_decoded_does_not_start_searches_over(
    sealed: sojourn.Sojourn,
    shared_server: Server,
    app: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await ada(sealed, app).put_many({f"sealed {n}": "tea" for n in range(5)})
    made: list[Index] = []
    init = Index.__init__

    def counted(self: Index) -> None:
        made.append(self)
        init(self)

    monkeypatch.setattr(Index, "__init__", counted)
    async with sojourn.open(shared_server.url) as store:
        scope = ada(store, app)
        await scope.put("mine", "tea")
        for number in range(3):
            assert await found(scope, "tea") == {"mine", *(f"mine {n}" for n in range(number))}
            await scope.put(f"mine {number}", "tea")
            await ada(sealed, app).put(f"new {number}", "tea")
    assert len(made) == 1


async def test_what_was_tampered_with_is_marked_and_deleted(
    sealed: sojourn.Sojourn, client: redis.Redis, app: str
) -> None:
    scope = ada(sealed, app)
    await scope.put_many({"k": "tea", "other": "tea"})
    assert await found(scope, "tea") == {"k", "other"}
    client.hset(entry_of(app), "value", fields(client, app, "other")[b"value"])
    with pytest.raises(Tampered):
        await scope.get("k")
    page = await scope.list()
    assert ([entry.key for entry in page.entries], page.corrupt, page.newer) == (
        ["other"],
        ["k"],
        [],
    )
    with pytest.raises(Tampered):
        await scope.merge("k", {})
    async with open_sealed(client_url(client), keys_of(sealed)) as fresh:
        assert await found(ada(fresh, app), "tea") == {"other"}
    await scope.put("k", "tea")
    assert await scope.get("k") == "tea"
    assert await scope.delete("k")


def client_url(client: redis.Redis) -> str:
    where = client.connection_pool.connection_kwargs
    return f"redis://{where['host']}:{where['port']}"


def keys_of(store: sojourn.Sojourn) -> Any:
    stored: Any = store.stores.memory
    return stored.codec.keys


async def test_an_erasure_reaches_what_a_search_knows(
    store: sojourn.Sojourn, keys: TestKeys, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = ada(store, app)
    await scope.put("k", "tea")
    assert await found(scope, "tea") == {"k"}
    active = keys.active.pop((app, "ada"))
    for _ in range(2):  # nobody has the key: nothing is found, though the index knew it
        assert await found(scope, "tea") == set()
    keys.active[app, "ada"] = active
    monkeypatch.setattr(search, "_RETRY", 0.0)
    assert await found(scope, "tea") == {"k"}
    keys.destroy()
    for call in (
        *(scope.get("k"), scope.list(), scope.search("tea")),
        *(scope.put("k", 1), scope.add({"k": Draft(value=1)}), scope.merge("k", {})),
    ):
        with pytest.raises(Erased):
            await call
    assert await scope.delete("k")


async def test_without_keys_at_hand_nothing_is_written(
    sealed: sojourn.Sojourn, keys: TestKeys, client: redis.Redis, app: str
) -> None:
    keys.failure = Unavailable("The keys cannot be asked for.")
    for call in (ada(sealed, app).put("k", 1), ada(sealed, app).add({"k": Draft(value=1)})):
        with pytest.raises(Unavailable):
            await call
    assert not fields(client, app)


# ── what replaces what ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("names", [("msgpack",), ("zstd:d1",), ("size:3", "zstd")])
async def test_what_is_encoded_but_not_sealed_is_replaced(
    plain: sojourn.Sojourn, client: redis.Redis, app: str, names: tuple[str, ...]
) -> None:
    await ada(plain, app).put("k", "tea")
    client.hset(entry_of(app), mapping={"value": encoded(1, names, b"?"), "digest": "x"})
    await ada(plain, app).add({"k": Draft(value="tee")}, replace=True)
    assert await ada(plain, app).get("k") == "tee"
    assert b"digest" not in fields(client, app)


async def test_what_is_not_known_is_not_replaced_by_what_is_sealed(
    sealed: sojourn.Sojourn, client: redis.Redis, app: str
) -> None:
    await ada(sealed, app).put("k", "tea")
    name = next(iter(keys_of(sealed).active.values())).id
    for stored in (encoded(1, ("lz4", f"aes-256-gcm:{name}"), b"?"), encoded(2, ("zstd",), b"?")):
        client.hset(entry_of(app), "value", stored)
        for write in (
            ada(sealed, app).put("k", 1),
            ada(sealed, app).add({"k": Draft(value=1)}, replace=True),
        ):
            with pytest.raises((NewerFormat, KeyMissing)):
                await write
        assert fields(client, app)[b"value"] == stored
    client.hset(entry_of(app), "value", b"\xff damaged")
    with pytest.raises(CorruptRecord):
        await ada(sealed, app).put("k", 1)


async def test_the_index_has_no_file(app: str) -> None:
    db = Index()._db
    assert [row[2] for row in db.execute("PRAGMA database_list")] == [""]
    assert db.execute("PRAGMA temp_store").fetchone() == (2,)  # MEMORY
