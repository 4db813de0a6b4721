"""Artifacts whose content is sealed: nobody reads, moves or changes it without being noticed."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from zlib import crc32

import msgspec
import pytest
import redis
from artifacts_kit import HEAD, KEY, PIECE, content, data_keys, load, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import sojourn
from extent import FULL, examples
from sealing import TestKeys, open_sealed
from servers import Server
from sojourn import (
    CorruptRecord,
    DictionaryMissing,
    Erased,
    KeyMissing,
    SessionKey,
    Tampered,
    Undecodable,
    UserKey,
)
from sojourn.codecs.codec import Sealed
from sojourn.testing import ArtifactsContract

WORDS = ("marzipan", "x-secret-type", "tangerine")
DATA = b"tangerine " * 100


class Halves:
    """A compressor of tests: only bytes of one kind shrink."""

    def compress(self, data: bytes) -> tuple[str, bytes] | None:
        if not data or data.count(data[:1]) < len(data):
            return None
        return "zstd:halves", data[:1] + b"%d" % len(data)

    def knows(self, encoding: str) -> bool:
        return encoding == "zstd:halves"

    def decompress(self, encoding: str, body: bytes, most: int) -> bytes:
        assert encoding == "zstd:halves"
        if (size := int(body[1:])) > most:
            raise ValueError("too large")
        return body[:1] * size


if FULL:  # the cases below stand for it

    class TestSealedArtifacts(ArtifactsContract):
        @pytest.fixture(scope="class")
        async def store(self, url: str) -> AsyncIterator[sojourn.Sojourn]:
            async with open_sealed(url) as store:
                yield store


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    """One that gives bytes."""
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
def keys() -> TestKeys:
    return TestKeys()


@pytest.fixture
async def sealed(server: Server, keys: TestKeys) -> AsyncIterator[sojourn.Sojourn]:
    async with open_sealed(server.url, keys) as store:
        yield store


async def fill(store: sojourn.Sojourn, data: bytes = DATA) -> None:
    more = {"mime_type": "x-secret-type", "metadata": {"note": "marzipan"}}
    await store.artifacts.save(KEY, "a.bin", data, **more)


@pytest.mark.parametrize("where", ["memory", "server"])
@pytest.mark.parametrize("size", [0, 5, PIECE, 3 * PIECE + 5])
async def test_what_is_saved_comes_back_and_stands_nowhere_in_clear(
    where: str, size: int, server: Server, client: redis.Redis
) -> None:
    url = "memory://" if where == "memory" else server.url
    data = (DATA * (size // len(DATA) + 1))[:size]
    async with open_sealed(url) as store:
        before = time.time()
        await fill(store, data)
        found = await store.artifacts.load(KEY, "a.bin")
        assert found is not None
        assert (found.data, found.size, found.mime_type) == (data, size, "x-secret-type")
        assert found.metadata == {"note": "marzipan"}
        assert before - 60 < found.created < time.time() + 60
        assert await store.artifacts.versions(KEY, "a.bin") == [
            await store.artifacts.find(KEY, "a.bin")
        ]
        owner = UserKey.of("shop", "ada")
        assert await store.artifacts.move(KEY, owner) == ["a.bin"]
        moved = await store.artifacts.load(owner, "a.bin")
        assert moved == found
        inner = store.artifacts._store._store
        kept = repr(content(client) if where == "server" else vars(inner))
        assert "a.bin" in kept
        for word in WORDS:
            assert word not in kept


async def test_what_is_told_without_the_key(
    sealed: sojourn.Sojourn, server: Server, client: redis.Redis, keys: TestKeys
) -> None:
    async with sojourn.open(server.url) as plain:
        await plain.artifacts.save(KEY, "a.bin", b"plain")
        keys.migrating = True
        await fill(sealed)
        before = content(client)
        key = keys.active["shop", "ada"].id
        for call in (load(plain), load(plain, 1), plain.artifacts.find(KEY, "a.bin")):
            with pytest.raises(KeyMissing) as caught:
                await call
            assert caught.value.key_id == key
        first, second = await plain.artifacts.versions(KEY, "a.bin")
        assert (first.newer, first.sealed) == (False, None)
        stored = client.hstrlen(data_keys(client)[1], "0")
        assert (second.newer, second.sealed) == (True, Sealed(key, stored))
        assert second.created > 0
        assert await load(plain, 0) == b"plain"
        assert content(client).keys() == before.keys()
        with pytest.raises(KeyMissing):
            await plain.artifacts.save(KEY, "a.bin", b"more")
        assert await load(sealed, 1) == DATA
        assert await plain.artifacts.delete(KEY, "a.bin")


async def test_plain_text_is_refused_where_it_was_sealed(
    sealed: sojourn.Sojourn, server: Server, keys: TestKeys
) -> None:
    async with sojourn.open(server.url) as plain:
        await save(plain, b"plain")
    for call in (load(sealed), sealed.artifacts.versions(KEY, "a.bin")):
        with pytest.raises(Tampered):
            await call
    keys.migrating = True
    assert await load(sealed) == b"plain"


async def test_a_key_that_was_destroyed(sealed: sojourn.Sojourn, keys: TestKeys) -> None:
    await fill(sealed)
    keys.destroy()
    for call in (load(sealed), save(sealed), sealed.artifacts.versions(KEY, "a.bin")):
        with pytest.raises(Erased):
            await call
    assert await sealed.artifacts.names(KEY) == ["a.bin"]


async def test_another_key_seals_what_is_saved_later(
    sealed: sojourn.Sojourn, keys: TestKeys
) -> None:
    await fill(sealed)
    keys.renew("shop", "ada")
    await save(sealed, b"later")
    assert [await load(sealed, number) for number in (0, 1)] == [DATA, b"later"]
    keys.former.clear()
    assert [each.newer for each in await sealed.artifacts.versions(KEY, "a.bin")] == [True, False]
    with pytest.raises(KeyMissing):
        await load(sealed, 0)
    assert await load(sealed) == b"later"


@pytest.mark.usefixtures("chunks_of_1000")
async def test_chunks_are_bound_to_their_number_their_count_and_their_version(
    sealed: sojourn.Sojourn, client: redis.Redis
) -> None:
    for _ in range(2):
        await save(sealed, secrets.token_bytes(3000))
    first, second = data_keys(client)
    chunks, others = client.hgetall(first), client.hgetall(second)
    for number, chunk in ((b"0", chunks[b"1"]), (b"2", chunks[b"0"]), (b"1", others[b"1"])):
        client.hset(first, number, chunk)
        with pytest.raises(Tampered):
            await load(sealed, 0)
        client.hset(first, number, chunks[number])
    record = client.hget(HEAD, "version:0")
    lead = record.split(b"\n")[1]
    fewer = msgspec.json.encode(msgspec.json.decode(lead) | {"chunks": 2})
    for forged in (_summed(record[:-8].replace(lead, fewer)), client.hget(HEAD, "version:1")):
        client.hset(HEAD, "version:0", forged)
        with pytest.raises(Tampered):
            await load(sealed, 0)
    client.hset(HEAD, "version:0", record)
    client.hdel(first, "2")
    with pytest.raises(CorruptRecord, match="lost a part"):
        await load(sealed, 0)


@pytest.mark.usefixtures("chunks_of_1000")
async def test_a_save_that_is_repeated_by_another_process_is_one_version(
    sealed: sojourn.Sojourn, server: Server, keys: TestKeys, client: redis.Redis
) -> None:
    """Also when the chunks of both come in turns."""
    data = secrets.token_bytes(3000)
    await save(sealed, data, "one")
    client.flushall()
    async with open_sealed(server.url, keys) as other:
        saves = [save(each, data, "op") for each in (sealed, other) for _ in range(4)]
        assert {*await asyncio.gather(*saves)} == {0}
        assert await load(other) == data


async def test_chunks_that_shrink_beside_chunks_that_do_not(server: Server) -> None:
    data = secrets.token_bytes(PIECE) + b"x" * PIECE + b"y"
    for keys in (None, TestKeys()):
        async with sojourn.open(server.url) as store:
            codec = store.artifacts._store.codec
            codec.compressor, codec.compressing, codec.writes = Halves(), True, True
            if keys:
                codec.seal_with(keys)
            key = SessionKey.of("shop", f"user-{keys is None}", "s")
            await store.artifacts.save(key, "a", data)
            await store.artifacts.save(key, "a", b"z" * 9)
            for number, expected in ((0, data), (1, b"z" * 9)):
                found = await store.artifacts.load(key, "a", version=number)
                assert found is not None
                assert (found.data, found.newer) == (expected, False)
        if keys is None:
            async with sojourn.open(server.url) as plain:
                marked = [each.newer for each in await plain.artifacts.versions(key, "a")]
                assert marked == [True, True]
                with pytest.raises(DictionaryMissing):
                    await plain.artifacts.load(key, "a")


async def test_other_tasks_have_their_turn_while_much_is_sealed() -> None:
    async with open_sealed("memory://") as store:
        data, over = secrets.token_bytes(24 * PIECE), asyncio.Event()

        async def watch() -> int:
            turns = 0
            while not over.is_set():
                await asyncio.sleep(0)
                turns += 1
            return turns

        watching = asyncio.create_task(watch())
        await store.artifacts.save(KEY, "a.bin", data)
        assert await load(store) == data
        over.set()
        assert await watching > 48


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=some.data())
async def test_no_byte_can_be_changed_and_nothing_moved(
    sealed: sojourn.Sojourn, client: redis.Redis, drawn: some.DataObject
) -> None:
    """Whatever stands where: the data, or our error, and never another's data."""
    client.flushall()
    for user, name in ITS:
        more = {"metadata": {"of": user + name}}
        await sealed.artifacts.save(
            SessionKey.of("shop", user, "s"), name, _data(user, name), **more
        )
    values: list[tuple[str, str, bytes]] = []
    for user, name in ITS:
        head = f"artifact:{{shop:{user}}}:s:{name}"
        key = f"{head}:data:{client.hget(head, 'data:0').decode()}"
        values += [
            (each, at, client.hget(each, at)) for each, at in ((head, "version:0"), (key, "0"))
        ]
    where, field, value = drawn.draw(some.sampled_from(values), "where")
    bits = some.integers(0, 8 * len(value) - 1)
    headers = some.sampled_from([b"\xff1 size:3\n", b"\xff1 x:1\n", b"\xff2 ?\n", b""])
    forged = drawn.draw(
        some.one_of(
            some.sampled_from([each for _, _, each in values]),
            bits.map(lambda at: _flipped(value, at)),
            bits.map(lambda at: value[: at // 8]),
            some.binary(max_size=60),
            headers.map(lambda header: _summed(header + value.partition(b"\n")[2][:-8])),
        ),
        "what",
    )
    client.hset(where, field, forged)
    for user, name in ITS:
        key = SessionKey.of("shop", user, "s")
        try:
            version = await sealed.artifacts.find(key, name)
            assert version is not None
            assert version.metadata == {"of": user + name}
            found = await sealed.artifacts.load(key, name)
        except (CorruptRecord, Undecodable):
            assert where.startswith(f"artifact:{{shop:{user}}}:s:{name}")
        else:
            assert found is not None
            assert (found.data, found.metadata) == (_data(user, name), {"of": user + name})


ITS = [(user, name) for user in ("ada", "bob") for name in ("a", "b")]


def _data(user: str, name: str) -> bytes:
    return f"{user} {name} ".encode() * 50


def _flipped(value: bytes, at: int) -> bytes:
    changed = bytearray(value)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def _summed(data: bytes) -> bytes:
    return data + b"%08x" % crc32(data)
