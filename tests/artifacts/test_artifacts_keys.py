"""What stands on the server, and for how long."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from zlib import crc32

import pytest
import redis
from artifacts_kit import HEAD, INDEX, KEY, PIECE, data_keys, load, save
from hypothesis import given
from hypothesis import strategies as st

import sojourn
from servers import Server
from sojourn import InvalidId, SessionKey, TooLarge, UserKey
from sojourn.artifacts.keys import ArtifactRoomKeys

DAY = 86_400
MONTH = 30 * DAY

ids = st.text(min_size=1, max_size=9) | st.sampled_from(["data", "saved", "a:b", "a%3Ab"])
places = st.tuples(ids, ids, st.just("") | ids, ids)


def parsed(place: Any) -> tuple[SessionKey | UserKey, str]:
    app, user, session, name = place
    return (SessionKey.of(app, user, session) if session else UserKey.of(app, user)), name


@given(places, places)
def test_keys_are_injective_and_known_by_their_kind(one: Any, two: Any) -> None:
    try:
        a, b = parsed(one), parsed(two)
    except InvalidId:
        return
    keys = ArtifactRoomKeys("ns")
    mine, theirs = keys.artifact(*a), keys.artifact(*b)
    if a != b:
        assert not ({*mine} - {mine.names}) & {*theirs}
    if a[0] != b[0]:
        assert mine.names != theirs.names
    for key, kind, source in [
        (mine.head, "artifact", mine.head),
        (mine.names, "artifacts", mine.names),
        (f"{mine.data}:op%3A1", "artifactdata", mine.head),
        (f"{mine.saved}:op", "artifactops", f"{mine.saved}:op"),
        (f"{mine.deleted}:op", "artifactops", f"{mine.deleted}:op"),
    ]:
        assert keys.kind_of(key) == (kind, source)


@pytest.mark.parametrize("namespace", ["artifact", "artifacts"])
def test_words_of_ours_are_no_namespace(namespace: str) -> None:
    with pytest.raises(InvalidId):
        ArtifactRoomKeys(namespace)


async def test_a_human_can_read_it(store: sojourn.Sojourn, client: redis.Redis) -> None:
    data = b"x" * PIECE + b"end"
    await store.artifacts.save(
        KEY, "é.txt", data, mime_type="text/plain", metadata={"n": [1]}, created=1.5,
        operation_id="op:1",
    )  # fmt: skip
    head = "artifact:{shop:ada}:s:%C3%A9.txt"
    stored = client.hgetall(head)
    record = json.loads(stored.pop("version:0"))
    assert record == {
        "created": 1.5,
        "size": len(data),
        "chunks": 2,
        "crc": f"{crc32(data):08x}",
        "mime_type": "text/plain",
        "metadata": {"n": [1]},
    }
    expires = stored.pop("expires")
    assert stored == {"format": "1", "versions": "1", "data:0": "op%3A1"}
    assert client.hgetall(f"{head}:data:op%3A1") == {
        "0": "x" * PIECE,
        "1": "end",
        "version": "0",
    }
    assert client.get(f"{head}:saved:op%3A1") == "0"
    assert client.zrange(INDEX, 0, -1, withscores=True) == [("é.txt", float(expires))]
    assert len(client.keys("*")) == 4


# ── lifetimes ──────────────────────────────────────────────────────────────────────────────────


async def test_every_key_has_a_ttl(store: sojourn.Sojourn, client: redis.Redis) -> None:
    await save(store)
    await save(store, b"x" * 2 * PIECE)
    await store.artifacts.save(KEY, "b", b"")
    await store.artifacts.delete(KEY, "b")
    ttls = {key: client.ttl(key) for key in client.keys("*")}
    short = [key for key in ttls if ":saved:" in key or ":deleted:" in key]
    assert len(short) == 4
    for key, left in ttls.items():
        least = DAY - 60 if key in short else MONTH
        assert least <= left <= least * 1.01 + 60, key


@pytest.mark.parametrize("touch", [load, save])
async def test_a_touch_lengthens_all_keys_at_once(
    server: Server, client: redis.Redis, touch: Any
) -> None:
    async with sojourn.open(server.url, artifact_ttl=100) as store:
        for _ in range(3):
            await save(store)
    shared = {HEAD, INDEX, *data_keys(client)}
    assert {client.ttl(key) for key in shared} <= {100, 101}
    async with sojourn.open(server.url, artifact_ttl=1000) as store:
        await touch(store)
        await store.ping()
    shared |= set(data_keys(client))
    assert all(1000 <= client.ttl(key) <= 1010 for key in shared)
    assert len({client.pexpiretime(key) for key in shared}) == 1
    async with sojourn.open(server.url, artifact_ttl=10) as store:
        await touch(store)
        await store.ping()
    assert all(client.ttl(key) > 900 for key in shared)


async def test_what_only_looks_lengthens_nothing(server: Server, client: redis.Redis) -> None:
    async with sojourn.open(server.url, artifact_ttl=100) as store:
        await save(store)
    async with sojourn.open(server.url) as store:
        await store.artifacts.find(KEY, "a.bin")
        await store.artifacts.versions(KEY, "a.bin")
        await store.artifacts.names(KEY)
        await store.ping()
    assert client.ttl(HEAD) <= 101


async def test_saves_at_once_that_all_lengthen_it(server: Server, client: redis.Redis) -> None:
    async with sojourn.open(server.url, artifact_ttl=100) as store:
        for _ in range(5):
            await save(store)
    async with sojourn.open(server.url, artifact_ttl=1000) as store:
        saved = await asyncio.gather(*(save(store, b"%d" % n) for n in range(20)))
    assert sorted(saved) == list(range(5, 25))
    keys = data_keys(client)
    assert len(keys) == 25
    assert len({client.pexpiretime(key) for key in (HEAD, *keys)}) == 1


async def test_none_is_for_ever_by_name(server: Server, client: redis.Redis) -> None:
    async with sojourn.open(f"{server.url}?artifact_ttl=none") as store:
        await save(store)
        found = (await store.admin.doctor.examine()).findings
        (lifetimes,) = [each for each in found if each.check == "lifetimes"]
        assert "by choice" in lifetimes.what
    async with sojourn.open(server.url) as store:
        await save(store)
        await load(store)
        await store.ping()
        for key in (HEAD, INDEX, *data_keys(client)):
            assert client.ttl(key) == -1
        await store.artifacts.save(KEY, "b", b"")
        assert client.ttl(INDEX) == -1
        await store.artifacts.delete(KEY, "a.bin")
        assert client.ttl(INDEX) > 0
    assert all(client.ttl(key) > 0 for key in client.keys("*"))


async def test_what_has_expired_is_not_listed_and_not_there(
    server: Server, store: sojourn.Sojourn, client: redis.Redis
) -> None:
    await store.artifacts.save(KEY, "long", b"")
    async with sojourn.open(server.url, artifact_ttl=0.2) as short:
        await save(short, b"x" * PIECE * 2)
        assert await store.artifacts.names(KEY) == ["a.bin", "long"]
        async with asyncio.timeout(20):
            while await store.artifacts.names(KEY) != ["long"]:
                await asyncio.sleep(0.01)
        assert await short.artifacts.load(KEY, "a.bin") is None
        assert await short.artifacts.versions(KEY, "a.bin") == []
        assert not await short.artifacts.delete(KEY, "nothing")
    assert client.zrange(INDEX, 0, -1) == ["long"]
    assert await save(store) == 0


async def test_what_has_expired_leaves_the_index_with_the_next_save(
    server: Server, store: sojourn.Sojourn, client: redis.Redis
) -> None:
    await store.artifacts.save(KEY, "long", b"")
    async with sojourn.open(server.url, artifact_ttl=0.1) as short:
        await save(short)
        async with asyncio.timeout(20):
            while await short.artifacts.load(KEY, "a.bin"):
                await asyncio.sleep(0.2)
    assert client.zrange(INDEX, 0, -1) == ["a.bin", "long"]
    await store.artifacts.save(KEY, "new", b"")
    assert client.zrange(INDEX, 0, -1) == ["long", "new"]


# ── costs ──────────────────────────────────────────────────────────────────────────────────────


async def test_what_it_costs_in_round_trips(store: sojourn.Sojourn) -> None:
    calls: list[str] = []
    store.on_call(lambda fact: calls.append(fact.name.removeprefix("artifacts.")))

    async def cost(call: Any) -> list[str]:
        calls.clear()
        await call
        await asyncio.sleep(0)
        return list(calls)

    for data in (b"", b"x", b"x" * PIECE):
        assert await cost(save(store, data)) == ["save"]
    assert await cost(save(store, b"x" * (PIECE + 1))) == ["upload", "upload", "save"]
    assert await cost(load(store)) == ["find", "read", "read"]
    assert await cost(load(store, 2)) == ["find", "read"]
    assert await cost(store.artifacts.names(KEY)) == ["names"]
    assert await cost(store.artifacts.versions(KEY, "a.bin")) == ["versions"]
    assert await cost(store.artifacts.delete(KEY, "a.bin")) == ["delete", "delete"]
    assert await cost(store.artifacts.delete(KEY, "a.bin")) == ["delete"]


async def test_nothing_is_scanned(store: sojourn.Sojourn, client: redis.Redis) -> None:
    await save(store)
    await load(store)
    await store.artifacts.names(KEY)
    await store.artifacts.delete(KEY, "a.bin")
    used = client.info("commandstats")
    assert not [name for name in used if name in ("cmdstat_scan", "cmdstat_keys")]


@pytest.mark.parametrize("url", ["memory://", "server"])
async def test_what_is_over_the_cap_is_refused_before_anything_is_sent(
    server: Server, url: str
) -> None:
    where = server.url if url == "server" else url
    async with sojourn.open(f"{where}?max_artifact_bytes=1000") as store:
        calls: list[object] = []
        store.on_call(calls.append)
        for data, metadata in [
            (b"x" * 999, {}),
            (b"x" * 980, {"a": "x" * 20}),
            (b"", {"a": "x" * 999}),
        ]:
            with pytest.raises(TooLarge, match="max_artifact_bytes"):
                await store.artifacts.save(KEY, "a.bin", data, metadata=metadata)
        assert not calls
        assert await save(store, b"x" * 998) == 0


async def test_ten_megabytes(store: sojourn.Sojourn) -> None:
    data = bytes(range(256)) * 40_960
    assert await save(store, data) == 0
    assert await load(store) == data
