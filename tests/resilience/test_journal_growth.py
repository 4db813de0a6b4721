"""Journals that another version of Sojourn has left: what is known of them is done, in order."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import pytest

import sojourn
from servers import Server, any_binary
from sojourn import SessionKey, Sojourn
from sojourn.codecs.growth import encoded, to_member
from sojourn.resilience.journal import Bounds, Journal
from sojourn.sessions.event_codec import EventRow, encode_row
from sojourn.sessions.operations import Append, Create
from sojourn.sessions.replay import JournaledWrite
from sojourn.sessions.store import Delta, Lifetime, WriteOptions
from sojourn.telemetry import ReplayReport

WIDE = Bounds(100, 100_000, 3600)
ENCODED = json.loads(to_member(encoded(1, ("zstd",), b"\x00")))
SECOND = json.loads(to_member(encoded(2, ("zstd",), b'"e"\n\x00')))


def line(text: bytes) -> bytes:
    return b"%08x %b\n" % (crc32(text), text)


def added(entry: Any, at: float | None = None) -> bytes:
    data = entry if isinstance(entry, bytes) else json.dumps(entry).encode()
    return line(b"+%d %b" % (1000 * (at or time.time()), data))


def left(folder: Path, *lines: bytes) -> Path:
    """The file of a process that has ended."""
    folder.mkdir(exist_ok=True)
    path = folder / "0123456789abcdef.journal"
    path.write_bytes(b"".join(lines))
    return path


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def opened(folder: Path) -> list[bytes]:
    journal = Journal(WIDE, folder)
    found = [entry.data for entry in journal.open()]
    assert [entry.data for entry in journal.entries()] == found
    journal.close()
    return found


# ── lines ──────────────────────────────────────────────────────────────────────────────────────


def test_lines_of_unknown_signs_add_nothing_and_hide_nothing(tmp_path: Path) -> None:
    notes = [line(text) for text in (b"", b"?", b"# by 2.0", b"*1 {}", b"\xff\x00")]
    lines = [
        *(notes[0], added(1), notes[1], added(2), notes[2], line(b"-"), notes[3], added(3)),
        notes[4],
    ]
    left(tmp_path, *lines)
    assert opened(tmp_path) == [b"2", b"3"]
    assert opened(tmp_path) == [b"2", b"3"]  # taken over once more


def test_an_entry_that_is_done_may_say_more(tmp_path: Path) -> None:
    left(tmp_path, added(1), added(2), line(b"- at 17"), line(b"-"), line(b"-"), added(3))
    assert opened(tmp_path) == [b"3"]


@pytest.mark.parametrize("text", [b"+", b"+17", b"+17;x=y {}", b"+{}", b"+-1 {}", b"+1e3 {}"])
def test_an_entry_in_a_newer_form_is_taken_over_with_the_others(
    tmp_path: Path, text: bytes
) -> None:
    left(tmp_path, added(1), line(text), added(2))
    found = opened(tmp_path)
    assert (found[0], found[2]) == (b"1", b"2")
    assert len(found) == 3


# ── entries ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("journals"), any_binary()).start()
    yield server
    server.close()


@pytest.fixture
async def other(server: Server) -> AsyncIterator[Sojourn]:
    """Another process, that buffers nothing."""
    server.ask("FLUSHALL")
    async with sojourn.open(server.url) as other:
        yield other


@pytest.fixture
async def key(other: Sojourn) -> SessionKey:
    return (await other.sessions.create("shop", "ada", "one")).key


def an_append(key: SessionKey, name: str, **members: Any) -> dict[str, Any]:
    row = EventRow(name, time.time(), "user", "message", msgspec.Raw(b"1"))
    known = {"kind": "append", "key": list(key), "operation_id": f"of {name}"}
    return {**known, "rows": [encode_row(row).decode()], "updated": time.time(), **members}


def a_create(name: str, **members: Any) -> dict[str, Any]:
    known = {"kind": "create", "key": ["shop", "ada", name], "operation_id": f"of {name}"}
    return {**known, "birth": {"created": 17.5, "ttl": 100.0}, **members}


async def replayed(url: str, folder: Path) -> ReplayReport:
    """What a process reports that takes a journal over."""
    told = asyncio.get_running_loop().create_future()
    async with sojourn.open(url, on_outage="buffer", journal=folder) as store:
        store.on_replay(lambda report: told.done() or told.set_result(report))
        await store.sessions.get(SessionKey.of("shop", "nobody", "x"))
        async with asyncio.timeout(20):
            report: ReplayReport = await told
        assert store.stats().buffered == 0
    return report


async def ids(store: Sojourn, key: SessionKey) -> list[str]:
    found = await store.sessions.get(key)
    assert found is not None
    return [event.id for event in found.events]


async def test_what_a_write_has_beside_what_is_known_is_passed_over(
    server: Server, other: Sojourn, key: SessionKey, tmp_path: Path
) -> None:
    birth = {"created": 17.5, "ttl": 100.0, "mood": 1, "fields": {"title": "t", "mood": "blue"}}
    left(
        tmp_path,
        added(an_append(key, "a", mood={"deep": [1]}, session={"n": "1"})),
        added(an_append(key, "b", format=1, more=ENCODED, write={"key": 1})),
        added(an_append(key, "c", format="1.7", user={"n": "2"})),
        added(a_create("two", birth=birth, mood=1)),
        added(a_create("three")),
    )
    report = await replayed(server.url, tmp_path)
    assert (report.applied, report.duplicates, report.refused) == (5, 0, ())
    assert await ids(other, key) == ["a", "b", "c"]
    found = await other.sessions.get(SessionKey.of("shop", "ada", "two"))
    assert found is not None
    assert (found.title, found.created, found.ttl) == ("t", 17.5, 100.0)
    assert server.client().hget("session:{shop:ada}:two", "mood") == "blue"
    assert await other.sessions.get(SessionKey.of("shop", "ada", "three")) is not None
    assert files(tmp_path) == []


NEWER: dict[str, Any] = {
    "kind": {"kind": "touch"},
    "no kind": {"kind": None},
    "format": {"format": 2},
    "format as text": {"format": "2.1"},
    "rows": {"rows": [SECOND]},
    "row without an id": {"rows": [ENCODED]},
    "state": {"session": {"k": SECOND}},
    "key": {"key": {"app": "shop", "user": "ada", "session": "one"}},
    "birth": {"birth": {"created": 1, "ttl": None}},
    "operation": {"operation_id": {"$encoded": "x"}},
}


@pytest.mark.parametrize("case", [*NEWER, "an array", "no JSON", "another header"])
async def test_a_write_that_is_not_understood_is_kept_aside_and_hides_none(
    server: Server, other: Sojourn, key: SessionKey, tmp_path: Path, case: str
) -> None:
    data: bytes
    match case:
        case "an array":
            data = b"[1]"
        case "no JSON":
            data = b"\x00\xfe{"
        case _:
            data = json.dumps({**an_append(key, "new"), **NEWER.get(case, {})}).encode()
    middle = line(b"+17;by=2.0 " + data) if case == "another header" else added(data)
    left(tmp_path, added(an_append(key, "before")), middle, added(an_append(key, "behind")))
    report = await replayed(server.url, tmp_path)
    assert (report.applied, report.lost) == (2, 0)
    assert await ids(other, key) == ["before", "behind"]
    (refused,) = report.refused
    assert refused.reason.startswith("NewerFormat: ")
    assert data in refused.data
    (path,) = files(tmp_path)
    (kept,) = path.read_bytes().splitlines()
    aside = json.loads(kept)
    assert aside["reason"] == refused.reason
    if case in {"no JSON", "another header"}:
        assert set(aside["write"]) == {"$bytes"}
    else:
        assert aside["write"] == json.loads(data)


async def test_a_newer_write_of_a_user_who_was_forgotten_is_not_kept(
    server: Server, other: Sojourn, key: SessionKey, tmp_path: Path
) -> None:
    await other.admin.forget("ada")
    at = time.time() - 60
    left(tmp_path, added(an_append(key, "new", kind="touch"), at), added(a_create("b"), at))
    report = await replayed(server.url, tmp_path)
    assert [each.reason.partition(":")[0] for each in report.refused] == ["Erased", "Erased"]
    assert [each.data for each in report.refused] == [b"", b""]
    assert files(tmp_path) == []


async def test_what_was_kept_aside_of_a_user_is_forgotten_with_the_user(
    server: Server, other: Sojourn, key: SessionKey, tmp_path: Path
) -> None:
    bob = SessionKey.of("shop", "bob", "one")
    left(
        tmp_path,
        added(an_append(key, "new", kind="touch", write={"key": list(bob)})),
        added(an_append(bob, "new", kind="touch")),
    )
    assert len((await replayed(server.url, tmp_path)).refused) == 2
    async with sojourn.open(server.url, on_outage="buffer", journal=tmp_path) as store:
        await store.admin.forget("ada")
    (kept,) = (tmp_path / "refused.jsonl").read_bytes().splitlines()
    assert json.loads(kept)["write"]["key"] == list(bob)


def test_entries_are_as_they_are_documented() -> None:
    key = SessionKey.of("shop", "ada", "8e42")
    delta = Delta({"n": b'{"a":1}'}, {}, {"motd": b'"hi"'})
    append = JournaledWrite.of_append(
        Append(key, [b'{"id":"1"}'], delta, 17.5, WriteOptions("op", "inc"))
    )
    assert json.loads(msgspec.json.encode(append)) == {
        "kind": "append",
        "key": ["shop", "ada", "8e42"],
        "operation_id": "op",
        "session": {"n": '{"a":1}'},
        "app": {"motd": '"hi"'},
        "rows": ['{"id":"1"}'],
        "updated": 17.5,
        "incarnation": "inc",
    }
    born = Create(key, "op", 17.5, Lifetime(60.0, until=90.0), {"title": b"t"}, Delta({}, {}, {}))
    create = JournaledWrite.of_create(born, sent=True)
    assert json.loads(msgspec.json.encode(create)) == {
        "kind": "create",
        "key": ["shop", "ada", "8e42"],
        "operation_id": "op",
        "sent": True,
        "birth": {"created": 17.5, "ttl": 60.0, "until": 90.0, "fields": {"title": "t"}},
    }
