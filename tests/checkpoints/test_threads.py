"""Threads on every topology: lists, lifetimes, copies, erasure, archives, and what is damaged."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

import sojourn
from checkpoints.stored_threads import check
from servers import Server
from sojourn import Conflict, CorruptRecord, InvalidInput, NewerFormat, TooLarge, transfer
from sojourn.checkpoints import Branch, Leaf, PendingWrite, ThreadKey


@pytest.fixture
async def store(url: str) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(url, namespace="th") as store:
        yield store


@pytest.fixture
async def real(shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(shared_server.url, namespace="th") as store:
        yield store


def key(thread: str = "t", user: str | None = None) -> ThreadKey:
    return ThreadKey.of("shop", user or secrets.token_hex(6), thread)


def value(text: str) -> Leaf:
    return Leaf(b'"%b"' % (text * 40).encode())


async def put(store: sojourn.Sojourn, where: ThreadKey, number: int, **options: Any) -> None:
    made = Branch([value(f"v{n}") for n in range(number)] or [value("none")])
    options.setdefault("parent", f"{number - 1:02}" if number > 1 else "")
    await store.threads.put(
        *(where, f"{number:02}"),
        data={"n": number},
        values={"list": partial(lambda given: given, made)},
        title=f"title {number}",
        **options,
    )


async def test_a_thread_comes_back_and_is_listed(store: sojourn.Sojourn) -> None:
    where = key()
    for number in range(1, 12):
        await put(store, where, number)
    write = PendingWrite(task="a", index=0, channel="c", value=value("w"))
    await store.threads.put_writes(where, "11", "a", [write])
    found = await store.threads.get(where)
    assert found is not None
    assert found.values["list"] == Branch([value(f"v{n}") for n in range(11)])
    assert (found.place.id, found.parent, found.data) == ("11", "10", {"n": 11})
    assert found.writes == [write]
    for number in range(3):
        await put(store, key(f"t{number}", where.user), 1)
    first = await store.threads.list("shop", where.user, limit=3)
    rest = await store.threads.list("shop", where.user, limit=3, cursor=first.cursor)
    names = [each.thread for each in (*first.threads, *rest.threads)]
    assert names == ["t2", "t1", "t0", "t"]
    assert rest.threads[0].title == "title 1"
    assert (rest.threads[0].checkpoints, rest.cursor) == (11, None)


async def test_a_copy_is_whole_and_overwrites_nothing(store: sojourn.Sojourn) -> None:
    where, there = key(), key("copy")
    for number in range(1, 6):
        await put(store, where, number)
    assert await store.threads.copy(where, there) == 5
    places = await store.threads.places(where)
    assert await store.threads.read(there, places) == await store.threads.read(where, places)
    with pytest.raises(Conflict):
        await store.threads.copy(where, there)


async def test_erasure_leaves_nothing_of_a_user(
    real: sojourn.Sojourn, shared_server: Server
) -> None:
    where, other = key(), key()
    for each in (where, other):
        await put(real, each, 3)
        await real.threads.register(each, scope="shop", by_owner=True, run="run 1")
    erased = await real.admin.forget(where.user)
    assert erased.erased["threads"] == 1
    assert await real.threads.get(where) is None
    assert await real.threads.get(other) is not None
    with shared_server.client() as client:
        left = [name for name in client.scan_iter("th:thread*") if where.user in name]
        indexes = [*client.scan_iter("th:threadindex*"), *client.scan_iter("th:threadr*")]
        members = [each for name in indexes for each in client.zrange(name, 0, -1)]
        assert left == []
        assert [each for each in members if where.user in each] == []
        assert [each for each in members if other.user in each] != []


async def test_an_archive_brings_threads_along(real: sojourn.Sojourn, tmp_path: Path) -> None:
    where = key()
    for number in range(1, 5):
        await put(real, where, number)
    waits = PendingWrite(
        task="a", index=-3, channel="c", value=Leaf(b"\xff", "msgpack"), waits=True
    )
    await real.threads.put_writes(where, "04", "a", [waits])
    await transfer.export(real, tmp_path / "archive", app="shop", user=where.user)
    async with sojourn.open("memory://") as other:
        await transfer.import_(other, tmp_path / "archive")
        places = await real.threads.places(where)
        assert await other.threads.read(where, places) == await real.threads.read(where, places)
        await transfer.import_(other, tmp_path / "archive")
    before = await real.threads.list("shop", where.user)
    assert await real.threads.delete(where)
    await transfer.import_(real, tmp_path / "archive")
    (after,) = (await real.threads.list("shop", where.user)).threads
    (was,) = before.threads
    assert after.expires == pytest.approx(was.expires, abs=0.1)
    assert (after.title, after.checkpoints) == (was.title, was.checkpoints)
    assert (after.created, after.updated) == (was.created, was.updated)


async def test_what_others_use_stays_and_the_rest_goes(
    real: sojourn.Sojourn, shared_server: Server
) -> None:
    where, namespace = key(), f"n{secrets.token_hex(6)}"
    async with sojourn.open(shared_server.url, namespace=namespace) as store:
        for number in range(1, 10):
            await put(store, where, number)
        places = await store.threads.places(where)
        with redis.Redis.from_url(shared_server.url) as client:
            for gone in (places[0:2], places[5:6], places[3:4], places[7:9]):
                await store.threads.remove(where, gone)
                check(client, namespace)
                left = await store.threads.places(where)
                assert len(await store.threads.read(where, left)) == len(left)
            for number in (9, 2, 5):
                await put(store, where, number)  # some of these are replaced
                check(client, namespace)


async def test_lifetimes_are_set_with_the_data(
    real: sojourn.Sojourn, shared_server: Server
) -> None:
    where = key()
    await put(real, where, 1, ttl=50)
    with shared_server.client() as client:
        names = [name for name in client.scan_iter("th:thread:*") if where.user in name]
        assert len(names) == 4  # no writes, and no value is used twice
        assert {round(client.ttl(name)) for name in names} <= {50, 51}
        await put(real, where, 2, ttl=None)
        assert {client.ttl(name) for name in names} == {-1}
        await put(real, where, 3, ttl=5)
        assert {client.ttl(name) for name in names} == {-1}


async def test_what_was_deleted_is_not_revived_by_a_late_write(store: sojourn.Sojourn) -> None:
    where = key()
    await put(store, where, 1, operation_id="late")
    assert await store.threads.delete(where, operation_id="gone")
    await put(store, where, 1, operation_id="late")
    assert await store.threads.get(where) is None
    await put(store, where, 2, operation_id="new")
    assert await store.threads.delete(where, operation_id="gone")
    assert await store.threads.get(where) is not None


async def test_a_server_that_lost_values_gets_them_again(
    real: sojourn.Sojourn, shared_server: Server
) -> None:
    where = key()
    await put(real, where, 6)
    stem = f"th:thread:{{shop:{where.user}}}:t"
    with shared_server.client() as client:
        client.delete(f"{stem}:values", f"{stem}:refs")
        with pytest.raises(CorruptRecord):
            await real.threads.get(where)
        await put(real, where, 7)
        found = await real.threads.get(where)
        assert found is not None
        assert len(found.values["list"].children) == 7  # type: ignore[union-attr]
        client.delete(stem)
        for call in (real.threads.get(where), put(real, where, 8)):
            with pytest.raises(CorruptRecord, match="lost"):
                await call
        assert await real.threads.delete(where)
        await put(real, where, 8)


async def test_damage_is_loud(real: sojourn.Sojourn, shared_server: Server) -> None:
    where = key()
    await put(real, where, 2)
    stem = f"th:thread:{{shop:{where.user}}}:t"
    with shared_server.client() as client:
        for part in ("values", "checkpoints"):
            for name, before in client.hgetall(f"{stem}:{part}").items():
                client.hset(f"{stem}:{part}", name, before[:-1] + "x")
                with pytest.raises(CorruptRecord):
                    await real.threads.get(where)
                client.hset(f"{stem}:{part}", name, before)
        client.hset(stem, "format", "2")
        for call in (real.threads.get(where), put(real, where, 3)):
            with pytest.raises(NewerFormat):
                await call
        page = await real.threads.list("shop", where.user)
        assert page.threads[0].newer
        client.hset(stem, "format", "1")
    assert await real.threads.get(where) is not None


async def test_what_is_too_large_or_wrong_is_not_sent(store: sojourn.Sojourn, url: str) -> None:
    async with sojourn.open(url, max_event_bytes=1000) as small:
        with pytest.raises(TooLarge):
            await small.threads.put(key(), "1", values={"a": lambda: Leaf(b'"%b"' % (b"x" * 1000))})
    for wrong in ({"keep": 0}, {"ttl": 0}, {"checkpoint": ""}, {"data": {"x": float("nan")}}):
        with pytest.raises(InvalidInput):
            await store.threads.put(key(), **{"checkpoint": "1", **wrong})  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        await store.threads.list("shop", "ada", cursor="?")
