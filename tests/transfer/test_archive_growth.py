"""An archive that a neighbouring version of Sojourn wrote, or that another one will read."""

from __future__ import annotations

import asyncio
import functools
import json
import tempfile
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from transfer_kit import Bodies, bodies_of, write_bodies

import sojourn
from servers import Server
from sojourn import InvalidArchive, NewerFormat, SessionKey, Sojourn, UserKey, transfer
from sojourn.codecs.growth import encoded, of_member, to_member
from sojourn.sessions.operations.archive import ReadStoredSession
from sojourn.transfer.passing import NAMES
from sojourn.transfer.user import records as user_records

KEY = SessionKey.of("shop", "ada", "s")
SEALED = encoded(1, ("zstd", "aes256:k1"), b"\x00\xff body")


async def _fill_little(store: Sojourn) -> None:
    """A line of each kind, and two sessions of which one has several lines."""
    await store.sessions.create(
        *KEY, ttl=None, title="tïtle", metadata={"q": 1}, state={"a": 1, "user:b": 2, "app:c": 3}
    )
    await store.sessions.append(KEY, *(sojourn.Event(author="user", payload=n) for n in range(550)))
    await store.sessions.create("shop", "bob", "t", state={"a": [1]})
    memory = store.memory.user("ada", app="shop")
    await memory.put("one", {"v": [1]}, text="hello world", metadata={"m": 1})
    await memory.put("two", 2, ttl=None)
    owner = UserKey.of("shop", "ada")
    await store.artifacts.save(owner, "f", b"hello", metadata={"a": 1}, mime_type="text/plain")
    await store.artifacts.save(owner, "f", bytes(range(256)) * 2500)
    await store.cache.put("c", {"v": 1}, ttl=86_400, tags=["t"], tenant="x")


@functools.cache
def _sample() -> Bodies:
    """The lines of an archive with something of everything, as JSON."""

    async def made() -> Bodies:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "archive"
            async with sojourn.open("memory://") as store:
                await _fill_little(store)
                await transfer.export(store, path, cache=True)
            return bodies_of(path)

    with ThreadPoolExecutor(1) as thread:  # an asynchronous test may be the first to ask
        return thread.submit(asyncio.run, made()).result()


def _copy() -> Bodies:
    return json.loads(json.dumps(_sample()))


async def _taken_over(path: Path) -> tuple[transfer.Imported, Bodies]:
    """What is said of an archive that is imported, and what is exported again."""
    async with sojourn.open("memory://") as store:
        done = await transfer.import_(store, path)
        with tempfile.TemporaryDirectory() as folder:
            again = Path(folder) / "again"
            await transfer.export(store, again, cache=True)
            return done, bodies_of(again)


_OWN = {"archive": {"created"}, "session": {"incarnation", "epoch"}, "cached": {"fresh", "ends"}}
"""Members that are another in each copy."""


def _same(bodies: Bodies) -> Bodies:
    """What of an archive is the same in every copy."""
    return [
        {name: value for name, value in each.items() if name not in _OWN.get(each["kind"], ())}
        for each in bodies
    ]


# ── members and lines that this version does not know ──────────────────────────────────────────

_NESTED = {"archive": "wanted", "memory": "entries", "artifact": "versions", "end": "counts"}
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)
_WORDS = st.text("äzxq-", min_size=1, max_size=6).map("new ".__add__)


def _objects(line: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The objects of a line that may have more members, and what these are called by."""
    kind = line["kind"]
    found, inner = [(kind, line)], line.get(_NESTED.get(kind, ""))
    name = f"{kind}.{_NESTED.get(kind)}"
    if isinstance(inner, dict):
        found.append((name, inner))
    elif inner:
        found += [(name, each) for each in inner]
    return found


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_is_not_known_changes_nothing_and_is_counted(data: st.DataObject):
    bodies, planted = _copy(), 0
    numbers = st.integers(0, len(bodies) - 1)
    for number in data.draw(st.lists(numbers, min_size=1, max_size=6, unique=True)):
        for _, each in _objects(bodies[number]):
            new = data.draw(st.dictionaries(_WORDS, _JSON, max_size=2))
            planted += len(new)
            each.update(new)
    kinds = data.draw(st.lists(_WORDS, max_size=4))
    for kind in kinds:
        at = data.draw(st.integers(1, len(bodies) - 1))
        bodies.insert(at, {"kind": kind, **data.draw(st.dictionaries(_WORDS, _JSON, max_size=2))})
    bodies[-1]["lines"] += len(kinds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archive"
        write_bodies(path, bodies)
        done, again = asyncio.run(_taken_over(path))
    assert _same(again) == _same(_sample())
    assert sum(done.passed_over.lines.values()) == len(kinds)
    assert set(done.passed_over.lines) == set(kinds)
    assert sum(done.passed_over.members.values()) == planted


@pytest.mark.parametrize("kind", [*_NESTED, "session", "events", "state", "data", "cached"])
def test_a_member_that_is_not_known_is_told_by_its_place(kind: str, tmp_path: Path):
    bodies = _copy()
    line = next(each for each in bodies if each["kind"] == kind)
    objects = _objects(line)
    for _, each in objects:
        each["colour"] = {"deep": ["red"]}
    write_bodies(tmp_path / "archive", bodies)
    sure = asyncio.run(transfer.verify(tmp_path / "archive"))
    expected: dict[str, int] = {}
    for name, _ in objects:
        expected[f"{name}.colour"] = expected.get(f"{name}.colour", 0) + 1
    assert sure.passed_over == transfer.PassedOver(members=expected)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_changed_byte_is_found_in_what_is_not_known_as_well(data: st.DataObject):
    bodies = _copy()
    at = data.draw(st.integers(1, len(bodies) - 1))
    bodies.insert(at, {"kind": "hologram", "data": "x" * 50})
    bodies[-1]["lines"] += 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archive"
        write_bodies(path, bodies)
        lines = path.read_bytes().splitlines(keepends=True)
        line = bytearray(lines[at])
        where = data.draw(st.integers(0, len(line) - 2))
        line[where] ^= data.draw(st.integers(1, 255).filter(lambda bit: line[where] ^ bit != 10))
        lines[at] = bytes(line)
        path.write_bytes(b"".join(lines))
        with pytest.raises(InvalidArchive) as error:
            asyncio.run(transfer.verify(path))
        assert error.value.line == at + 1
        lines[at : at + 1] = []
        path.write_bytes(b"".join(lines))  # the line is gone
        with pytest.raises(InvalidArchive):
            asyncio.run(transfer.verify(path))


def test_names_that_are_told_are_few_and_short(tmp_path: Path):
    bodies = _copy()
    for n in range(NAMES + 30):
        bodies.insert(1, {"kind": f"{n} {'x' * 1000}"})
    bodies[-1]["lines"] += NAMES + 30
    write_bodies(tmp_path / "archive", bodies)
    passed = asyncio.run(transfer.verify(tmp_path / "archive")).passed_over
    assert (len(passed.lines), passed.lines["others"]) == (NAMES + 1, 30)
    assert max(map(len, passed.lines)) < 100


def test_an_archive_still_begins_with_its_header(tmp_path: Path):
    bodies = _copy()
    bodies.insert(0, {"kind": "hologram"})
    write_bodies(tmp_path / "archive", bodies)
    with pytest.raises(InvalidArchive, match="begins no archive"):
        asyncio.run(transfer.verify(tmp_path / "archive"))


# ── members that are missing ───────────────────────────────────────────────────────────────────

REQUIRED = {
    "archive": {"kind", "created"},
    "archive.wanted": set[str](),
    "session": {
        "kind",
        *["app", "user", "session", "version", "seq", "created", "updated", "ttl", "expires"],
    },
    "events": {"kind", "first", "events"},
    "state": {"kind", "app", "user", "expires", "values"},
    "memory": {"kind", "app", "scope", "name", "entries"},
    "memory.entries": {*["key", "value", "version", "created", "updated", "expires"]},
    "artifact": {"kind", "app", "user", "session", "name", "expires", "versions"},
    "artifact.versions": {"created", "size", "crc"},
    "data": {"kind", "version", "chunk", "data"},
    "cached": {"kind", "tenant", "name", "value", "fresh", "ends"},
    "end": {"kind", "lines", "counts"},
    "end.counts": set[str](),
}
LITTLE: Bodies = [
    {"kind": "archive", "created": 1, "wanted": {}},
    {
        "kind": "session",
        "app": "shop",
        "user": "ada",
        "session": "s",
        "version": 3,
        "seq": 0,
        "created": 5,
        "updated": 6,
        "ttl": None,
        "expires": None,
    },
    {"kind": "state", "app": "shop", "user": None, "expires": None, "values": {"a": 1}},
    {
        "kind": "memory",
        "app": "shop",
        "scope": "user",
        "name": "ada",
        "entries": [
            {"key": "k", "value": 1, "version": 1, "created": 1, "updated": 1, "expires": None}
        ],
    },
    {
        "kind": "artifact",
        "app": "shop",
        "user": "ada",
        "session": None,
        "name": "f",
        "expires": None,
        "versions": [{"created": 1, "size": 1, "crc": f"{crc32(b'?'):08x}"}],
    },
    {"kind": "data", "version": 0, "chunk": 0, "data": b64encode(b"?").decode()},
    {"kind": "cached", "tenant": "t", "name": "n", "value": 1, "fresh": 10.0**10, "ends": 10.0**10},
    {
        "kind": "end",
        "lines": 7,
        "counts": {"sessions": 1, "states": 1, "memories": 1, "artifacts": 1, "cached": 1},
    },
]


def _little() -> Bodies:
    return json.loads(json.dumps(LITTLE))


async def test_what_is_missing_and_optional_takes_its_default(store: Sojourn, tmp_path: Path):
    write_bodies(tmp_path / "archive", _little())
    done = await transfer.import_(store, tmp_path / "archive")
    assert (done.counts.sessions, bool(done.passed_over)) == (1, False)
    found = await store.sessions.get(KEY)
    assert found is not None
    assert (found.title, found.metadata, found.state, found.events) == ("", {}, {"app:a": 1}, [])
    (entry,) = (await store.memory.user("ada", app="shop").list()).entries
    assert (entry.value, entry.metadata, entry.text) == (1, {}, None)
    artifact = await store.artifacts.load(UserKey.of("shop", "ada"), "f")
    assert artifact is not None
    assert (artifact.data, artifact.mime_type) == (b"?", "application/octet-stream")
    assert await store.cache.get("n", tenant="t") == 1


@pytest.mark.parametrize("name", REQUIRED)
def test_what_is_required_is_just_what_is_said_to_be(name: str, tmp_path: Path):
    bodies = _copy()
    places = [each for line in bodies for where, each in _objects(line) if where == name]
    place = places[0]
    for member in list(place):
        whole = dict(place)
        del place[member]
        write_bodies(tmp_path / "archive", bodies)
        if member in REQUIRED[name]:
            with pytest.raises(InvalidArchive):
                asyncio.run(transfer.verify(tmp_path / "archive"))
        elif name not in {"session", "end.counts"}:  # of which the rest belongs together
            asyncio.run(transfer.verify(tmp_path / "archive"))
        place.update(whole)


# ── formats ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stated", [2, "2", "2.0", "17.3", 999_999_999])
async def test_a_newer_major_format_is_refused_with_both_versions(
    stated: Any, store: Sojourn, tmp_path: Path
):
    bodies = _copy()
    bodies[0].update(format=stated, created="in another way", sojourn="9.1")
    path = tmp_path / "archive"
    write_bodies(path, bodies)
    major = str(stated).partition(".")[0]
    for attempt in (
        transfer.verify(path),
        transfer.import_(store, path),
        transfer.export(store, path),
    ):
        with pytest.raises(NewerFormat) as error:
            await attempt
        assert (error.value.found, error.value.known) == (major, "1")
        assert f"format {major}, written by Sojourn '9.1'" in str(error.value)
        assert "reads 1" in str(error.value)
    assert bodies_of(path) == bodies
    assert (await store.admin.apps()).names == []


@pytest.mark.parametrize("stated", [1, "1", "1.0", "1.9", "1.999999999"])
def test_a_higher_minor_format_is_read(stated: Any, tmp_path: Path):
    bodies = _copy()
    bodies[0]["format"] = stated
    write_bodies(tmp_path / "archive", bodies)
    asyncio.run(transfer.verify(tmp_path / "archive"))


@pytest.mark.parametrize("stated", [0, -1, "", "x", "1.", "1.x", 1.5, None, [], "1" * 10, True])
def test_what_is_no_format_is_damage(stated: Any, tmp_path: Path):
    bodies = _copy()
    bodies[0]["format"] = stated
    write_bodies(tmp_path / "archive", bodies)
    with pytest.raises(InvalidArchive):
        asyncio.run(transfer.verify(tmp_path / "archive"))


@pytest.mark.parametrize("planted", ["wanted", "line", "member"])
async def test_an_export_that_a_newer_version_began_is_left_to_it(
    planted: str, source: Sojourn, tmp_path: Path
):
    await transfer.export(source, tmp_path / "archive")
    bodies = bodies_of(tmp_path / "archive")[:9]
    match planted:
        case "wanted":
            bodies[0]["wanted"]["tenant"] = "acme"
        case "line":
            bodies.append({"kind": "hologram"})
        case _:
            bodies[3]["colour"] = 1
    write_bodies(tmp_path / "archive", bodies)
    with pytest.raises(sojourn.InvalidInput, match="knows more"):
        await transfer.export(source, tmp_path / "archive")
    assert bodies_of(tmp_path / "archive") == bodies


# ── fields that the exporting version did not know ─────────────────────────────────────────────


async def test_fields_that_this_version_knows_are_stored_and_the_rest_is_counted(
    store: Sojourn, tmp_path: Path
):
    bodies = _little()
    bodies[1]["more"] = {
        "title": "tïtle",
        "metadata": '{"m":[1]}',
        "status": {"$bytes": b64encode(b"ok").decode()},
        "mood": "blue",
        "aura": {"$bytes": "/w=="},
        "shape": {"$later": 1},
        "state": "{}",
    }
    bodies[2]["more"] = {"mood": "blue"}
    bodies[3]["entries"][0]["more"] = {"text": "hello", "metadata": "no JSON", "mood": "x"}
    bodies[4]["more"] = {"mood": "x"}
    bodies[4]["versions"][0]["more"] = {"mime_type": '"text/plain"', "mood": '"x"'}
    write_bodies(tmp_path / "archive", bodies)
    done = await transfer.import_(store, tmp_path / "archive")
    found = await store.sessions.get(KEY)
    assert found is not None
    assert (found.title, found.status, found.metadata) == ("tïtle", "ok", {"m": [1]})
    (entry,) = (await store.memory.user("ada", app="shop").list()).entries
    assert (entry.text, entry.metadata) == ("hello", {})
    artifact = await store.artifacts.load(UserKey.of("shop", "ada"), "f")
    assert artifact is not None
    assert artifact.mime_type == "text/plain"
    assert done.passed_over == transfer.PassedOver(
        fields={
            **{f"session.{name}": 1 for name in ("mood", "aura", "shape", "state")},
            "state.mood": 1,
            "memory.entries.metadata": 1,
            "memory.entries.mood": 1,
            "artifact.mood": 1,
            "artifact.versions.mood": 1,
        }
    )
    again = await transfer.import_(store, tmp_path / "archive")
    assert (again.identical, again.conflicts) == (5, 0)


def test_a_member_wins_over_a_field_of_the_same_name(tmp_path: Path):
    bodies = _little()
    bodies[1].update(title="as it is", more={"title": "as it was"})
    write_bodies(tmp_path / "archive", bodies)
    done, again = asyncio.run(_taken_over(tmp_path / "archive"))
    assert again[1]["title"] == "as it is"
    assert done.passed_over.fields == {"session.title": 1}


# ── values that are encoded, or look so ────────────────────────────────────────────────────────

LOOKALIKES: list[Any] = [
    {"$encoded": "x"},
    {"$plain": 1},
    {"$plain": {"$encoded": "/zE="}},
    {"$encoded": "x", "more": 1},
    {},
]


@pytest.mark.parametrize(
    "value",
    [
        *(json.dumps(each).encode() for each in LOOKALIKES),
        b'{"\\u0024encoded":1}',
        b'{ "$pl\\u0061in" : [ 1 ]}',
        b'"$encoded"',
        SEALED,
        encoded(7, ("new",), b""),
    ],
)
def test_a_value_comes_back_byte_for_byte_from_inside_another_json(value: bytes):
    json.loads(to_member(value))
    assert of_member(to_member(value)) == value
    assert of_member(to_member(to_member(value))) == to_member(value)


@pytest.mark.parametrize(
    "text",
    [
        b'{"$encoded":"not base64!"}',
        b'{"$encoded":7}',
        b'{"$encoded":"%b"}' % b64encode(b"plain"),
        b'{"$encoded":"%b"}' % b64encode(SEALED[:-1] + b"x"),
    ],
)
def test_an_encoded_value_that_is_none_is_refused(text: bytes, tmp_path: Path):
    with pytest.raises(ValueError, match=r"value|checksum"):
        of_member(text)
    for at, name in ((1, "state"), (2, "values")):
        bodies = _little()
        bodies[at][name] = {"k": json.loads(text)}
        write_bodies(tmp_path / "archive", bodies)
        with pytest.raises(InvalidArchive) as error:
            asyncio.run(transfer.verify(tmp_path / "archive"))
        assert error.value.line == at + 1


async def test_values_that_look_encoded_come_back_as_they_were(url: str, tmp_path: Path):
    state = {f"k{n}": each for n, each in enumerate(LOOKALIKES)}
    async with sojourn.open("memory://") as store:
        await store.sessions.create(*KEY, state=state, metadata={"$encoded": "x"})
        await store.memory.user("ada", app="shop").put("k", {"$plain": 1}, metadata={"$plain": 2})
        await store.cache.put("c", {"$encoded": 1}, ttl=100, tenant="x")
        owner = UserKey.of("shop", "ada")
        await store.artifacts.save(owner, "f", b"", metadata={"$encoded": "/zE="})
        await transfer.export(store, tmp_path / "archive", cache=True)
    async with sojourn.open(url, namespace="lookalikes") as store:
        done = await transfer.import_(store, tmp_path / "archive")
        found = await store.sessions.get(KEY)
        assert found is not None
        assert (found.state, found.metadata) == (state, {"$encoded": "x"})
        (entry,) = (await store.memory.user("ada", app="shop").list()).entries
        assert (entry.value, entry.metadata) == ({"$plain": 1}, {"$plain": 2})
        assert await store.cache.get("c", tenant="x") == {"$encoded": 1}
        artifact = await store.artifacts.load(owner, "f")
        assert artifact is not None
        assert artifact.metadata == {"$encoded": "/zE="}
        again = await transfer.import_(store, tmp_path / "archive")
        assert again.identical == done.counts.sessions + 3


# ── what another version has written on a server ───────────────────────────────────────────────

HEAD, LOG = "session:{shop:ada}:s", "session:{shop:ada}:s:events"
ZIPPED = encoded(1, ("zip",), b"\x00\xff")


def _sealed(row: bytes) -> bytes:
    return b'%b,"crc":"%08x"}' % (row, crc32(row))


@pytest.fixture
async def planted(store: Sojourn, target: Server) -> redis.Redis:
    """A client that gives bytes, beside a session with three events and state of all scopes."""
    state = {"a": 1, "user:b": 2, "app:c": 3}
    await store.sessions.create(*KEY, state=state, title="t", metadata={"m": 1})
    await store.sessions.append(KEY, *(sojourn.Event(author="user", payload=n) for n in range(3)))
    return redis.Redis.from_url(target.url)


async def _exported(store: Sojourn, path: Path) -> tuple[transfer.Exported, Bodies]:
    done = await transfer.export(store, path)
    assert await transfer.verify(path)
    return done, bodies_of(path)


async def test_fields_that_are_not_known_are_exported(
    store: Sojourn, planted: redis.Redis, tmp_path: Path
):
    raw = b"\x00 no text \xff"
    fields = {"mood": "blue\nsea", "raw": raw, "format": "1.9"}
    for key in (HEAD, "state:{shop:ada}", "state:{shop}"):
        planted.hset(key, mapping=fields)  # type: ignore[arg-type]
    row = _sealed(b'{"id":"x","time":1.5,"author":"a","kind":"dream","payload":1,"mood": [ 1 ]')
    planted.lset(LOG, 1, row)
    done, bodies = await _exported(store, tmp_path / "archive")
    more = {"mood": "blue\nsea", "raw": {"$bytes": b64encode(raw).decode()}}
    assert [each.get("more") for each in bodies[1:-1]] == [more, more, more]
    assert (done.counts.unreadable, done.counts.newer) == (0, 0)
    assert row in (tmp_path / "archive").read_bytes()
    planted.flushall()
    back = await transfer.import_(store, tmp_path / "archive")
    assert planted.lindex(LOG, 1) == row
    assert back.passed_over.fields == {
        **{f"session.{name}": 1 for name in ("mood", "raw")},
        **{f"state.{name}": 2 for name in ("mood", "raw")},
    }
    assert (await transfer.import_(store, tmp_path / "archive")).identical == 3


async def test_a_state_of_unknown_fields_only_is_exported(
    store: Sojourn, planted: redis.Redis, tmp_path: Path
):
    planted.delete("state:{shop:ada}")
    planted.hset("state:{shop:ada}", "mood", "blue")
    _, bodies = await _exported(store, tmp_path / "archive")
    states = [each for each in bodies if each["kind"] == "state"]
    assert states[0]["values"] == {}
    assert states[0]["more"] == {"mood": "blue"}


async def test_a_session_with_an_event_that_cannot_be_decoded_is_named_and_left_out(
    store: Sojourn, planted: redis.Redis, tmp_path: Path
):
    row = encoded(3, ("zip", "aes:k-1"), b'"an id"\n\x00\xff\n')
    await transfer.export(store, tmp_path / "before")
    planted.lset(LOG, 1, row)
    done, bodies = await _exported(store, tmp_path / "archive")
    assert [each["kind"] for each in bodies if "event" in str(each["kind"])] == []
    (named,) = (each["what"] for each in bodies if each["kind"] == "newer")
    assert "session 's'" in named
    assert (done.counts.unreadable, done.counts.newer, done.counts.sessions) == (0, 1, 0)
    before = planted.lrange(LOG, 0, -1)
    again = await transfer.import_(store, tmp_path / "before", existing="replace")
    assert (again.newer, again.identical) == (1, 2)
    assert planted.lrange(LOG, 0, -1) == before
    with pytest.raises(NewerFormat):
        await store.sessions.get(KEY)


async def test_a_long_session_that_cannot_be_decoded_from_some_event_on_is_void(
    store: Sojourn, planted: redis.Redis, tmp_path: Path
):
    for start in range(0, 900, 100):
        events = [sojourn.Event(author="a", payload=n) for n in range(start, start + 100)]
        await store.sessions.append(KEY, *events)
    planted.lset(LOG, -1, encoded(3, ("zip", "aes:k-1"), b'"an id"\n\x00\xff\n'))
    done, bodies = await _exported(store, tmp_path / "archive")
    assert (done.counts.newer, done.counts.sessions) == (1, 0)
    assert {"session", "void", "newer"} <= {each["kind"] for each in bodies}
    assert (await transfer.verify(tmp_path / "archive")).counts == done.counts


NEWER: dict[str, tuple[str, dict[str, Any]]] = {
    "session's format": (HEAD, {"format": "2"}),
    "session's title": (HEAD, {"title": ZIPPED}),
    "session's metadata": (HEAD, {"metadata": ZIPPED}),
    "session's state": (HEAD, {"state:a": ZIPPED}),
    "user's format": ("state:{shop:ada}", {"format": "2.5"}),
    "user's state": ("state:{shop:ada}", {"state:b": ZIPPED}),
    "app's format": ("state:{shop}", {"format": "7"}),
    "app's state": ("state:{shop}", {"state:c": ZIPPED}),
}


@pytest.mark.parametrize("what", NEWER)
async def test_what_only_a_newer_version_can_read_is_named_and_left_out(
    store: Sojourn, planted: redis.Redis, tmp_path: Path, what: str
):
    key, fields = NEWER[what]
    planted.hset(key, mapping=fields)
    told: list[str] = []
    done = await transfer.export(store, tmp_path / "archive", told=told.append)
    bodies = bodies_of(tmp_path / "archive")
    kinds = [each["kind"] for each in bodies[1:-1]]
    expected = ["state", "session", "state"]  # the user's, the session, the app's
    expected[{"session": 1, "user": 0, "app": 2}[what.partition("'")[0]]] = "newer"
    assert sorted(kinds) == sorted(expected)
    assert (done.counts.newer, done.counts.unreadable) == (1, 0)
    assert bodies[-1]["counts"]["newer"] == 1
    (named,) = (each["what"] for each in bodies if each["kind"] == "newer")
    assert told == [f"only a newer version can read it, and it is not in the archive: {named}"]
    assert await store.admin.quarantined("shop", "ada") == []
    async with sojourn.open("memory://") as other:
        assert (await transfer.import_(other, tmp_path / "archive")).counts == done.counts


@pytest.mark.parametrize("existing", ["skip", "replace", "fail"])
@pytest.mark.parametrize("what", NEWER)
async def test_what_a_newer_version_wrote_stays_where_it_is(
    store: Sojourn, planted: redis.Redis, tmp_path: Path, what: str, existing: Any
):
    await transfer.export(store, tmp_path / "archive")
    key, fields = NEWER[what]
    planted.hset(key, mapping=fields)
    before = planted.hgetall(key)
    told: list[str] = []
    if existing == "fail":
        with pytest.raises(sojourn.Conflict):
            await transfer.import_(store, tmp_path / "archive", existing=existing)
    else:
        done = await transfer.import_(
            store, tmp_path / "archive", existing=existing, told=told.append
        )
        assert (done.conflicts, done.newer, done.identical) == (1, 1, 2)
        assert "newer version" in told[0]
    assert planted.hgetall(key) == before


async def test_a_change_of_the_apps_state_that_waits_for_a_newer_version_is_named(
    store: Sojourn, planted: redis.Redis, tmp_path: Path
):
    planted.hset("outbox:{shop:ada}", "op", b'{"stamp":1,"delta":{"x":"1"},"format":"2"}')
    done, bodies = await _exported(store, tmp_path / "archive")
    assert (done.counts.sessions, done.counts.states, done.counts.newer) == (1, 2, 1)
    assert any("1 changes" in each.get("what", "") for each in bodies)
    assert planted.hlen("outbox:{shop:ada}") == 1


async def test_an_export_for_a_user_names_what_is_newer(store: Sojourn, planted: redis.Redis):
    await store.sessions.create("shop", "ada", "two")
    planted.hset(HEAD, "format", "2")
    records = [each async for each in user_records(store, "ada", app="shop")]
    assert [each.kind for each in records if each.kind in {"session", "newer"}] == [
        "newer",
        "session",
    ]
    planted.hset(HEAD, "format", "1")
    planted.lset(LOG, 1, encoded(1, ("zip",), b'"e"\n\x00'))
    planted.hset("state:{shop:ada}", "state:b", ZIPPED)
    records = [each async for each in user_records(store, "ada", app="shop")]
    newer = [each for each in records if each.kind == "newer"]
    assert {each.key["kind"] for each in newer} >= {"user_state"}
    assert all(json.loads(each.line()) for each in records)


# ── the other rooms ────────────────────────────────────────────────────────────────────────────

ENTRY = "memory:{shop:user:ada}:entry:k"
ARTIFACT = "artifact:{shop:ada}::f"
RAW = b"\x00 no text \xff"
MORE = {"mood": "blue", "raw": {"$bytes": b64encode(RAW).decode()}}


@pytest.fixture
async def rooms(store: Sojourn, target: Server) -> redis.Redis:
    """A client that gives bytes, beside an entry of the memory, an artifact and a cached value."""
    memory = store.memory.user("ada", app="shop", tenant="acme")
    await memory.put("k", {"v": 1}, text="hello", metadata={"m": 1})
    await store.memory.user("ada", app="shop").put("other", 2)
    owner = UserKey.of("shop", "ada")
    await store.artifacts.save(owner, "f", b"hello", metadata={"a": 1}, mime_type="text/plain")
    await store.cache.put("c", {"v": 1}, ttl=100, tags=["t"], tenant="x")
    return redis.Redis.from_url(target.url)


def _cached(client: redis.Redis) -> str:
    (key,) = client.scan_iter("cache:*:entry:c")
    return key.decode()


async def test_a_newer_value_stays_though_it_was_invalidated(
    store: Sojourn, rooms: redis.Redis, tmp_path: Path
):
    await store.cache.put("d", 1, tenant="x")
    await transfer.export(store, tmp_path / "archive", cache=True)
    rooms.hset(_cached(rooms), "value", encoded(1, ("lz4",), RAW))
    await store.cache.invalidate("t", tenant="x")
    await store.cache.delete("d", tenant="x")
    done = await transfer.import_(store, tmp_path / "archive", existing="replace")
    assert (done.newer, done.counts.cached) == (1, 1)
    assert rooms.hget(_cached(rooms), "value") == encoded(1, ("lz4",), RAW)


async def test_labels_and_tenants_come_along(url: str, tmp_path: Path):
    labels = {"flow": "checkout", "ünit": "ä"}
    async with sojourn.open("memory://") as store:
        await store.sessions.create(*KEY, labels=labels)
        await store.memory.user("ada", app="shop", tenant="acme").put("k", 1)
        await transfer.export(store, tmp_path / "archive")
    async with sojourn.open(url, namespace="tenants") as store:
        await transfer.import_(store, tmp_path / "archive")
        found = await store.sessions.get(KEY)
        assert found is not None
        assert found.labels == labels
        (entry,) = (await store.memory.user("ada", app="shop").list()).entries
        assert entry.tenant == "acme"
        assert (await transfer.import_(store, tmp_path / "archive")).identical == 2
        await store.sessions.update(KEY, labels={"flow": "browse"})
        assert (await transfer.import_(store, tmp_path / "archive")).conflicts == 1


async def test_what_was_exported_before_a_field_was_known_becomes_that_field(
    store: Sojourn, tmp_path: Path
):
    bodies = _little()
    bodies[1]["more"] = {"log_id": "0" * 32, "labels": '{"flow":"x"}'}
    bodies[3]["entries"][0]["more"] = {"tenant": "acme", "vector_encoding": "f16", "vector": "AA"}
    write_bodies(tmp_path / "archive", bodies)
    done = await transfer.import_(store, tmp_path / "archive")
    found = await store.stores.sessions.run(ReadStoredSession(KEY))
    assert found is not None
    assert (found.head.log_id, found.head.labels) == ("0" * 32, {"flow": "x"})
    (entry,) = (await store.memory.user("ada", app="shop").list()).entries
    assert entry.tenant == "acme"
    assert done.passed_over.fields == {
        "memory.entries.vector_encoding": 1,
        "memory.entries.vector": 1,
    }


async def test_fields_of_the_other_rooms_that_are_not_known_are_exported(
    store: Sojourn, rooms: redis.Redis, tmp_path: Path
):
    for key in (ENTRY, ARTIFACT, _cached(rooms)):
        rooms.hset(key, mapping={"mood": "blue", "raw": RAW, "format": "1.3"})
    record = rooms.hget(ARTIFACT, "version:0")
    rooms.hset(ARTIFACT, "version:0", record[:-1] + b',"mood": [ 1 ]}')
    done = await transfer.export(store, tmp_path / "archive", cache=True)
    bodies = {each["kind"]: each for each in bodies_of(tmp_path / "archive")}
    assert bodies["memory"]["entries"][0]["more"] == MORE
    assert "more" not in bodies["memory"]["entries"][1]
    assert bodies["artifact"]["more"] == MORE
    assert json.loads(bodies["artifact"]["versions"][0]["more"]["mood"]) == [1]
    assert bodies["cached"]["more"] == MORE
    assert (done.counts.newer, done.counts.unreadable) == (0, 0)
    rooms.flushall()
    back = await transfer.import_(store, tmp_path / "archive")
    assert (back.counts.memories, back.counts.artifacts, back.counts.cached) == (2, 1, 1)
    assert back.passed_over.fields == {
        f"{where}.{name}": 1
        for where in ("memory.entries", "artifact", "cached")
        for name in ("mood", "raw")
    } | {"artifact.versions.mood": 1}
    assert (await transfer.import_(store, tmp_path / "archive")).identical == 4


async def test_a_vector_that_is_encoded_is_exported_as_what_is_not_known(
    store: Sojourn, rooms: redis.Redis, tmp_path: Path
):
    rooms.hset(ENTRY, mapping={"vector": RAW, "vector_encoding": "f16"})
    await transfer.export(store, tmp_path / "archive")
    bodies = bodies_of(tmp_path / "archive")
    (entry, _) = next(each for each in bodies if each["kind"] == "memory")["entries"]
    assert entry["more"] == {"vector_encoding": "f16", "vector": MORE["raw"]}
    assert "vector" not in entry


NEWER_ROOMS: dict[str, tuple[str, dict[str, Any]]] = {
    "entry's format": (ENTRY, {"format": "2"}),
    "entry's value": (ENTRY, {"value": ZIPPED}),
    "entry's metadata": (ENTRY, {"metadata": ZIPPED}),
    "artifact's format": (ARTIFACT, {"format": "2"}),
    "artifact's data": (
        ARTIFACT,
        {"version:0": '{"created":1,"size":5,"chunks":1,"crc":"3610a686","encoding":"zip"}'},
    ),
    "cached value's format": ("", {"format": "3"}),
    "cached value": ("", {"value": ZIPPED}),
}


@pytest.mark.parametrize("what", NEWER_ROOMS)
async def test_what_only_a_newer_version_can_read_of_the_other_rooms_is_left_alone(
    store: Sojourn, rooms: redis.Redis, tmp_path: Path, what: str
):
    await transfer.export(store, tmp_path / "before", cache=True)
    key, fields = NEWER_ROOMS[what]
    key = key or _cached(rooms)
    rooms.hset(key, mapping=fields)
    before = rooms.hgetall(key)
    told: list[str] = []
    done = await transfer.export(store, tmp_path / "archive", cache=True, told=told.append)
    assert (done.counts.newer, done.counts.unreadable, len(told)) == (1, 0, 1)
    counts = done.counts
    assert counts.memories + counts.artifacts + counts.cached == 3
    assert (await transfer.verify(tmp_path / "archive")).counts == counts
    for existing in ("skip", "replace"):
        back = await transfer.import_(store, tmp_path / "before", existing=existing)
        assert (back.conflicts, back.newer, back.identical) == (1, 1, 3)
    with pytest.raises(sojourn.Conflict):
        await transfer.import_(store, tmp_path / "before", existing="fail")
    assert rooms.hgetall(key) == before


async def test_an_export_for_a_user_names_what_is_newer_in_the_other_rooms(
    store: Sojourn, rooms: redis.Redis
):
    await store.sessions.create(*KEY)
    rooms.hset(ENTRY, "format", "2")
    rooms.hset(ARTIFACT, "format", "2")
    records = [each async for each in user_records(store, "ada", app="shop")]
    newer = {each.key["kind"]: each.key["name"] for each in records if each.kind == "newer"}
    assert newer == {"memory": "k", "artifact": "f"}
