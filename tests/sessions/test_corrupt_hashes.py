"""The hashes of sessions, users and apps with bytes that Sojourn did not write."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from corruption_kit import METADATA, PAYLOADS, STATE, Bench, flipped, truncated

import sojourn
from sojourn import CorruptRecord, Event, SessionKey

NEEDED = ["incarnation", "version", "epoch", "seq", "dropped", "created", "updated"]
NEEDED += ["ttl", "expires"]
SPARE = ["bytes", "title", "status", "metadata"]

NONSENSE = [
    b"mine",
    b"",
    b"-1",
    b"1.5",
    b"1e3",
    b"0x10",
    b" 1",
    b"1_0",
    b"9" * 400,
    b"\xff",
    b"nan",
]


def damaged(value: bytes) -> list[bytes]:
    """Every byte changed, cut at every length, and bytes of other kinds."""
    return [*flipped(value), *truncated(value), *NONSENSE, value + b"\n", value * 2]


def is_json(value: bytes, kind: type = object) -> bool:
    try:
        return isinstance(json.loads(value), kind)
    except ValueError:
        return False


# ── the fields of a session ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("field", NEEDED)
async def test_a_session_without_its_own_fields_is_refused_and_kept(
    bench: Bench, field: str
) -> None:
    value = bench.client.hget(bench.head, field)
    loud: list[bytes] = []
    for each in damaged(value):
        bench.client.hset(bench.head, field, each)
        try:
            session = await bench.get()
        except CorruptRecord as error:
            loud.append(each)
            if error.key != bench.head or each not in error.raw:
                pytest.fail(f"{each!r} is not in {error!r}")
        else:  # another number, or another name
            assert session.state == {**STATE, "k": 2}
            assert not session.complete or len(session.events) == 3
    assert len(loud) > len(damaged(value)) / 5
    kept = await bench.kept()
    assert {(bench.head, field, each) for each in loud} <= kept
    bench.client.hset(bench.head, field, value)
    assert (await bench.get()).complete


async def test_a_log_that_has_lost_more_than_it_had_is_refused(bench: Bench) -> None:
    bench.client.hset(bench.head, "dropped", 4)
    with pytest.raises(CorruptRecord, match="dropped"):
        await bench.get()


async def test_a_log_of_another_length_is_incomplete(bench: Bench) -> None:
    for field, value in (("seq", 5), ("dropped", 1), ("seq", 999_999_999_999_999)):
        before = bench.client.hget(bench.head, field)
        bench.client.hset(bench.head, field, value)
        async with sojourn.open(bench.server.url) as other:
            session = await other.sessions.get(bench.key)
            assert session is not None
            assert not session.complete
        bench.client.hset(bench.head, field, before)
    assert (await bench.get()).complete


@pytest.mark.parametrize("field", NEEDED)
async def test_a_session_whose_field_is_gone_is_refused(bench: Bench, field: str) -> None:
    bench.client.hdel(bench.head, field)
    with pytest.raises(CorruptRecord, match=field):
        await bench.get()
    assert await bench.kept() == {(bench.head, field, b"")}


WRITES: dict[str, Callable[[Bench], Awaitable[Any]]] = {
    "append": lambda bench: bench.store.sessions.append(
        bench.key, Event(author="a", payload=1, state_delta={"n": 2, "user:u": 2})
    ),
    "update": lambda bench: bench.store.sessions.update(bench.key, title="T"),
    "touch": lambda bench: bench.store.sessions.touch(bench.key),
    "create": lambda bench: bench.store.sessions.create(*bench.key, operation_id="other"),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("field", NEEDED)
async def test_a_write_to_a_damaged_session_is_refused_or_done(
    bench: Bench, field: str, write: str
) -> None:
    value = bench.client.hget(bench.head, field)
    whole = stored(bench)
    for each in [*damaged(value), None]:
        for key, dump in whole.items():
            bench.client.restore(key, 100_000, dump, replace=True)
        if each is None:
            bench.client.hdel(bench.head, field)
        else:
            bench.client.hset(bench.head, field, each)
        before = stored(bench)
        with contextlib.suppress(sojourn.SessionExists):
            try:
                await WRITES[write](bench)
            except CorruptRecord:
                assert stored(bench) == before, each


def stored(bench: Bench) -> dict[bytes, bytes]:
    """All that is stored of the app."""
    return {key: bench.client.dump(key) for key in bench.client.keys(f"*{bench.key.app}*")}


async def test_writes_are_refused_by_what_they_need(bench: Bench) -> None:
    for field in ("incarnation", "version", "ttl"):
        value = bench.client.hget(bench.head, field)
        bench.client.hdel(bench.head, field)
        for write in ("append", "update", "touch"):
            with pytest.raises(CorruptRecord):
                await WRITES[write](bench)
        bench.client.hset(bench.head, field, value)


async def test_a_damaged_session_can_be_deleted_and_is_not_replaced(bench: Bench) -> None:
    bench.client.hdel(bench.head, "incarnation")
    with pytest.raises(CorruptRecord):
        await bench.store.sessions.create(*bench.key)
    assert not await bench.store.sessions.delete(bench.key, incarnation="another")
    assert bench.client.exists(bench.head, bench.events) == 2
    assert await bench.store.sessions.delete(bench.key)
    assert bench.client.exists(bench.head, bench.events, bench.ops) == 0
    assert not await bench.store.sessions.delete(bench.key)


@pytest.mark.parametrize("field", SPARE)
async def test_a_session_is_served_without_fields_that_it_can_do_without(
    cold: Bench, field: str
) -> None:
    value = cold.client.hget(cold.head, field)
    lost: list[bytes] = []
    for each in damaged(value):
        cold.client.hset(cold.head, field, each)
        session = await cold.get()
        assert [event.payload for event in session.events] == PAYLOADS
        assert session.state == {**STATE, "k": 2}
        if not session.complete:
            lost.append(each)
            metadata = {} if field == "metadata" else METADATA
            title = "" if field == "title" else "Tea"
            assert (session.metadata, session.title) == (metadata, title)
            assert session.status == "active"
    assert b"\xff" in lost
    assert await cold.kept() == {(cold.head, field, each) for each in lost}


async def test_the_size_of_a_state_is_counted_again_when_it_cannot_be_read(bench: Bench) -> None:
    sizes = [bench.client.hget(key, "bytes") for key in (bench.head, bench.user, bench.app)]
    for nonsense in (b"mine", None):
        for key in (bench.head, bench.user, bench.app):
            if nonsense is None:
                bench.client.hdel(key, "bytes")
            else:
                bench.client.hset(key, "bytes", nonsense)
        delta = {"n": STATE["n"], "user:u": STATE["user:u"], "app:a": STATE["app:a"]}
        await bench.store.sessions.append(
            bench.key, Event(author="a", payload=1, state_delta=delta)
        )
        after = [bench.client.hget(key, "bytes") for key in (bench.head, bench.user, bench.app)]
        assert after == sizes
        assert (await bench.get()).complete


# ── state ──────────────────────────────────────────────────────────────────────────────────────

SCOPES = {"n": ("head", "n"), "user:u": ("user", "u"), "app:a": ("app", "a")}


@pytest.mark.parametrize("name", SCOPES)
async def test_a_state_value_that_is_not_json_is_left_out_and_kept(bench: Bench, name: str) -> None:
    place, field = SCOPES[name]
    key, field = getattr(bench, place), f"state:{field}"
    value = bench.client.hget(key, field)
    lost: list[bytes] = []
    for each in damaged(value):
        bench.client.hset(key, field, each)
        session = await bench.get()
        assert len(session.events) == 3
        rest = {**STATE, "k": 2}
        del rest[name]
        assert {key: session.state[key] for key in rest} == rest
        assert session.complete == (name in session.state)
        if name in session.state:
            assert is_json(each)
        else:
            lost.append(each)
    assert len(lost) > len(damaged(value)) / 3
    assert await bench.kept() == {(key, field, each) for each in lost}
    bench.client.hset(key, field, value)
    assert (await bench.get()).complete


async def test_a_damaged_value_is_mended_by_the_next_write(bench: Bench) -> None:
    bench.client.hset(bench.head, "state:n", "mine")
    assert not (await bench.get()).complete
    event = Event(author="a", payload=1, state_delta={"n": 5})
    await bench.store.sessions.append(bench.key, event)
    session = await bench.get()
    assert session.complete
    assert session.state["n"] == 5


async def test_a_name_of_a_state_key_that_is_not_utf8_is_left_out(bench: Bench) -> None:
    for key in (bench.head, bench.user, bench.app):
        bench.client.hset(key, b"state:\xff", "1")
    session = await bench.get()
    assert (session.state, session.complete) == ({**STATE, "k": 2}, False)
    assert {field for _, field, _ in await bench.kept()} == {"state:\\xff"}


async def test_every_way_to_state_leaves_out_what_cannot_be_read(bench: Bench) -> None:
    for key, field in ((bench.head, "n"), (bench.user, "u"), (bench.app, "a")):
        bench.client.hset(key, f"state:{field}", "{")
    app, user, _ = bench.key
    rest = {"title": "T", "user:v": 2, "app:b": None, "k": 2}
    read = [await bench.get(), *(await bench.store.sessions.list(app, user)).sessions]
    read += (await bench.store.sessions.list(app)).sessions
    assert [(each.state, each.complete) for each in read] == [(rest, False)] * 3
    made = await bench.store.sessions.create(app, user)
    assert (made.state, made.complete) == ({"user:v": 2, "app:b": None}, False)
    assert await bench.store.sessions.user_state(app, user) == {"v": 2}
    assert len(await bench.quarantined()) == 3


async def test_stamps_that_cannot_be_read_do_not_keep_an_app_from_its_state(bench: Bench) -> None:
    for stamp in ("mine", "", ":", "1:", "x:y", "9" * 400, "\xff"):
        bench.client.hset(bench.app, "at:a", stamp)
        event = Event(author="a", payload=1, state_delta={"app:a": stamp})
        await bench.store.sessions.append(bench.key, event)
        assert (await bench.get()).state["app:a"] == stamp, stamp


# ── lists ──────────────────────────────────────────────────────────────────────────────────────


async def test_lists_serve_the_other_sessions_and_name_the_damaged(bench: Bench) -> None:
    app, user, _ = bench.key
    for n in range(4):
        await bench.store.sessions.create(app, user, f"t{n}")
        await bench.store.sessions.create(app, "bob", f"b{n}")
    bench.client.hset(bench.head, "seq", "mine")
    bench.client.hdel(f"session:{{{app}:bob}}:b1", "incarnation")

    async def walk(owner: str | None, limit: int) -> tuple[set[str], set[SessionKey]]:
        seen: set[str] = set()
        corrupt: set[SessionKey] = set()
        cursor = None
        while True:
            page = await bench.store.sessions.list(app, owner, limit=limit, cursor=cursor)
            seen |= {session.key.session for session in page.sessions}
            corrupt |= set(page.corrupt)
            cursor = page.cursor
            if cursor is None:
                return seen, corrupt

    bobs = SessionKey.of(app, "bob", "b1")
    for limit in (1, 3, 100):
        mine, others = {"t0", "t1", "t2", "t3"}, {"b0", "b2", "b3"}
        assert await walk(user, limit) == (mine, {bench.key})
        assert await walk("bob", limit) == (others, {bobs})
        assert await walk(None, limit) == (mine | others, {bench.key, bobs})
    assert await bench.kept() == {(bench.head, "seq", b"mine")}
    assert [each.field for each in await bench.store.admin.quarantined(app, "bob")] == [
        "incarnation"
    ]


NAMES = [b"\xff\xfe", b"", b"x" * 600]
"""What no id can be."""


async def test_names_in_indexes_that_are_no_ids_are_passed_over(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    app, user, _ = bench.key
    bench.client.zadd(bench.index, dict.fromkeys(NAMES, 5.0))
    users = [key for key in bench.client.keys(f"users:{{{app}#*") if bench.client.zcard(key)]
    bench.client.zadd(users[0], dict.fromkeys([b"\xff", b"x" * 600], 5.0))
    for limit in (1, 2, 100):
        page = await bench.store.sessions.list(app, user, limit=limit)
        assert [session.key for session in page.sessions] == [bench.key]
        assert [s.key for s in (await bench.store.sessions.list(app)).sessions] == [bench.key]
        assert (await bench.store.admin.users(app, limit=limit)).names == [user]
    assert await bench.kept() == {
        (bench.index, name.decode(errors="backslashreplace"), name) for name in NAMES
    }
    assert bench.store.stats().corrupt == 5


async def test_names_of_apps_that_are_no_ids_are_passed_over(server: Any, tmp_path: object) -> None:
    async with sojourn.open(server.url) as store:
        await store.sessions.create("shop", "ada")
        with server.client() as client:
            client.zadd("apps", {b"\xff": 1, b"": 2, b"x" * 600: 3})
        assert (await store.admin.apps(limit=1)).names == ["shop"]


# ── deltas of app state on their way ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "entry",
    [
        *(b"mine", b"", b"{}", b"[]", b"\xff", b'{"stamp":1}', b'{"stamp":1,"delta":[]}'),
        *(b'{"stamp":"1","delta":{}}', b'{"stamp":-1,"delta":{}}', b'{"stamp":1.5,"delta":{}}'),
        *(b'{"stamp":1,"delta":{"x":1}}', b'{"stamp":1,"delta":{"x":"{"}}'),
    ],
)
async def test_a_delta_that_cannot_be_read_is_kept_and_blocks_no_other(
    bench: Bench, entry: bytes
) -> None:
    good = b'{"stamp":9999999999999999,"delta":{"late":"1"}}'
    bench.client.hset(bench.outbox, mapping={b"a": entry, b"b": good, b"\xff": good})
    session = await bench.get()
    assert not session.complete
    assert session.state["app:late"] == 1
    assert await bench.kept() == {(bench.outbox, "a", entry), (bench.outbox, "\\xff", good)}
    assert bench.client.exists(bench.outbox) == 0
    assert (await bench.get()).complete


async def test_a_write_meets_a_delta_that_cannot_be_read(bench: Bench) -> None:
    bench.client.hset(bench.outbox, "a", "mine")
    await bench.store.sessions.create(bench.key.app, "ada")
    assert await bench.kept() == {(bench.outbox, "a", b"mine")}
    assert bench.client.exists(bench.outbox) == 0
