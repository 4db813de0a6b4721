"""What is there already, what cannot be read, and how little memory it takes."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path

import pytest
from transfer_kit import LONG, lines_of, picture, said

import sojourn
from sojourn import SessionKey, Sojourn, UserKey, transfer
from sojourn.transfer.lines import UnreadableLine

MiB = 1024 * 1024
ONE = SessionKey.of("shop", "ada", "s2")


async def _change(store: Sojourn) -> None:
    """Something else in the place of one thing of each kind."""
    await store.sessions.append(ONE, said(9))
    await store.sessions.append(LONG, said(9))
    other = sojourn.Event(author="user", payload=1, state_delta={"user:name": 2, "app:n": 2})
    await store.sessions.append(SessionKey.of("shop", "bob", "s0"), other)
    await store.memory.user("ada", app="shop").put("one", "else")
    await store.artifacts.save(UserKey.of("shop", "ada"), "f.txt", b"more")
    await store.cache.put("c", "else", tenant="x")


CHANGED = 8
"""Things that this changes: three sessions, two states, a memory, an artifact, a cached value."""


async def test_what_is_something_else_stays_and_is_named(store: Sojourn, archive: Path):
    await transfer.import_(store, archive)
    await _change(store)
    named: list[str] = []
    done = await transfer.import_(store, archive, told=named.append)
    assert (done.conflicts, done.counts) == (CHANGED, transfer.Counts())
    assert len(named) == CHANGED
    assert any("'long'" in each for each in named)
    found = await store.sessions.get(LONG, last=1)
    assert found is not None
    assert found.length == 1301


async def test_what_is_something_else_is_replaced_where_that_is_asked(
    source: Sojourn, store: Sojourn, archive: Path
):
    await transfer.import_(store, archive)
    await _change(store)
    done = await transfer.import_(store, archive, existing="replace")
    assert done.conflicts == CHANGED
    assert (done.counts.sessions, done.counts.states, done.counts.memories) == (3, 2, 1)
    now, then = await picture(store), await picture(source)
    assert {each: now[each] for each in now if each != "order"} | {"order": []} == then | {
        "order": [],
        **{each: now[each] for each in now if each.startswith(("memory user ada", "state"))},
    }
    assert [
        entry.value for entry in (await store.memory.user("ada", app="shop").list()).entries
    ] == [
        {"v": ["blue"]},
        3,
    ]


async def test_what_is_something_else_ends_an_import_that_is_to_fail(store: Sojourn, archive: Path):
    await store.sessions.create(*ONE)
    with pytest.raises(sojourn.Conflict, match="'s2'"):
        await transfer.import_(store, archive, existing="fail")
    found = await store.sessions.get(ONE)
    assert found is not None
    assert found.length == 0


async def test_an_equal_session_of_another_making_is_the_same(
    store: Sojourn, archive: Path, tmp_path: Path
):
    await transfer.import_(store, archive)
    await transfer.export(store, tmp_path / "again", cache=True)
    async with sojourn.open("memory://") as other:
        await transfer.import_(other, archive)
        done = await transfer.import_(other, tmp_path / "again")
    assert (done.counts, done.conflicts) == (transfer.Counts(), 0)


async def test_a_session_that_is_deleted_and_imported_again_is_a_new_one(
    store: Sojourn, archive: Path
):
    await transfer.import_(store, archive)
    first = await store.sessions.get(ONE)
    assert first is not None
    await store.sessions.delete(ONE)
    assert (await transfer.import_(store, archive)).counts.sessions == 1
    with pytest.raises(sojourn.SessionNotFound):
        await store.sessions.append(ONE, said(1), incarnation=first.incarnation)


async def test_a_user_gets_no_more_sessions_than_one_may_have(archive: Path, target):
    async with sojourn.open(target.url, max_sessions=2) as store:
        with pytest.raises(sojourn.TooManySessions):
            await transfer.import_(store, archive)


async def test_what_cannot_be_read_is_named_and_the_rest_exported(
    store: Sojourn, archive: Path, target, tmp_path: Path
):
    await transfer.import_(store, archive)
    client = target.client()
    client.lset("session:{shop:ada}:long:events", 600, "damaged")
    client.hset("session:{shop:ada}:s2", "state:a", "{no")
    client.hset("session:{shop:ada}:s3", "version", "x")
    client.delete("session:{shop:bob}:s4:events")
    client.delete("sessions:{shop:}")
    client.set("sessions:{shop:}", "foreign")
    client.hset("state:{shop:bob}", "state:name", "{no")
    client.hset("memory:{shop:user:ada}:entry:one", "value", "{no")
    data = next(key for key in client.scan_iter("artifact:*f.txt:data:*") if client.hlen(key) > 2)
    client.hset(data, "1", b"x" * 512 * 1024)
    named: list[str] = []
    path = tmp_path / "again"
    done = await transfer.export(store, path, told=named.append)
    assert done.counts.unreadable == len(named) == 8
    whats = [line.what for line in lines_of(path) if isinstance(line, UnreadableLine)]
    for what in ("event 608", "'a'", "'s3'", "4 events are missing", "sessions:{shop:}"):
        assert any(what in each for each in whats), what
    for what in ("state of user 'bob'", "memory 'one'", "'f.txt'"):
        assert any(what in each for each in whats), what
    async with sojourn.open("memory://") as other:
        read = await transfer.import_(other, path)
        assert read.counts.unreadable == 8
        found = await other.sessions.get(LONG)
        assert found is not None
        assert not found.complete
        assert [event.seq for event in found.events] == [n for n in range(8, 1301) if n != 608]
        short = await other.sessions.get(SessionKey.of("shop", "bob", "s4"))
        assert short is not None
        assert (short.events, short.length, short.complete) == ([], 4, True)
        assert await other.sessions.get(SessionKey.of("shop", "ada", "s3")) is None
        assert await other.artifacts.names(UserKey.of("shop", "ada")) == []


async def test_a_change_of_app_state_that_waits_in_an_outbox_is_exported(
    store: Sojourn, target, tmp_path: Path
):
    await store.sessions.create("shop", "ada", "s", state={"app:k": 1})
    entry = '{"stamp":9999999999999999,"delta":{"k":"2"}}'
    target.client().hset("outbox:{shop:ada}", "dead", entry)
    await transfer.export(store, tmp_path / "archive")
    async with sojourn.open("memory://") as other:
        await transfer.import_(other, tmp_path / "archive")
        found = await other.sessions.get(SessionKey.of("shop", "ada", "s"))
    assert found is not None
    assert found.state == {"app:k": 2}


async def test_a_row_with_line_breaks_comes_back_as_it_was(store: Sojourn, target, tmp_path: Path):
    made = await store.sessions.create("shop", "ada", "s")
    pretty = sojourn.codecs.json.msgspec.Raw(b'{\n  "a": [1,\r\n 2]}')
    await store.sessions.append(made.key, sojourn.Event(author="user", payload=pretty))
    target.client().hset("session:{shop:ada}:s", "state:k", '{\n"a": 1\n}')
    rows = target.client().lrange("session:{shop:ada}:s:events", 0, -1)
    assert "\n" in rows[0]
    await transfer.export(store, tmp_path / "archive")
    await store.sessions.delete(made.key)
    await transfer.import_(store, tmp_path / "archive")
    assert target.client().lrange("session:{shop:ada}:s:events", 0, -1) == rows
    found = await store.sessions.get(made.key)
    assert found is not None
    assert found.state == {"k": {"a": 1}}


async def _peak(work) -> int:
    tracemalloc.start()
    await work
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


async def test_memory_stays_the_same_however_long_a_log_is(target, tmp_path: Path):
    key = SessionKey.of("shop", "ada", "huge")
    async with sojourn.open(target.url, near_cache_bytes=0) as store:
        await store.sessions.create(*key)
        peaks = []
        for number, many in enumerate((5_000, 50_000)):
            there = 0 if not number else 5_000
            for start in range(there, many, 500):
                await store.sessions.append(
                    key, *(said(n, "x" * 300) for n in range(start, start + 500))
                )
            path = tmp_path / str(many)
            out = await _peak(transfer.export(store, path))
            if number:
                await store.sessions.delete(key)
            back = await _peak(transfer.import_(store, path))
            peaks.append((out, back))
        assert path.stat().st_size > 20 * MiB
        found = await store.sessions.get(key, last=2)
        assert found is not None
        assert [event.seq for event in found.events] == [49_999, 50_000]
    (out, back), (long_out, long_back) = peaks
    assert long_out < out + 2 * MiB
    assert long_back < back + 2 * MiB
    assert max(long_out, long_back) < 16 * MiB


async def test_sessions_of_users_and_apps_are_found_while_others_write(
    store: Sojourn, archive: Path, tmp_path: Path
):
    await transfer.import_(store, archive)
    stop = asyncio.Event()

    async def busy() -> None:
        while not stop.is_set():
            for number in range(5):
                key = SessionKey.of("shop", "bob", f"s{number}")
                await store.sessions.append(key, said(1))

    task = asyncio.create_task(busy())
    try:
        done = await transfer.export(store, tmp_path / "busy")
    finally:
        stop.set()
        await task
    assert done.counts.sessions == 22
    await transfer.verify(tmp_path / "busy")
