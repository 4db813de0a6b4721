"""Sessions whose content is sealed: what reaches the server, and what is made of what is there."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from google.adk.events import Event as AdkEvent
from outage_kit import ALWAYS, replayed, said, texts

import sojourn
from extent import FULL
from sealing import TestKeys, open_sealed
from servers import Server, any_binary
from sojourn import Event, SessionKey, TooLarge, Unavailable
from sojourn.codecs.growth import encoded
from sojourn.errors import Erased, KeyMissing, NewerFormat, SojournError, Undecodable
from sojourn.integrations.adk import SessionService
from sojourn.sessions.archive import ArchivedSession
from sojourn.sessions.encoding import encode_event
from sojourn.sessions.event_codec import chained
from sojourn.sessions.operations.archive import ReadLogSlice, ReadStoredSession, ReadStoredState
from sojourn.sessions.operations.restore import RestoreSession, RestoreState, StageEvents

WORDS = ["bergamot", "cardamom", "darjeeling", "earlgrey", "fennel", "ginger", "hibiscus"]
STATE = {"k": "bergamot", "user:k": "cardamom", "app:k": "darjeeling"}


class Place:
    """A session of an app of its own, and what a server has of it."""

    def __init__(self, server: Server, keys: TestKeys) -> None:
        self.server = server
        self.keys = keys
        self.client = redis.Redis.from_url(server.url)
        self.key = SessionKey.of(f"app-{secrets.token_hex(6)}", "ada", "s")
        tag = f"{{{self.key.app}:ada}}"
        self.head, self.user, self.app = (
            f"session:{tag}:s",
            f"state:{tag}",
            f"state:{{{self.key.app}}}",
        )
        self.events = f"{self.head}:events"

    def everything(self) -> bytes:
        """All bytes of all keys of the app."""
        found: list[bytes] = []
        for name in self.client.scan_iter(f"*{self.key.app}*", count=1000):
            kind = self.client.type(name)
            if kind == b"hash":
                found += [part for pair in self.client.hgetall(name).items() for part in pair]
            elif kind == b"list":
                found += self.client.lrange(name, 0, -1)
            elif kind == b"string":
                found.append(self.client.get(name))
            elif kind == b"zset":
                found += self.client.zrange(name, 0, -1)
        return b"\n".join(found)

    def bytes_of(self, key: str) -> int:
        return int(self.client.hget(key, "bytes") or 0)


@pytest.fixture
def place(shared_server: Server) -> Iterator[Place]:
    place = Place(shared_server, TestKeys())
    yield place
    place.client.close()


@pytest.fixture
async def store(place: Place) -> AsyncIterator[sojourn.Sojourn]:
    async with open_sealed(place.server.url, place.keys) as store:
        yield store


@pytest.fixture
async def other(place: Place) -> AsyncIterator[sojourn.Sojourn]:
    """Another process with the same keys."""
    async with open_sealed(place.server.url, place.keys) as store:
        yield store


async def make(store: sojourn.Sojourn, key: SessionKey, *payloads: Any) -> None:
    await store.sessions.create(*key, title="earlgrey", state=STATE, metadata={"m": "fennel"})
    for n, payload in enumerate(payloads):
        await store.sessions.append(key, Event(author="a", payload=payload, id=f"e{n}"))


async def calls(store: sojourn.Sojourn, what: Awaitable[Any]) -> list[str]:
    """The calls that something takes, but for those that nobody waits for."""
    found: list[str] = []
    stop = store.on_call(lambda fact: found.append(fact.name))
    await what
    stop()
    return [name for name in found if name.split(".")[1] not in ("recent", "register", "refresh")]


async def test_no_word_reaches_the_server(store: sojourn.Sojourn, place: Place) -> None:
    sessions, key = store.sessions, place.key
    await make(store, key, *WORDS)
    await sessions.append(key, said("ginger", **{"n": "hibiscus", "app:m": "ginger"}))
    await sessions.update(key, summary="cardamom", status="fennel", metadata={"x": "ginger"})
    await sessions.save(key, events=[said("bergamot")], state={"q": "fennel"}, title="ginger")
    await sessions.append(key, said("a", k="darjeeling"), said("b", j="ginger"))
    await store.adapters.replay(key, state={"r": "fennel"})
    await store.adapters.begin(key._replace(session="t"), said("hibiscus"))
    await sessions.ensure(key.app, key.user, "u", state=STATE, title="earlgrey")
    found = await sessions.get(key)
    assert texts(found) == ["bergamot", "a", "b"]
    assert found is not None
    assert (found.title, found.metadata, found.complete) == ("ginger", {}, True)
    assert found.state == {
        "q": "fennel",
        "k": "darjeeling",
        "j": "ginger",
        "r": "fennel",
        "user:k": "cardamom",
        "app:k": "darjeeling",
        "app:m": "ginger",
    }
    listed = await sessions.list(key.app)
    assert {each.key.session for each in listed.sessions} == {"s", "t", "u"}
    assert listed.newer == listed.corrupt == []
    stored = place.everything()
    assert [word for word in WORDS if word.encode() in stored] == []


async def test_the_log_is_known_after_a_read_and_else_asked_for_once(
    store: sojourn.Sojourn, other: sojourn.Sojourn, place: Place
) -> None:
    key = place.key
    await make(store, key)
    append = ["sessions.append"]
    assert await calls(store, store.sessions.append(key, said("a"))) == append
    assert await calls(other, other.sessions.append(key, said("b"))) == [
        "sessions.log_id",
        "sessions.append",
    ]
    assert await calls(other, other.sessions.append(key, said("c"))) == append
    async with open_sealed(place.server.url, place.keys) as third:
        await third.sessions.get(key)
        assert await calls(third, third.sessions.append(key, said("d"))) == append
        assert await calls(third, third.sessions.update(key, title="T")) == ["sessions.update"]
        history = third.user(key.app, key.user).history("h")
        await history.append("user", "a")
        assert await calls(third, history.append("user", "b")) == append
        assert [message.content for message in await history.all()] == ["a", "b"]
        assert await calls(third, third.sessions.update(key, labels={"a": "b"})) == [
            "sessions.update"
        ]
    assert texts(await store.sessions.get(key)) == ["a", "b", "c", "d"]


async def test_adk_reads_and_appends_in_one_round_trip_each(place: Place) -> None:
    key = place.key
    names = {"app_name": key.app, "user_id": key.user, "session_id": key.session}
    service = SessionService(place.server.url)
    service.store.stores.rooms["sessions"].parts.store.codec.seal_with(place.keys)
    try:
        await service.create_session(**names, state={"a": "ginger"})
        session = await service.get_session(**names)
        assert session is not None
        event = AdkEvent(author="user", invocation_id="i")
        took = await calls(service.store, service.append_event(session, event))
        assert took == ["sessions.append"]
    finally:
        await service.close()


# ── the id has another log by now ──────────────────────────────────────────────────────────────

WRITES: dict[str, Callable[[sojourn.Sojourn, SessionKey], Awaitable[Any]]] = {
    "append": lambda s, key: s.sessions.append(key, said("x", n="y", **{"app:z": 1})),
    "update": lambda s, key: s.sessions.update(key, title="x", metadata={"a": 1}),
    "save": lambda s, key: s.sessions.save(key, events=[said("x")], title="x", state={"n": "y"}),
    "begin": lambda s, key: s.adapters.begin(key, said("x")),
    "batch": lambda s, key: s.batch.append([(key, [said("x")])]),
    "history": lambda s, key: s.user(key.app, key.user).history(key.session).append("user", "x"),
}


@pytest.mark.parametrize("write", WRITES)
async def test_what_is_remembered_may_be_outdated(
    store: sojourn.Sojourn, other: sojourn.Sojourn, place: Place, write: str
) -> None:
    key = place.key
    await make(store, key, "one")
    await other.sessions.delete(key)
    await make(other, key, "two")
    await WRITES[write](store, key)
    for each in (store, other):
        found = await each.sessions.get(key)
        assert found is not None
        assert found.complete
        assert len(found.events) == {"update": 1, "save": 1}.get(write, 2)
        assert found.title == ("x" if write in ("update", "save") else "earlgrey")
    assert await store.admin.quarantined(key.app, key.user) == []


@pytest.mark.parametrize("write", ["save", "begin"])
async def test_two_that_make_a_session_at_once_seal_for_the_one_that_is_made(
    store: sojourn.Sojourn, other: sojourn.Sojourn, place: Place, write: str
) -> None:
    for n in range(20):
        key = place.key._replace(session=f"s{n}")
        await asyncio.gather(WRITES[write](store, key), WRITES[write](other, key))
        for each in (store, other):
            found = await each.sessions.get(key)
            assert found is not None
            assert found.complete
            assert len(found.events) == (1 if write == "save" else 2)


async def test_writers_of_a_session_that_is_made_again_and_again(
    store: sojourn.Sojourn, other: sojourn.Sojourn, place: Place
) -> None:
    key, done = place.key, 0
    await make(store, key)

    async def write(each: sojourn.Sojourn) -> None:
        nonlocal done
        for n in range(40):
            try:
                await each.sessions.append(key, said("x", **{f"k{n % 3}": n}))
                done += 1
            except sojourn.SessionNotFound:
                await each.sessions.ensure(*key, title="t")

    async def replace() -> None:
        for _ in range(15):
            await other.sessions.delete(key)
            await other.sessions.ensure(*key, title="t")
            found = await store.sessions.get(key)
            assert found is None or found.complete

    await asyncio.gather(write(store), write(other), replace())
    found = await store.sessions.get(key)
    assert found is not None
    assert found.complete
    assert done > 0
    assert await store.admin.quarantined(key.app, key.user) == []


async def test_a_rotated_session_is_read_and_written_under_its_new_id(
    store: sojourn.Sojourn, other: sojourn.Sojourn, place: Place
) -> None:
    await make(store, place.key, "one")
    former = await other.sessions.get(place.key)
    assert former is not None
    done = await store.sessions.rotate(place.key)
    with pytest.raises(sojourn.SessionNotFound):
        await other.sessions.append(place.key, said("x"))
    made = await store.sessions.get(done.key)
    assert made is not None
    with pytest.raises(sojourn.SessionRotated):
        await other.sessions.append(place.key, said("x"), incarnation=former.incarnation)
    with pytest.raises(sojourn.SessionNotFound):
        await other.sessions.append(done.key, said("x"), incarnation=former.incarnation)
    await other.sessions.append(done.key, said("two"))
    assert texts(await store.sessions.get(done.key)) == ["one", "two"]


async def test_a_session_of_an_older_version_has_no_log_id(
    store: sojourn.Sojourn, other: sojourn.Sojourn, place: Place
) -> None:
    key = place.key
    async with sojourn.open(place.server.url) as plain:
        await plain.sessions.create(*key)
    place.client.hdel(place.head, "log_id")
    place.keys.migrating = True
    await store.sessions.append(key, said("a", n=1))
    await other.sessions.save(key, events=[said("b")], state={"n": 2})
    await store.sessions.append(key, said("c"))
    assert not place.client.hexists(place.head, "log_id")
    found = await other.sessions.get(key)
    assert texts(found) == ["b", "c"]
    assert found is not None
    assert (found.state, found.complete) == ({"n": 2}, True)


# ── what scripts count and compare ─────────────────────────────────────────────────────────────


async def test_sizes_are_those_of_plain_values(place: Place) -> None:
    values = [{"a": "x" * 1000}, {"a": 1}, {"b": [1, 2], "c": "ö"}, {"a": None}]
    sizes: list[list[int]] = []
    for keys in (None, place.keys):
        key = place.key._replace(user=f"u{len(sizes)}", session="s")
        key = SessionKey.of(f"{key.app}-{len(sizes)}", *key[1:])
        tag = f"{{{key.app}:{key.user}}}"
        names = f"session:{tag}:s", f"state:{tag}", f"state:{{{key.app}}}"
        opened = (
            sojourn.open(place.server.url) if keys is None else open_sealed(place.server.url, keys)
        )
        found: list[int] = []
        async with opened as store:
            await store.sessions.create(
                *key, state={f"{scope}{k}": 1 for scope in ("", "user:", "app:") for k in "abc"}
            )
            for value in values:
                for scope in ("", "user:", "app:"):
                    delta = {f"{scope}{name}": each for name, each in value.items()}
                    await store.sessions.append(key, said("x", **delta))
                found += [place.bytes_of(name) for name in names]
            await store.sessions.remove_state(key, "b")
            found.append(place.bytes_of(names[0]))
            await store.sessions.save(key, state={"a": "y" * 100, "z": 1})
            found.append(place.bytes_of(names[0]))
            place.client.hdel(names[0], "bytes")  # it is counted again
            await store.sessions.append(key, said("x", z=12))
            found.append(place.bytes_of(names[0]))
        sizes.append(found)
    assert sizes[0] == sizes[1]


async def test_caps_count_plain_bytes(place: Place) -> None:
    async with open_sealed(place.server.url, place.keys, max_state_bytes=1000) as store:
        key = place.key
        await store.sessions.create(*key, state={"a": "x" * 900})
        with pytest.raises(TooLarge) as raised:
            await store.sessions.append(key, said("t", b="x" * 200))
        assert raised.value.size == len("ab") + 902 + 202
        await store.sessions.append(key, said("t", a="x" * 300, b="x" * 600))
        place.keys.renew(key.app, key.user)
        await store.sessions.append(key, said("t", a=1))
        assert place.bytes_of(place.head) == len("ab1") + 602
        place.client.hset(place.head, mapping={"state:a": "1"})


async def test_the_sum_of_a_log_is_that_of_its_stored_rows(
    store: sojourn.Sojourn, other: sojourn.Sojourn, place: Place
) -> None:
    await make(store, place.key, "a", "b", "c")
    rows = place.client.lrange(place.events, 0, -1)
    assert int(place.client.hget(place.head, "chain") or 0) == chained(None, rows)
    for _ in range(2):
        assert texts(await other.sessions.get(place.key)) == ["a", "b", "c"]
    before = other.stats().near_cache
    await store.sessions.append(place.key, said("d"))
    assert texts(await other.sessions.get(place.key)) == ["a", "b", "c", "d"]
    now = other.stats().near_cache
    assert (now.hits - before.hits, now.misses - before.misses) == (1, 0)


async def test_ids_of_events_are_compared(store: sojourn.Sojourn, place: Place) -> None:
    await make(store, place.key)
    ids = ["plain", 'quo"te', "back\\slash", "line\nbreak", "é", "\x7f"]
    for name in ids:
        await store.sessions.append(place.key, Event(author="a", payload=1, id=name))
    for name in ids:
        with pytest.raises(sojourn.EventExists):
            await store.sessions.append(place.key, Event(author="a", payload=1, id=name))
    place.client.delete(f"{place.head}:ids")
    with pytest.raises(sojourn.EventExists):
        await store.sessions.append(place.key, Event(author="a", payload=1, id=ids[3]))
    found = await store.sessions.get(place.key)
    assert found is not None
    assert [event.id for event in found.events] == ids


# ── tampered with ──────────────────────────────────────────────────────────────────────────────


def _plain_row(name: str) -> bytes:
    return encode_event(Event(author="mallory", payload="trust me", id=name), 10_000)[0]


TAMPERED: dict[str, Callable[[Place], object]] = {
    "event of another session": lambda p: p.client.lset(
        p.events, 0, p.client.lindex(p.events.replace("s:events", "t:events"), 0)
    ),
    "changed event": lambda p: p.client.lset(
        p.events,
        0,
        encoded(
            1,
            ("msgpack", f"aes-256-gcm:{p.keys.active[p.key.app, 'ada'].id}"),
            b'"e0"\n' + bytes(60),
        ),
    ),
    "plain event": lambda p: p.client.lset(p.events, 0, _plain_row("e0")),
    "packed event": lambda p: p.client.lset(
        p.events, 0, encoded(1, ("msgpack",), b'"e0"\n' + b"\x81\xa1a\x01")
    ),
    "swapped state": lambda p: p.client.hset(
        p.head, "state:k", p.client.hget(p.head, "state:j") or b""
    ),
    "state of the user": lambda p: p.client.hset(
        p.head, "state:k", p.client.hget(p.user, "state:k") or b""
    ),
    "plain state": lambda p: p.client.hset(p.head, "state:k", b'"trust me"'),
    "plain user state": lambda p: p.client.hset(p.user, "state:k", b'"trust me"'),
    "plain app state": lambda p: p.client.hset(p.app, "state:k", b'"trust me"'),
    "title": lambda p: p.client.hset(p.head, "title", p.client.hget(p.head, "summary") or b""),
    "plain title": lambda p: p.client.hset(p.head, "title", b"trust me"),
    "plain metadata": lambda p: p.client.hset(p.head, "metadata", b'{"m":"trust me"}'),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_what_was_tampered_with_is_left_out_and_kept_aside(
    store: sojourn.Sojourn, other: sojourn.Sojourn, place: Place, what: str
) -> None:
    key = place.key
    await make(store, key._replace(session="t"), "trust me")
    await make(store, key, "one", "two")
    await store.sessions.append(key, said("three", j="ginger"))
    whole = await store.sessions.get(key)
    assert whole is not None
    assert whole.complete
    TAMPERED[what](place)
    found = await other.sessions.get(key)
    assert found is not None
    assert not found.complete
    assert "trust me" not in repr(found)
    if "event" in what:
        assert texts(found) == ["two", "three"]
        assert found.state == whole.state
    elif "state" in what:
        missing = {"plain user state": "user:k", "plain app state": "app:k"}.get(what, "k")
        assert found.state == {k: v for k, v in whole.state.items() if k != missing}
    (kept,) = await other.admin.quarantined(key.app, key.user)
    assert kept.raw
    assert kept.raw in place.everything()
    if "event" not in what:
        page = await other.sessions.list(*key.owner, pattern="s")
        (listed,) = page.sessions
        assert not listed.complete
        assert "trust me" not in repr(listed)


async def test_plain_text_is_read_while_a_migration_is_under_way(
    store: sojourn.Sojourn, place: Place
) -> None:
    async with sojourn.open(place.server.url) as plain:
        await make(plain, place.key, "one")
    found = await store.sessions.get(place.key)
    assert found is not None
    assert (found.complete, found.events, found.state) == (False, [], {})
    place.keys.migrating = True
    await store.sessions.append(place.key, said("two", n=1))
    found = await store.sessions.get(place.key)
    assert texts(found) == ["one", "two"]
    assert found is not None
    assert (found.complete, found.state) == (True, {**STATE, "n": 1})


# ── without what it needs ──────────────────────────────────────────────────────────────────────

CALLS: dict[str, Callable[[sojourn.Sojourn, SessionKey], Awaitable[Any]]] = {
    "get": lambda s, key: s.sessions.get(key),
    "last": lambda s, key: s.sessions.get(key, last=0),
    "ensure": lambda s, key: s.sessions.ensure(*key),
    "user_state": lambda s, key: s.sessions.user_state(*key.owner),
    "history": lambda s, key: s.user(key.app, key.user).history(key.session).all(),
}


async def refused(
    store: sojourn.Sojourn, place: Place, error: type[SojournError], named: str = ""
) -> None:
    """Nothing is served, nothing is written, and nothing is taken for corrupt."""
    before = place.everything()
    for name, call in CALLS.items():
        with pytest.raises(error) as raised:
            await call(store, place.key)
        assert named in str(raised.value), name
    page = await store.sessions.list(*place.key.owner)
    assert (page.sessions, page.newer, page.corrupt) == ([], [place.key], [])
    batch = await store.batch.get([place.key])
    assert (dict(batch), batch.newer) == ({}, [place.key])
    assert await store.admin.quarantined(*place.key.owner) == []
    assert place.everything() == before


async def test_without_keys_or_with_others_it_says_which_is_missing(
    store: sojourn.Sojourn, place: Place
) -> None:
    await make(store, place.key, "one")
    wanted = place.keys.active[place.key.app, "ada"].id
    async with sojourn.open(place.server.url) as none:
        await refused(none, place, KeyMissing, wanted)
    wrong = TestKeys()
    await wrong.keys_of(place.key.app, "ada", (), create=True)
    async with open_sealed(place.server.url, wrong) as others:
        await refused(others, place, KeyMissing, wanted)


async def test_an_encoding_that_is_not_known_is_a_newer_one(place: Place) -> None:
    class Rot13:
        name = "rot13"

        def dumps(self, value: Any) -> bytes:
            return json.dumps(value).encode().hex().encode()

        def loads(self, data: bytes) -> Any:
            return json.loads(bytes.fromhex(data.decode()))

    async with sojourn.open(place.server.url, serializer=Rot13()) as store:
        await make(store, place.key, "one")
        assert texts(await store.sessions.get(place.key)) == ["one"]
    async with sojourn.open(place.server.url) as plain:
        await refused(plain, place, NewerFormat, "rot13")


async def test_a_destroyed_key_ends_reads_and_writes(store: sojourn.Sojourn, place: Place) -> None:
    await make(store, place.key, "one")
    assert texts(await store.sessions.get(place.key)) == ["one"]  # it is in the near-cache
    place.keys.destroy()
    await refused(store, place, Erased)
    before = place.everything()
    for write in WRITES.values():
        with pytest.raises(Erased):
            _raise(await write(store, place.key))
    assert place.everything() == before


def _raise(outcomes: Any) -> None:
    """What a batch says of its first entry."""
    raise outcomes[0]


# ── outages ────────────────────────────────────────────────────────────────────────────────────


async def test_a_journal_holds_no_word(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", any_binary(), ALWAYS).start()
    place, folder = Place(server, TestKeys()), tmp_path / "journal"
    options = {"on_outage": "buffer", "operation_timeout": 0.8, "journal": str(folder)}
    async with open_sealed(server.url, place.keys, **options) as store:
        made = await store.sessions.create(place.key.app, "ada", state=STATE)
        await store.sessions.append(made.key, said("bergamot"))
        server.stop(9)
        done = await store.sessions.append(made.key, said("cardamom", n="ginger"))
        assert not done.durable
        again = await store.sessions.create(
            place.key.app, "ada", title="fennel", state={"a": "ginger"}
        )
        await store.sessions.append(again.key, said("hibiscus", **{"user:t": "ginger"}))
        assert texts(await store.sessions.get(made.key)) == ["bergamot", "cardamom"]
        assert texts(await store.sessions.get(again.key)) == ["hibiscus"]
        place.keys.failure = Unavailable("The key is not cached, and no server answers.")
        with pytest.raises(Unavailable):
            await store.sessions.create(place.key.app, "bob")
        place.keys.failure = None
        written = b"".join(each.read_bytes() for each in folder.iterdir() if each.is_file())
        assert b"$encoded" in written
        assert [word for word in WORDS if word.encode() in written] == []
        server.start()
        report = await replayed(store)
        assert (report.applied, report.refused) == (3, ())
    async with open_sealed(server.url, place.keys) as other:
        first = await other.sessions.get(made.key)
        second = await other.sessions.get(again.key)
    assert texts(first) == ["bergamot", "cardamom"]
    assert texts(second) == ["hibiscus"]
    assert first is not None
    assert second is not None
    assert first.complete
    assert first.state == {**STATE, "n": "ginger", "user:t": "ginger"}
    assert (second.title, second.complete) == ("fennel", True)
    assert second.state["a"] == "ginger"
    place.client.close()
    server.close()


@pytest.mark.skipif(not FULL, reason="a journal that is sealed is enough for each change")
async def test_a_journal_in_plain_text_is_sealed_when_it_is_replayed(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", any_binary(), ALWAYS).start()
    place, folder = Place(server, TestKeys()), tmp_path / "journal"
    options: dict[str, Any] = {
        "on_outage": "buffer",
        "operation_timeout": 0.8,
        "journal": str(folder),
    }
    async with sojourn.open(server.url, **options) as plain:
        await plain.ping()
        server.stop(9)
        made = await plain.sessions.create(place.key.app, "ada", title="fennel", state=STATE)
        await plain.sessions.append(made.key, said("ginger", n="hibiscus"))
    server.start()
    async with open_sealed(server.url, place.keys, **options) as store:
        report, _ = await asyncio.gather(replayed(store), store.sessions.count("shop", "ada"))
        assert (report.applied, report.refused) == (2, ())
        found = await store.sessions.get(made.key)
        assert texts(found) == ["ginger"]
        assert found is not None
        assert (found.title, found.state, found.complete) == (
            "fennel",
            {**STATE, "n": "hibiscus"},
            True,
        )
    stored = place.everything()
    assert [word for word in WORDS if word.encode() in stored] == []
    place.client.close()
    server.close()


# ── export and import ──────────────────────────────────────────────────────────────────────────


async def test_what_is_read_to_be_archived_is_open_and_what_is_restored_is_sealed(
    store: sojourn.Sojourn, place: Place
) -> None:
    await make(store, place.key, "bergamot", "cardamom")
    codec = store.stores.rooms["sessions"].parts.store
    stored = await codec.run(ReadStoredSession(place.key))
    part = await codec.run(ReadLogSlice(place.key, 1, 10, 10_000))
    assert stored.state == {"k": b'"bergamot"'}
    assert stored.head.fields["title"] == b"earlgrey"
    assert [b"bergamot" in row for row in part.rows] == [True, False]
    new = place.key._replace(session="t")
    head = stored.head._replace(incarnation="restored")
    await codec.run(StageEvents(new, "n", 0, 0, part.rows[:1], head.log_id))
    image = ArchivedSession(head, stored.state, "n", 1, part.rows[1:])
    assert await codec.run(RestoreSession(new, image, replace=False)) == "restored"
    found = await store.sessions.get(new)
    assert texts(found) == ["bergamot", "cardamom"]
    assert found is not None
    assert (found.title, found.complete) == ("earlgrey", True)
    state = await codec.run(ReadStoredState(place.key.owner))
    assert state.pairs == {"k": b'"cardamom"'}
    eve = place.key.owner._replace(user="eve")
    assert await codec.run(RestoreState(eve, state.pairs, None, replace=False)) == "restored"
    assert await store.sessions.user_state(*eve) == {"k": "cardamom"}
    stored_bytes = place.everything()
    assert [word for word in WORDS if word.encode() in stored_bytes] == []


def test_errors_are_of_one_kind() -> None:
    assert issubclass(KeyMissing, Undecodable)
    assert issubclass(NewerFormat, Undecodable)


class SlowKeys(TestKeys):
    """Keys that take a while, and how many were asked for at once."""

    __test__ = False
    asking = most = 0

    async def keys_of(self, *args: Any, **options: Any) -> Any:
        self.asking += 1
        self.most = max(self.most, self.asking)
        await asyncio.sleep(0)
        self.asking -= 1
        return await super().keys_of(*args, **options)


async def test_a_list_of_many_users_asks_for_their_keys_at_once(shared_server: Server) -> None:
    app, keys = f"many-{secrets.token_hex(4)}", SlowKeys()
    async with open_sealed(shared_server.url, keys) as store:
        for number in range(6):
            await store.sessions.create(app, f"user-{number}", title=f"t{number}")
        keys.most = 0
        page = await store.sessions.list(app)
        assert sorted(each.title for each in page.sessions) == [f"t{n}" for n in range(6)]
        assert keys.most == 6
