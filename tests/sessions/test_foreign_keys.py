"""Keys of another type in place of ours: left alone, kept, and whatever can be served is served."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from corruption_kit import METADATA, PAYLOADS, STATE, Bench

import sojourn
from sojourn import CorruptRecord, Event, SessionKey, UserKey

KINDS: dict[str, tuple[Any, ...]] = {
    "string": ("SET", b"mine \xff\x00"),
    "list": ("RPUSH", "mine"),
    "hash": ("HSET", "mine", "1"),
    "set": ("SADD", "mine"),
    "zset": ("ZADD", "1", "mine"),
    "stream": ("XADD", "1-1", "mine", "1"),
}
OURS = {
    "head": "hash",
    "events": "list",
    "ops": "zset",
    "user": "hash",
    "app": "hash",
    "outbox": "hash",
    "index": "zset",
    "quarantine": "hash",
}
SERVED = ["events", "user", "app", "outbox"]
"""Keys without which the rest is served."""


def put(bench: Bench, key: str, kind: str) -> bytes:
    """Put a key of another type in place of ours; returns the bytes to find in the quarantine."""
    command, *values = KINDS[kind]
    bench.client.delete(key)
    bench.client.execute_command(command, key, *values)
    return bench.client.get(key) if kind == "string" else bench.client.dump(key)


@pytest.mark.parametrize(
    ("place", "kind"),
    [(place, kind) for place in SERVED for kind in KINDS if kind != OURS[place]],
)
async def test_a_read_serves_what_does_not_stand_there(bench: Bench, place: str, kind: str) -> None:
    key = getattr(bench, place)
    raw = put(bench, key, kind)
    lost = {"user": "user:", "app": "app:"}.get(place, "none")
    state = {name: value for name, value in {**STATE, "k": 2}.items() if not name.startswith(lost)}
    for _ in range(3):
        for last in (None, 2, 0):
            session = await bench.get(last=last)
            payloads = [] if place == "events" else PAYLOADS[len(PAYLOADS) - (last or 0) :]
            if last is None and place != "events":
                payloads = PAYLOADS
            assert [event.payload for event in session.events] == payloads
            assert (session.state, session.metadata) == (state, METADATA)
            assert session.complete == (place == "events" and last == 0)
    (kept,) = await bench.quarantined()
    assert (kept.key, kept.field, kept.raw) == (key, "", raw)
    assert kind in kept.reason
    assert bench.store.stats().corrupt == 1
    bench.client.delete(key)
    assert (await bench.get(last=0)).complete


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "hash"])
async def test_a_session_of_another_type_is_refused(bench: Bench, kind: str) -> None:
    raw = put(bench, bench.head, kind)
    for _ in range(2):
        with pytest.raises(CorruptRecord) as caught:
            await bench.get()
        assert (caught.value.key, caught.value.raw) == (bench.head, raw)
    assert await bench.kept() == {(bench.head, "", raw)}
    page = await bench.store.sessions.list(bench.key.app)
    assert (page.sessions, page.corrupt) == ([], [bench.key])


DELTA = {"n": 2, "user:u": 2}
WRITES: dict[str, Callable[[Bench], Awaitable[Any]]] = {
    "append": lambda bench: bench.store.sessions.append(
        bench.key, Event(author="a", payload=1, state_delta=DELTA)
    ),
    "update": lambda bench: bench.store.sessions.update(bench.key, title="T"),
    "touch": lambda bench: bench.store.sessions.touch(bench.key),
    "delete": lambda bench: bench.store.sessions.delete(bench.key),
    "create": lambda bench: bench.store.sessions.create(*bench.key, state=DELTA),
}
MEETS = {
    "head": {"append", "update", "touch", "delete", "create"},
    "events": {"append", "update", "touch", "delete", "create"},
    "ops": {"append", "update", "touch", "delete", "create"},
    "index": {"append", "update", "touch", "delete", "create"},
    "user": {"append", "create"},
    "outbox": {"create"},
}
"""Writes that touch a key, and so must not start when it is of another type."""


@pytest.mark.parametrize("kind", ["string", "set"])
@pytest.mark.parametrize("place", OURS)
@pytest.mark.parametrize("write", WRITES)
async def test_a_write_is_refused_before_it_starts(
    bench: Bench, write: str, place: str, kind: str
) -> None:
    key = getattr(bench, place)
    put(bench, key, kind)
    if write == "create" and place != "head":
        bench.client.delete(bench.head)

    def stored() -> dict[bytes, bytes]:
        return {key: bench.client.dump(key) for key in bench.client.keys(f"*{bench.key.app}*")}

    before = stored()
    if write in MEETS.get(place, set()):
        with pytest.raises(CorruptRecord):
            await WRITES[write](bench)
        assert stored() == before
    else:
        await WRITES[write](bench)
        assert stored()[key.encode()] == before[key.encode()]


async def test_a_longer_life_is_not_given_where_it_cannot_be_written(bench: Bench) -> None:
    put(bench, f"{bench.index}:expiry", "string")
    bench.client.hset(bench.head, "expires", 1)
    before = {key: bench.client.dump(key) for key in bench.client.keys(f"*{bench.key.app}*")}
    with pytest.raises(CorruptRecord):
        await WRITES["append"](bench)
    assert before == {key: bench.client.dump(key) for key in before}


async def test_a_delta_for_an_app_of_another_type_waits_until_it_is_gone(bench: Bench) -> None:
    put(bench, bench.app, "string")
    event = Event(author="a", payload="new", state_delta={"app:late": 1})
    await bench.store.sessions.append(bench.key, event)
    assert {key for key, _, _ in await bench.kept()} == {bench.app}
    for _ in range(2):
        session = await bench.get()
        assert [each.payload for each in session.events] == [*PAYLOADS, "new"]
        assert session.state["app:late"] == 1
        assert not session.complete
    assert bench.client.hlen(bench.outbox) == 1
    bench.client.delete(bench.app)
    session = await bench.get()
    assert session.state["app:late"] == 1
    assert session.complete


async def test_state_of_a_user_of_another_type_is_never_empty(bench: Bench) -> None:
    put(bench, bench.user, "list")
    with pytest.raises(CorruptRecord):
        await bench.store.sessions.user_state(bench.key.app, bench.key.user)
    put(bench, bench.app, "list")
    bench.client.delete(bench.user)
    assert await bench.store.sessions.user_state(bench.key.app, bench.key.user) == {}


async def test_an_index_of_another_type_is_refused_by_name(bench: Bench) -> None:
    raw = put(bench, bench.index, "string")
    with pytest.raises(CorruptRecord) as caught:
        await bench.store.sessions.list(bench.key.app, bench.key.user)
    assert caught.value.key == bench.index
    assert await bench.kept() == {(bench.index, "", raw)}
    assert (await bench.get()).complete


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_a_list_of_an_app_goes_on_behind_an_index_of_another_type(
    bench: Bench, limit: int
) -> None:
    app = bench.key.app
    raw = put(bench, bench.index, "string")
    others = {(await bench.store.sessions.create(app, f"u{n}")).key for n in range(5)}
    found, users, cursor = set[SessionKey](), list[UserKey](), None
    while True:
        page = await bench.store.sessions.list(app, limit=limit, cursor=cursor)
        found |= {session.key for session in page.sessions}
        users += page.corrupt_users
        assert page.corrupt == []
        if (cursor := page.cursor) is None:
            break
    assert found == others
    assert users == [bench.key.owner]
    assert await bench.kept() == {(bench.index, "", raw)}


async def test_a_create_finds_shared_state_of_another_type(bench: Bench) -> None:
    for key in (bench.user, bench.app):
        put(bench, key, "list")
    made = await bench.store.sessions.create(bench.key.app, bench.key.user, state={"n": 1})
    assert (made.state, made.complete) == ({"n": 1}, False)
    assert {key for key, _, _ in await bench.kept()} == {bench.user, bench.app}


async def test_keys_of_another_type_get_no_lifetime_from_us(bench: Bench) -> None:
    for key in (bench.user, bench.app):
        put(bench, key, "string")
        bench.client.expire(key, 100)
    async with sojourn.open(bench.server.url) as other:  # refreshes what users share
        await other.sessions.get(bench.key)
    assert 0 < bench.client.ttl(bench.user) <= 100
    assert 0 < bench.client.ttl(bench.app) <= 100


async def test_a_key_of_another_type_that_is_too_large_is_told_and_not_copied(bench: Bench) -> None:
    bench.client.delete(bench.events)
    bench.client.sadd(bench.events, *(f"{n}" + "x" * 100_000 for n in range(100)))
    assert not (await bench.get()).complete
    (kept,) = await bench.quarantined()
    assert (kept.raw, kept.field) == (b"", "")
    assert "too large" in kept.reason
