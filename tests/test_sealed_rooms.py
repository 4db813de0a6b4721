"""Sealed content of memory, cache and streams: what was moved, changed or forged opens nowhere."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple
from zlib import crc32

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import sojourn
from extent import examples
from sealing import TestKeys, open_sealed, words_stored
from servers import Server, any_binary
from sojourn import Erased, KeyMissing, SessionKey, SojournError
from sojourn.cache.keys import CacheRoomKeys
from sojourn.keys import KeyRing
from sojourn.memory import MemoryScope
from sojourn.memory.keys import MemoryRoomKeys
from sojourn.streams.keys import StreamRoomKeys

TENANTS = ("", "cache", "acme", "shop:ada", "shop:bob", "inn:ada")
CONNECTIONS = tuple(
    SessionKey.of(app, user, name)
    for app, user, name in (("shop", "ada", "c"), ("shop", "ada", "d"), ("shop", "bob", "c"))
)


class Field(NamedTuple):
    """A field that holds sealed content, and how what it belongs to is read."""

    key: str
    name: str
    lead: int
    """Lines in front of the sealed value."""
    read: Callable[[sojourn.Sojourn], Awaitable[Any]]


def scopes(store: sojourn.Sojourn) -> list[MemoryScope]:
    memory = store.memory
    return [
        memory.user("ada", app="shop"),
        memory.user("bob", app="shop"),
        memory.user("ada", app="inn"),
        memory.agent("ada", app="shop"),
        memory.knowledge("ada", app="shop"),
        memory.sessions("ada", app="shop"),
    ]


async def _entry(store: sojourn.Sojourn, place: int, key: str) -> Any:
    scope = scopes(store)[place]
    listed = await scope.list()
    found = await scope.entry(key)
    assert found in listed.entries
    return found, [hit.entry for hit in await scope.search(f"word{place}{key}")]


class Words(Exception):
    """An error that quotes content."""


class Bench:
    """A server with sealed records, and a loop for them."""

    def __init__(self, server: Server) -> None:
        self.loop = asyncio.new_event_loop()
        self.url = server.url
        self.client: redis.Redis = redis.Redis.from_url(server.url)
        self.keys = TestKeys()
        self.store = open_sealed(self.url, self.keys)
        self.fields = self.loop.run_until_complete(self._write())
        self.was = {field: self.read(field) for field in self.fields}
        self.stored = {field: self.client.hget(*field[:2]) or b"" for field in self.fields}

    async def _write(self) -> list[Field]:
        fields: list[Field] = []
        async with open_sealed(self.url, self.keys) as store:
            store.memory.embed_with(lambda texts: [[1.0, 2.0]] * len(texts), 2)
            for place, scope in enumerate(scopes(store)):
                ours = MemoryRoomKeys().memory(*scope.key)
                for key in ("a", "b"):
                    word = f"word{place}{key}"
                    await scope.put(key, {"v": word}, text=f"text {word}", metadata={"m": word})

                    def read(
                        store: sojourn.Sojourn, place: int = place, key: str = key
                    ) -> Awaitable[Any]:
                        return _entry(store, place, key)

                    entry = MemoryRoomKeys().remembered(ours, key)
                    names = ("value", "metadata", "text", "vector")
                    fields += [Field(entry, name, 0, read) for name in names]
            for tenant in TENANTS:
                for name in ("a", "b"):
                    await store.cache.put(name, f"word {tenant} {name}", tenant=tenant)

                    def cached(
                        store: sojourn.Sojourn, tenant: str = tenant, name: str = name
                    ) -> Awaitable[Any]:
                        return store.cache.get(name, tenant=tenant)

                    entry = CacheRoomKeys().cache(tenant, name).entry
                    fields.append(Field(entry, "value", 0, cached))
            for key in CONNECTIONS:
                streams = store.room("streams")
                await streams.open(key)
                for number in (1, 2):
                    operation = f"op{number}"
                    await streams.add(key, "s", f"word {key} {number}", operation_id=operation)

                    def told(
                        store: sojourn.Sojourn, key: SessionKey = key, number: int = number
                    ) -> Awaitable[Any]:
                        return store.room("streams").after(key, number)

                    fields.append(Field(StreamRoomKeys().mcp(key), str(number), 2, told))
        return fields

    def key_id(self, field: Field) -> bytes:
        """The key that a value is sealed with."""
        header = self.client.hget(field.key, "vector_encoding")
        if field.name != "vector":
            header = split(field, self.stored[field])[1].partition(b"\n")[0]
        assert isinstance(header, bytes)
        return header.rpartition(b":")[2]

    def read(self, field: Field, *, anew: bool = True) -> Any:
        """What a process gives; the kind of the error for none.

        Args:
            field: of which record.
            anew: whether the process knows nothing yet.
        """

        async def read() -> Any:
            if not anew:
                return await field.read(self.store)
            async with open_sealed(self.url, self.keys) as store:
                return await field.read(store)

        try:
            return self.loop.run_until_complete(read())
        except SojournError as error:
            return Words if "word" in str(error) else type(error)

    def assert_safe(self, field: Field, planted: bytes, *, anew: bool = True) -> None:
        """With that in its place the record is what it was, or an error."""
        self.client.hset(field.key, field.name, planted)  # type: ignore[arg-type]
        try:
            found = self.read(field, anew=anew)
            if planted == self.stored[field]:
                assert found == self.was[field]
            else:
                assert isinstance(found, type), found
                assert found is not Words
        finally:
            self.client.hset(field.key, field.name, self.stored[field])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    server = Server(tmp_path_factory.mktemp("sealed"), any_binary()).start()
    made = Bench(server)
    yield made
    made.loop.run_until_complete(made.store.close())
    made.client.close()
    made.loop.close()
    server.close()


tried = settings(
    max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def split(field: Field, stored: bytes) -> tuple[bytes, bytes]:
    """What stands in front of a sealed value, and that."""
    parts = stored.split(b"\n", field.lead)
    return b"".join(part + b"\n" for part in parts[:-1]), parts[-1]


def test_what_is_stored_has_no_plain_word(bench: Bench) -> None:
    for field, stored in bench.stored.items():
        assert stored, field
        assert b"word" not in stored
        assert not isinstance(bench.was[field], type)
    for key in bench.client.scan_iter():
        if bench.client.type(key) == b"hash":
            assert not any(b"word" in each for each in bench.client.hvals(key)), key  # type: ignore[union-attr]


async def test_a_ring_and_compression_and_messagepack_at_once(shared_server: Server) -> None:
    words, name = "sealed words, many of them, " * 40, f"app-{secrets.token_hex(6)}"
    ring = KeyRing.new()
    how: dict[str, Any] = {"keys": ring, "compression": "zstd", "serializer": "msgpack"}
    async with sojourn.open(shared_server.url, **how) as store:
        scope, streams = store.memory.user("ada", app=name), store.user(name, "ada").streams
        store.memory.embed_with(lambda texts: [[0.0] * 500] * len(texts), 500)
        await scope.put("k", {"v": words}, text=words, metadata={"m": words, "big": 2**70})
        await store.cache.put("n", words, tenant=name)
        await streams.open("c")
        assert await streams.add("c", "s", words) == 1
    async with sojourn.open(shared_server.url, **how) as store:
        scope, streams = store.memory.user("ada", app=name), store.user(name, "ada").streams
        entry = await scope.entry("k")
        assert entry is not None
        assert (entry.value, entry.text) == ({"v": words}, words)
        assert entry.metadata == {"m": words, "big": 2**70}
        assert [hit.entry for hit in await scope.search("sealed")] == [entry]
        assert await store.cache.get("n", tenant=name) == words
        assert [each.message for each in await streams.after("c", 1) or ()] == [words]
    assert not words_stored(shared_server, [b"sealed words"])
    with redis.Redis.from_url(shared_server.url) as client:
        entry_key = MemoryRoomKeys().memory(name, "user", "ada")
        fields: Any = client.hgetall(MemoryRoomKeys().remembered(entry_key, "k"))
        sizes = {each: len(value) for each, value in fields.items()}
        assert max(sizes[each] for each in (b"value", b"metadata", b"text", b"vector")) < 300
    async with sojourn.open(shared_server.url, keys=KeyRing.new()) as other:
        with pytest.raises(KeyMissing):
            await other.memory.user("ada", app=name).get("k")


async def test_a_backup_from_before_an_erasure_is_not_read(shared_server: Server) -> None:
    name = f"app-{secrets.token_hex(6)}"
    tenant = f"{name}:ada"
    how: dict[str, Any] = {"keys": KeyRing.new(), "key_cache_seconds": 0.001}
    async with (
        sojourn.open(shared_server.url, **how) as store,
        sojourn.open(shared_server.url, **how) as other,
    ):
        scope, cache = other.memory.user("ada", app=name), other.cache
        await store.memory.user("ada", app=name).put("k", "tea")
        await store.cache.put("n", "tea", tenant=tenant)
        assert [hit.entry.value for hit in await scope.search("tea")] == ["tea"]
        with redis.Redis.from_url(shared_server.url) as client:
            theirs = [key for key in client.scan_iter() if name.encode() in key]
            backup = {key: client.dump(key) for key in theirs if not key.startswith(b"keys:")}
            await store.admin.forget("ada", app=name)
            for key, value in backup.items():
                client.restore(key, 0, value, replace=True)  # type: ignore[arg-type]
        assert await scope.search("tea") == []
        page = await scope.list()
        assert (page.entries, page.corrupt, page.newer) == ([], [], ["k"])
        for call in (
            *(scope.get("k"), scope.put("k", 1), scope.merge("k", {})),
            *(cache.get("n", tenant=tenant), cache.put("n", 1, tenant=tenant)),
        ):
            with pytest.raises(Erased):
                await call
        assert await scope.delete("k")
        assert await cache.delete("n", tenant=tenant)


def test_each_part_of_a_place_counts(bench: Bench) -> None:
    """All places of one field, and all fields of one entry: they differ in one part."""
    first = bench.fields[0].key
    pairs = [
        (source, target)
        for source in bench.fields
        for target in bench.fields
        if (source.name == target.name) != (source.key == target.key == first)
        and source.key.partition(":")[0] == target.key.partition(":")[0]
        and bench.key_id(source) == bench.key_id(target)
    ]
    assert len(pairs) > 100
    for source, target in pairs:
        lead = split(target, bench.stored[target])[0]
        bench.assert_safe(target, lead + split(source, bench.stored[source])[1], anew=False)


@tried
@given(some.data())
def test_a_record_that_was_moved_is_not_opened(bench: Bench, data: some.DataObject) -> None:
    source, target = (data.draw(some.sampled_from(bench.fields)) for _ in range(2))
    moved = split(source, bench.stored[source])
    lead = data.draw(some.sampled_from([moved[0], split(target, bench.stored[target])[0]]))
    planted = lead + moved[1]
    if source.key == target.key and source.lead and planted == bench.stored[source]:
        return  # within a connection: as when messages change places
    encodings = [bench.client.hget(each.key, "vector_encoding") for each in (source, target)]
    if source.name == target.name == "vector" and data.draw(some.booleans()):
        bench.client.hset(target.key, "vector_encoding", encodings[0])  # type: ignore[arg-type]
    try:
        bench.assert_safe(target, planted)
    finally:
        if encodings[1]:
            bench.client.hset(target.key, "vector_encoding", encodings[1])  # type: ignore[arg-type]


@tried
@given(some.data())
def test_a_record_with_a_bit_flipped_is_not_opened(bench: Bench, data: some.DataObject) -> None:
    field = data.draw(some.sampled_from(bench.fields))
    lead, sealed = split(field, bench.stored[field])
    at = data.draw(some.integers(0, 8 * len(sealed) - 1))
    changed = bytearray(sealed)
    changed[at // 8] ^= 1 << at % 8
    if changed[0] == 0xFF and data.draw(some.booleans()):  # whoever changes it can count, too
        changed[-8:] = b"%08x" % crc32(changed[:-8])
    if bytes(changed) != sealed:
        bench.assert_safe(field, lead + bytes(changed))


def headers(bench: Bench) -> some.SearchStrategy[bytes]:
    names = [
        "msgpack",
        "zstd",
        "zstd:d1",
        "size:1",
        "lz4",
        "aes-256-gcm",
        f"aes-256-gcm:{0:016}",
    ]
    names += [f"aes-256-gcm:{key.id}" for key in bench.keys.active.values()]
    major = some.sampled_from(["1", "01", "2", "0", "999999999", "", "x"])
    chosen = some.lists(some.sampled_from(names), max_size=3)
    return some.builds(
        lambda major, names: f"{' '.join([major, *names])}\n".encode(), major, chosen
    ) | some.binary(max_size=20)


@tried
@given(some.data())
def test_a_forged_header_opens_nothing(bench: Bench, data: some.DataObject) -> None:
    field, other = (data.draw(some.sampled_from(bench.fields)) for _ in range(2))
    body = split(other, bench.stored[other])[1].partition(b"\n")[2][:-8]
    body = data.draw(some.sampled_from([body, b'"word"', b'["s","word"]', b"\xa4word"]))
    forged = b"\xff" + data.draw(headers(bench)) + body
    forged += b"%08x" % crc32(forged)
    planted = split(field, bench.stored[field])[0] + forged
    if planted != bench.stored[field]:
        bench.assert_safe(field, planted)


@tried
@given(some.data())
def test_plain_text_is_not_taken_for_what_was_sealed(bench: Bench, data: some.DataObject) -> None:
    field = data.draw(some.sampled_from(bench.fields))
    plain = data.draw(some.sampled_from([b'"word"', b'["s","word"]', b"{}", b"word", b""]))
    bench.assert_safe(field, split(field, bench.stored[field])[0] + plain)


@pytest.mark.parametrize("name", ["metadata", "text", "vector", "value"])
def test_what_belongs_to_an_entry_is_missed(bench: Bench, name: str) -> None:
    field = next(each for each in bench.fields if each.name == name)
    beside = bench.client.hget(field.key, "vector_encoding") or b""
    bench.client.hdel(field.key, field.name, *(["vector_encoding"] if name == "vector" else []))
    try:
        assert isinstance(bench.read(field), type)
    finally:
        bench.client.hset(field.key, mapping={name: bench.stored[field], "vector_encoding": beside})
    assert bench.read(field) == bench.was[field]
