"""Sessions as another version of Sojourn may have written them."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any
from zlib import crc32

import pytest
from corruption_kit import PAYLOADS, STATE, Bench, sealed
from msgspec.structs import replace

import sojourn
from sojourn import Event, NewerFormat
from sojourn.codecs import growth
from sojourn.codecs.growth import encoded

ALL = {**STATE, "k": 2}
OTHER = b"\x00not text\xff"


def said(payload: object, /, **delta: Any) -> Event:
    return Event(author="a", payload=payload, state_delta=delta)


# ── what is not known ──────────────────────────────────────────────────────────────────────────

CHANGES: dict[str, Callable[[Bench], Awaitable[Any]]] = {
    "append": lambda b: b.store.sessions.append(
        b.key, said(9, **{"n": 3, "user:u": 4, "app:a": 5})
    ),
    "update": lambda b: b.store.sessions.update(b.key, title="T", metadata={"a": 1}, ttl=99.0),
    "save": lambda b: b.store.sessions.save(b.key, events=[said(1)], state={"x": 1}),
    "trim": lambda b: b.store.sessions.trim(b.key, drop=1, keep=1),
    "touch": lambda b: b.store.sessions.touch(b.key),
    "ensure": lambda b: b.store.sessions.ensure(*b.key),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_fields_that_are_not_known_are_passed_over_and_kept(
    bench: Bench, change: str
) -> None:
    fields = {"mood": "good", "raw": OTHER, b"\xff": "x", "at:x": "1:y", "format": "1.9"}
    for key in (bench.head, bench.user, bench.app):
        bench.client.hset(key, mapping=fields)
    session = await bench.get()
    assert (session.state, session.complete) == (ALL, True)
    await CHANGES[change](bench)
    assert (await bench.get()).complete
    for key in (bench.head, bench.user, bench.app):
        left = bench.client.hgetall(key)
        assert {name: left.get(name) for name in (b"mood", b"raw", b"\xff", b"format")} == {
            b"mood": b"good",
            b"raw": OTHER,
            b"\xff": b"x",
            b"format": b"1.9",
        }
    (listed,) = (await bench.store.sessions.list(bench.key.app)).sessions
    assert listed.complete
    assert await bench.kept() == set()


async def test_a_rotation_takes_them_along(bench: Bench) -> None:
    bench.client.hset(bench.head, "mood", "good")
    log_id = bench.client.hget(bench.head, "log_id")
    done = await bench.store.sessions.rotate(bench.key)
    head = bench.head.removesuffix("s") + done.key.session
    assert bench.client.hmget(head, "mood", "log_id") == [b"good", log_id]


@pytest.mark.parametrize(
    "field", ["format", "bytes", "until", "log_id", "title", "status", "metadata"]
)
async def test_a_field_that_may_be_missing_takes_its_default(bench: Bench, field: str) -> None:
    bench.client.hdel(bench.head, field)
    for change in (None, *CHANGES.values()):
        if change is not None:
            await change(bench)
        session = await bench.get()
        assert session.complete
        assert session.status == "active"
    assert (await bench.store.sessions.list(bench.key.app, "ada")).corrupt == []
    assert await bench.kept() == set()


async def test_members_and_kinds_of_events_that_are_not_known_are_passed_over(
    bench: Bench,
) -> None:
    row = sealed('{"id":"n1","time":13.0,"author":"a","kind":"dream","payload":4,"mood":{"a":[1]}')
    bench.client.rpush(bench.events, row)
    bench.client.hincrby(bench.head, "seq", 1)
    session = await bench.get()
    assert [event.payload for event in session.events] == [*PAYLOADS, 4]
    assert (session.events[-1].kind, session.complete) == ("dream", True)
    await bench.store.sessions.append(bench.key, said(5))
    assert bench.client.lindex(bench.events, 3) == row


async def test_a_delta_with_members_that_are_not_known_is_applied(bench: Bench) -> None:
    bench.client.hset(bench.outbox, "op", b'{"mood":1,"stamp":9999999999999999,"delta":{"z":"1"}}')
    assert (await bench.get()).state["app:z"] == 1
    assert bench.client.exists(bench.outbox) == 0


# ── what is newer ──────────────────────────────────────────────────────────────────────────────

ZIPPED = encoded(1, ("zip",), OTHER)
SECOND = encoded(2, ("none",), OTHER)
NEWER: dict[str, Callable[[Bench], object]] = {
    "format": lambda b: b.client.hset(b.head, "format", "2"),
    "format 2.1": lambda b: b.client.hset(b.head, "format", "2.1"),
    "title": lambda b: b.client.hset(b.head, "title", ZIPPED),
    "metadata": lambda b: b.client.hset(b.head, "metadata", SECOND),
    "state": lambda b: b.client.hset(b.head, mapping={"state:n": ZIPPED, "size:n": 9}),
    "user format": lambda b: b.client.hset(b.user, "format", "3"),
    "user state": lambda b: b.client.hset(b.user, "state:u", ZIPPED),
    "app format": lambda b: b.client.hset(b.app, "format", "2"),
    "app state": lambda b: b.client.hset(b.app, "state:a", SECOND),
    "event": lambda b: b.client.lset(b.events, 1, encoded(1, ("zip",), b'"e1"\n' + OTHER)),
}


@pytest.mark.parametrize("what", NEWER)
async def test_what_is_newer_is_told_and_never_corrupt(bench: Bench, what: str) -> None:
    NEWER[what](bench)
    with pytest.raises(NewerFormat) as raised:
        await bench.get()
    assert raised.value.known == str(growth.FORMAT)
    assert raised.value.found in ("1", "2", "2.1", "3")
    assert await bench.store.sessions.append(bench.key, said(4))  # it need not be read
    assert await bench.store.sessions.touch(bench.key)
    page = await bench.store.sessions.list(bench.key.app, "ada")
    seen = [session.key for session in page.sessions]
    assert (seen, page.newer) == (([bench.key], []) if what == "event" else ([], [bench.key]))
    assert page.corrupt == []
    assert await bench.kept() == set()
    assert await bench.store.sessions.delete(bench.key)


@pytest.mark.parametrize("what", NEWER)
async def test_what_is_newer_is_revoked(bench: Bench, what: str) -> None:
    NEWER[what](bench)
    revoked = await bench.store.admin.revoke_user(bench.key.app, bench.key.user)
    assert revoked.sessions == 1
    assert not bench.client.exists(bench.head, bench.events)


@pytest.mark.parametrize("write", ["update", "save", "trim"])
async def test_a_write_that_would_replace_something_newer_is_refused(
    bench: Bench, write: str
) -> None:
    bench.client.hset(bench.head, "format", "2")
    before = {key: bench.client.dump(key) for key in bench.client.keys(f"*{bench.key.app}*")}
    with pytest.raises(NewerFormat, match=r"format 2; this version of Sojourn writes 1"):
        await CHANGES[write](bench)
    after = {key: bench.client.dump(key) for key in bench.client.keys(f"*{bench.key.app}*")}
    assert after == before


@pytest.mark.parametrize("format_", ["0", "-1", "one", "", "1.", "1.x", "01 ", "9" * 30, "\xff"])
async def test_a_format_that_is_none_is_corrupt(bench: Bench, format_: str) -> None:
    bench.client.hset(bench.head, "format", format_)
    with pytest.raises(sojourn.CorruptRecord, match="format"):
        await bench.get()
    for change in ("append", "update", "save", "trim", "touch"):
        with pytest.raises(sojourn.CorruptRecord):
            await CHANGES[change](bench)


@pytest.mark.parametrize("data", [ZIPPED[:-1], ZIPPED.replace(b"zip", b"zap"), b"\xff", b"\xff2"])
async def test_an_encoded_value_that_was_damaged_is_corrupt(cold: Bench, data: bytes) -> None:
    cold.client.hset(cold.head, mapping={"title": data, "state:n": data, "metadata": data})
    cold.client.lset(cold.events, 1, data)
    session = await cold.get()
    assert not session.complete
    assert (session.title, session.metadata, "n" in session.state) == ("", {}, False)
    assert [event.payload for event in session.events] == [PAYLOADS[0], PAYLOADS[2]]
    assert {field for _, field, _ in await cold.kept()} == {"title", "state:n", "metadata", "2"}


async def test_a_delta_with_an_unknown_encoding_is_carried_on_as_it_is(bench: Bench) -> None:
    entry = {"stamp": 1, "delta": {"x": {growth.MEMBER: b64encode(ZIPPED).decode()}}}
    bench.client.hset(bench.outbox, "a", json.dumps(entry))
    with pytest.raises(NewerFormat):
        await bench.get()
    assert bench.client.hget(f"state:{{{bench.key.app}}}", "state:x") == ZIPPED
    assert bench.client.hkeys(bench.outbox) == []


async def test_a_delta_that_only_a_newer_version_can_read_waits_for_it(bench: Bench) -> None:
    entry = {"stamp": 1, "delta": {"x": "1"}, "format": "2"}
    other = {"stamp": 9999999999999999, "delta": {"y": "1"}}
    bench.client.hset(bench.outbox, mapping={"a": json.dumps(entry), "b": json.dumps(other)})
    session = await bench.get()
    assert session.state["app:y"] == 1
    assert not session.complete
    assert bench.client.hkeys(bench.outbox) == [b"a"]
    assert await bench.kept() == set()
    with pytest.raises(sojourn.Unavailable, match="newer version"):
        await bench.store.admin.forget(bench.key.user, app=bench.key.app)


@pytest.mark.parametrize("header", [b"\xff2\n", b"\xff12;Zstd.v2\n", b"\xff2 a:b:c d=1\n"])
async def test_a_newer_header_may_have_another_form(cold: Bench, header: bytes) -> None:
    data = header + b'"e1"\nbody'
    data += b"%08x" % crc32(data)
    cold.client.hset(cold.head, "title", data)
    with pytest.raises(NewerFormat):
        await cold.get()
    cold.client.hset(cold.head, "title", "T")
    cold.client.lset(cold.events, 1, data)
    with pytest.raises(NewerFormat):
        await cold.get()
    cold.client.delete(f"{cold.head}:ids")
    with pytest.raises(sojourn.EventExists):
        await cold.store.sessions.append(cold.key, replace(said(1), id="e1"))
    assert await cold.kept() == set()


async def test_a_full_quarantine_does_not_keep_a_user_from_being_forgotten(bench: Bench) -> None:
    bench.client.hset(bench.quarantine, "bytes", "9" * 15)
    bench.client.hset(bench.outbox, "op", "mine")
    async with asyncio.timeout(10):
        await bench.store.admin.forget("ada", app=bench.key.app)
    assert not bench.client.exists(bench.head, bench.outbox, bench.quarantine)


async def test_what_cannot_be_read_is_forgotten_when_it_is_sent_twice(bench: Bench) -> None:
    for _ in range(2):  # the first run loads the scripts, the second sends them again
        bench.client.hset(bench.outbox, "op", "mine")
        bench.client.script_flush()
        await bench.store.admin.forget("ada", app=bench.key.app)
        await bench.store.disconnect()  # what was still to be sent has left, or never will
        assert not bench.client.exists(bench.outbox, bench.quarantine)


# ── sizes ──────────────────────────────────────────────────────────────────────────────────────


async def test_an_encoded_value_counts_with_its_plain_size(bench: Bench) -> None:
    places = ((bench.head, "n"), (bench.user, "u"), (bench.app, "a"))
    for key, name in places:
        plain = len(bench.client.hget(key, f"state:{name}"))
        bench.client.hset(key, mapping={f"state:{name}": ZIPPED, f"size:{name}": 1000})
        bench.client.hincrby(key, "bytes", 1000 - plain)
    sizes = [int(bench.client.hget(key, "bytes")) for key, _ in places]
    await bench.store.sessions.append(bench.key, said(1, **{"n": 1, "user:u": 2, "app:a": 3}))
    after = [int(bench.client.hget(key, "bytes")) for key, _ in places]
    assert after == [size - 999 for size in sizes]
    assert [bench.client.hexists(key, f"size:{name}") for key, name in places] == [False] * 3
    assert (await bench.get()).state["n"] == 1


async def test_the_size_of_a_state_is_counted_again_with_plain_sizes(bench: Bench) -> None:
    size = int(bench.client.hget(bench.head, "bytes"))
    plain = len(bench.client.hget(bench.head, "state:n"))
    bench.client.hset(bench.head, mapping={"state:n": ZIPPED, "size:n": 1000, "bytes": "mine"})
    await bench.store.sessions.append(bench.key, said(1, k=3))
    assert int(bench.client.hget(bench.head, "bytes")) == size - plain + 1000
