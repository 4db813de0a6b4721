"""Content is encoded anew under live traffic, in every room, and reads as it did."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

import sojourn
from extent import FULL
from jobs.kit import records
from planting import ROWS_OF_SERVERS, Planter, planters
from servers import Server
from sojourn import ConfigurationError, Event, InvalidInput, SessionKey, UserKey
from sojourn.codecs.growth import MARK
from sojourn.ids import tenant_of
from sojourn.keys import KeyRing
from sojourn.security import Principal
from sojourn.surfaces.cli import main

ADA = UserKey.of("shop", "ada")
TESTS = Path(__file__).parents[1]


ROWS = ROWS_OF_SERVERS if FULL or "TOPOLOGIES" in os.environ else ["cluster"]


@pytest.fixture(scope="module", params=ROWS)
def planter(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Planter]:
    yield from planters(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def raw(shared_server: Server) -> Iterator[Any]:
    with redis.Redis.from_url(shared_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
async def plain(raw: Any, shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(shared_server.url) as store:
        yield store


@pytest.fixture
async def packed(raw: Any, shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(shared_server.url, serializer="msgpack") as store:
        yield store


async def put(store: sojourn.Sojourn, owner: UserKey, word: str) -> None:
    """Put a word into the content of each room; names say nothing."""
    app, user = owner
    state = {"own": word, "user:theirs": word, f"app:{user}": word}
    made = await store.sessions.create(app, user, "s", state=state, title=word, summary=word)
    await store.sessions.update(made.key, metadata={"m": word}, labels={"flow": "order"})
    for number in range(30):
        await store.sessions.append(made.key, Event(id=f"{number}", author="u", payload=[word]))
    await store.artifacts.save(made.key, "f", word.encode(), metadata={"m": word})
    await store.artifacts.save(made.key, "f", word.encode() * 100_000)  # of two chunks
    await store.artifacts.save(owner, "f", b"")
    mine = store.memory.user(user, app=app)
    await mine.put("k", {"v": word}, text=word, metadata={"m": word})
    await mine.put("l", word)
    await store.memory.agent("a", app=app).put("k", word)
    await store.cache.put("c", word, tenant=tenant_of(owner), tags=["t"])
    await store.cache.put("c", word)
    handle = store.guard().user(Principal.of(app, user))
    await handle.streams.open("1" * 32)
    await handle.streams.add("1" * 32, "stream", word)


async def picture(store: sojourn.Sojourn, owner: UserKey) -> list[object]:
    """What the rooms give of a user."""
    app, user = owner
    key = SessionKey.of(app, user, "s")
    found = await store.sessions.get(key)
    assert found is not None
    files = [
        await store.artifacts.load(of, "f", version=version)
        for of, versions in ((key, 2), (owner, 1))
        for version in range(versions)
    ]
    scopes = [store.memory.user(user, app=app), store.memory.agent("a", app=app)]
    handle = store.guard().user(Principal.of(app, user))
    return [
        (found.version, found.state, found.title, found.summary, found.metadata, found.complete),
        [(event.id, event.payload) for event in found.events],
        files,
        [(await scope.list()).entries for scope in scopes],
        [[hit.entry.key for hit in await scope.search("needle")] for scope in scopes],
        await store.cache.get("c", tenant=tenant_of(owner)),
        await store.cache.get("c"),
        await handle.streams.after("1" * 32, 0),
    ]


def values(found: dict[str, Any]) -> list[bytes]:
    return [
        each
        for value in found.values()
        for each in (value.values() if isinstance(value, dict) else value)
    ]


def encoded(found: dict[str, Any]) -> int:
    """How many values of some records are encoded."""
    return sum(MARK in each for each in values(found))


def without_uploads(found: dict[str, Any]) -> dict[str, Any]:
    """Records without data of artifacts, and with the names of those left out."""
    return {
        name: {field: part for field, part in value.items() if field[:5] != b"data:"}
        if isinstance(value, dict)
        else value
        for name, value in found.items()
        if ":data:" not in name and not name.startswith("keys:")
    }


MASTER = KeyRing.new(migrating=True)
WAYS: dict[str, dict[str, Any]] = {
    "msgpack": {"serializer": "msgpack"},
    "zstd": {"compression": "zstd"},
    "sealed": {"keys": MASTER, "compression": "zstd", "serializer": "msgpack"},
}


@pytest.mark.parametrize("way", WAYS if FULL else ["sealed"])
async def test_all_is_encoded_anew_reads_the_same_and_comes_back(
    planter: Planter, way: str
) -> None:
    planter.client.flushall()
    word = "needle " * 40
    async with (
        sojourn.open(planter.url) as plain,
        sojourn.open(planter.url, **WAYS[way]) as other,
    ):
        for user in ("ada", "bob"):
            await put(plain, UserKey.of("shop", user), word)
        planter.plant("session:{shop:ada}:s", {b"mood": b"good"})
        before, shown = records(planter.client), await picture(plain, ADA)
        lives = {name: planter.client.pttl(name) for name in before}
        done = await other.admin.reseal()
        after = records(planter.client)
        assert (done.names, done.complete) == ([], True)
        assert encoded(before) == 0
        assert encoded(after) > 80
        assert await picture(other, ADA) == shown
        if way == "sealed":
            gone = {name for name in after if ":data:" in name and b"version" in after[name]}
            kept = {name: value for name, value in after.items() if name not in gone & {*before}}
            assert [value for value in values(kept) if b"needle" in value] == []
        again = await other.admin.reseal()
        assert (again.rewritten, records(planter.client)) == (0, after)
        await other.admin.reseal(plain=True)
        back = records(planter.client)
        assert without_uploads(back) == without_uploads(before)
        assert await picture(plain, ADA) == shown
        for name in without_uploads(before):
            assert lives[name] - 60_000 < planter.client.pttl(name) <= lives[name], name
    planter.assert_nothing_in_quarantine()


async def test_only_what_is_a_users(plain: sojourn.Sojourn, packed: Any, raw: Any) -> None:
    for user in ("ada", "ada2"):
        await put(plain, UserKey.of("shop", user), "word")
    await put(plain, UserKey.of("travel", "ada"), "word")
    await packed.admin.reseal("shop", "ada")
    touched = {
        name.split("{")[1].split("}")[0]
        for name, value in records(raw).items()
        if encoded({name: value})
    }
    assert touched <= {"shop:ada", "shop:user:ada"} | {f"shop%3Aada#{n}" for n in range(16)}
    assert len(touched) == 3
    with pytest.raises(InvalidInput, match="both"):
        await packed.admin.reseal("shop")


async def test_writers_of_both_forms_go_on_meanwhile(
    plain: sojourn.Sojourn, packed: sojourn.Sojourn, raw: Any
) -> None:
    keys = [(await plain.sessions.create("shop", "ada", f"s{n}")).key for n in range(4)]
    counts: dict[SessionKey, int] = dict.fromkeys(keys, 0)
    over = asyncio.Event()

    async def write(key: SessionKey, store: sojourn.Sojourn) -> None:
        while not over.is_set():
            counts[key] += 1
            delta = {"last": counts[key], f"k{counts[key] % 20}": counts[key]}
            event = Event(id=str(counts[key]), author="user", payload=1, state_delta=delta)
            await store.sessions.append(key, event)

    writers = [
        asyncio.create_task(write(key, store))
        for key, store in zip(keys, (plain, packed, plain, packed), strict=True)
    ]
    while min(counts.values()) < 50:
        await asyncio.sleep(0)
    done = await packed.admin.reseal(progress=lambda at: at.passed > 1 and over.set())
    over.set()
    await asyncio.gather(*writers)
    assert done.complete
    await packed.admin.reseal()
    assert encoded(records(raw)) > 400
    for key in keys:
        session = await plain.sessions.get(key)
        assert session is not None
        assert [event.id for event in session.events] == [str(n + 1) for n in range(counts[key])]
        assert session.state["last"] == counts[key]
        assert session.complete


async def test_artifacts_are_read_saved_and_moved_meanwhile(
    plain: sojourn.Sojourn, raw: Any, shared_server: Server
) -> None:
    word = b"needle " * 100_000
    keys = [(await plain.sessions.create("shop", "ada", f"s{n}")).key for n in range(6)]
    for key in keys:
        for number in range(3):
            await plain.artifacts.save(key, "f", word + b"%d" % number)
    over = asyncio.Event()
    loaded = 0

    async with sojourn.open(shared_server.url, **WAYS["sealed"]) as sealed:

        async def read(store: sojourn.Sojourn) -> None:
            nonlocal loaded
            while not over.is_set():
                for key in keys[:3]:
                    for number in range(3):
                        found = await store.artifacts.load(key, "f", version=number)
                        assert found is not None
                        assert found.data == word + b"%d" % number
                        loaded += 1

        async def change() -> None:
            await sealed.artifacts.save(keys[3], "f", b"new")
            keys[4] = (await sealed.rotate(keys[4])).key
            await sealed.artifacts.delete(keys[5], "f")

        readers = [asyncio.create_task(read(sealed)) for _ in range(2)]
        changing = asyncio.create_task(change())
        done = await sealed.admin.reseal()
        await changing
        over.set()
        await asyncio.gather(*readers)
        assert loaded > 0
        assert (done.names, done.complete) == ([], True)
        assert (await sealed.admin.reseal()).rewritten == 0
        for key in keys[3:5]:
            found = [await sealed.artifacts.load(key, "f", version=number) for number in range(3)]
            texts = [each.data for each in found if each is not None]
            assert texts == [word + b"%d" % number for number in range(3)]
        assert await sealed.artifacts.names(keys[5]) == []
    heads = [value for name, value in records(raw).items() if name[-2:] == ":f"]
    versions = [part for head in heads for name, part in head.items() if b"version:" in name]
    assert {part[:1] for part in versions} == {MARK}


async def test_a_delta_that_waits_in_an_outbox(
    plain: sojourn.Sojourn, packed: sojourn.Sojourn, raw: Any
) -> None:
    key = (await plain.sessions.create("shop", "ada", "s")).key
    entry = '{"stamp":7,"more":[1],"delta":{"a":"{\\"x\\":1}","b":"\\"é\\""}}'
    raw.hset("outbox:{shop:ada}", "op", entry)
    raw.hset("outbox:{shop:ada}", "damaged", "{")
    await packed.admin.reseal()
    stored = raw.hget("outbox:{shop:ada}", "op")
    assert b'"more":[1]' in stored
    assert stored.count(b"$encoded") == 2
    assert raw.hget("outbox:{shop:ada}", "damaged") == b"{"
    await packed.admin.reseal(plain=True)
    assert raw.hget("outbox:{shop:ada}", "op") == entry.encode()
    await packed.admin.reseal()
    session = await plain.sessions.get(key)
    assert session is not None
    assert (session.state["app:a"], session.state["app:b"]) == ({"x": 1}, "é")


async def test_what_cannot_be_opened_stays_and_is_named(
    plain: sojourn.Sojourn, packed: sojourn.Sojourn, raw: Any
) -> None:
    for name in ("one", "two"):
        key = (await packed.sessions.create("shop", "ada", name, state={"a": {"b": 1}})).key
        for number in range(3):
            await packed.sessions.append(key, Event(author="user", payload={"n": number}))
    row = raw.lindex("session:{shop:ada}:one:events", 1)
    raw.lset("session:{shop:ada}:one:events", 1, row[:-1] + b"x")
    raw.hset("session:{shop:ada}:two", "state:a", b"\xff1 msgpack\n??00000000")
    done = await plain.admin.reseal(plain=True)
    assert raw.lindex("session:{shop:ada}:one:events", 1) == row[:-1] + b"x"
    assert raw.lindex("session:{shop:ada}:one:events", 2)[:1] == b"{"
    assert done.left == 1
    assert done.names[0].startswith("session:{shop:ada}:two: ")


POINTS = range(1, 40, 2) if FULL else (9,)
CHILD = """
import asyncio, os, signal, sys
import sojourn

async def reseal(url, calls):
    async with sojourn.open(url, serializer="msgpack") as store:
        def one_more(fact):
            nonlocal calls
            calls -= 1
            if calls == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        store.on_call(one_more)
        await store.admin._jobs.reseal(lease=0.2)

asyncio.run(reseal(sys.argv[1], int(sys.argv[2])))
"""
OF_A_USER = CHILD.replace(
    'serializer="msgpack"', "keys=sys.argv[3], key_cache_seconds=0.05, operation_timeout=1.0"
).replace("reseal(lease", "reseal(sojourn.UserKey.of('shop', 'ada'), lease")


async def test_a_damaged_event_is_not_sealed_as_if_it_were_sound(
    plain: sojourn.Sojourn, raw: Any, shared_server: Server
) -> None:
    """Its checksum is all that tells: what is encoded gets another one."""
    key = (await plain.sessions.create("shop", "ada")).key
    await plain.sessions.append(key, *(Event(author="user", payload=f"word {n}") for n in range(3)))
    log = f"session:{{shop:ada}}:{key.session}:events"
    row = raw.lindex(log, 1).replace(b"word 1", b"ward 1")
    raw.lset(log, 1, row)
    async with sojourn.open(shared_server.url, keys=KeyRing.new(migrating=True)) as store:
        await store.admin.reseal()
        assert raw.lindex(log, 1) == row
        assert [raw.lindex(log, at)[:1] for at in (0, 2)] == [MARK, MARK]
        found = await store.sessions.get(key)
        assert [event.payload for event in found.events] == ["word 0", "word 2"]
        assert [each.raw for each in await store.admin.quarantined("shop", "ada")] == [row]


@pytest.mark.parametrize("calls", POINTS)
async def test_a_job_that_is_killed_goes_on(
    plain: sojourn.Sojourn, raw: Any, shared_server: Server, calls: int
) -> None:
    await put(plain, ADA, "word")
    before, shown = records(raw), await picture(plain, ADA)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, shared_server.url, str(calls), cwd=TESTS
    )
    assert await child.wait() == -9
    assert await picture(plain, ADA) == shown
    async with sojourn.open(shared_server.url, serializer="msgpack") as packed:
        assert (await packed.admin._jobs.reseal(lease=0.2)).complete
        assert await picture(packed, ADA) == shown
    await plain.admin.reseal(plain=True)
    assert without_uploads(records(raw)) == without_uploads(before)


async def test_memory_has_nothing_to_reseal() -> None:
    async with sojourn.open("memory://") as store:
        with pytest.raises(ConfigurationError):
            await store.admin.reseal()


def test_the_command(shared_server: Server, raw: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with sojourn.sync.open(shared_server.url) as store:
        store.sessions.create("shop", "ada", state={"a": {"b": 1}})
    for words, said in (
        ([f"{shared_server.url}?serializer=msgpack"], "1 record rewritten"),
        ([f"{shared_server.url}?serializer=msgpack", "--user", "shop", "ada"], "0 records"),
        ([shared_server.url, "--plain", "--json"], '"rewritten": 1'),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["reseal", *words])
        out = capsys.readouterr()
        assert (ended.value.code, said in out.out) == (0, True), out


# ── a user's data key ──────────────────────────────────────────────────────────────────────────


async def test_a_user_gets_a_new_data_key_and_the_old_one_is_removed(
    raw: Any, shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sojourn.jobs.service._MOVING", 0.05)
    options = {"keys": KeyRing.new(), "key_cache_seconds": 0.1, "operation_timeout": 1.0}
    async with (
        sojourn.open(shared_server.url, **options) as store,
        sojourn.open(shared_server.url, **options) as other,
    ):
        keys = store.admin.keys
        key = (await store.sessions.create("shop", "ada", state={"a": "word"}, title="word")).key
        bob = (await store.sessions.create("shop", "bob", state={"a": "word"})).key
        for number in range(40):
            await store.sessions.append(key, Event(id=f"{number}", author="user", payload="word"))
        shown, before = await store.sessions.get(key), records(raw)
        (old,) = [info.id for info in await keys.of("shop", "ada")]
        over, written = asyncio.Event(), 40

        async def write() -> None:
            nonlocal written
            while not over.is_set():
                event = Event(id=f"{written}", author="user", payload="word")
                await other.sessions.append(key, event)
                written += 1
                await asyncio.sleep(0)

        writer = asyncio.create_task(write())
        done = await store.admin.reseal("shop", "ada")
        over.set()
        await writer
        assert (done.complete, done.dropped) == (True, [old])
        (new,) = [info.id for info in await keys.of("shop", "ada")]
        after = records(raw)
        assert new != old
        assert not [name for name, value in after.items() if old.encode() in repr(value).encode()]
        assert (
            after[f"session:{{shop:bob}}:{bob.session}"]
            == (before[f"session:{{shop:bob}}:{bob.session}"])
        )
        again = await other.sessions.get(key)
        assert shown is not None
        assert again is not None
        assert (again.state, again.title) == (shown.state, shown.title)
        assert [event.id for event in again.events] == [str(number) for number in range(written)]


async def test_a_session_that_is_renamed_meanwhile_keeps_its_content(
    raw: Any, shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key that has sealed it is removed only when its keys were not passed over."""
    monkeypatch.setattr("sojourn.jobs.service._MOVING", 0.05)
    options = {"keys": KeyRing.new(), "key_cache_seconds": 0.05, "operation_timeout": 0.5}
    async with sojourn.open(shared_server.url, **options) as store:
        key = (await store.sessions.create("shop", "ada", state={"a": "word"})).key
        for number in range(5):
            await store.sessions.append(key, Event(id=f"{number}", author="user", payload="word"))
        passes: list[int] = []

        async def rotate() -> None:
            nonlocal key
            while len(passes) < 3:
                key = (await store.sessions.rotate(key)).key
                await asyncio.sleep(0)

        rotating = asyncio.create_task(rotate())
        tell = lambda at: passes.append(at.passed)  # noqa: E731
        done = await store.admin.reseal("shop", "ada", progress=tell)
        await rotating
        assert done.complete
        assert len(done.dropped) == 1
        session = await store.sessions.get(key)
        assert session is not None
        assert session.state == {"a": "word"}
        assert len(session.events) == 5


@pytest.mark.skipif(not FULL, reason="waits until no process has the key before: two minutes")
@pytest.mark.parametrize("calls", range(1, 96, 2))
async def test_a_killed_change_of_a_users_key_is_finished_by_the_next(
    raw: Any, shared_server: Server, tmp_path: Path, calls: int
) -> None:
    file = tmp_path / "keys.json"
    KeyRing.new().save(file)
    options = {"keys": str(file), "key_cache_seconds": 0.05, "operation_timeout": 1.0}
    async with sojourn.open(shared_server.url, **options) as store:
        await put(store, ADA, "word")
        shown = await picture(store, ADA)
        first = {info.id for info in await store.admin.keys.of("shop", "ada")}
    words = ("-c", OF_A_USER, shared_server.url, str(calls), str(file))
    child = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=TESTS)
    assert await child.wait() in (-9, 0)
    async with sojourn.open(shared_server.url, **options) as store:
        assert await picture(store, ADA) == shown
        done = await store.admin._jobs.reseal(ADA, lease=0.2)
        (left,) = [info.id for info in await store.admin.keys.of("shop", "ada")]
        assert done.complete
        assert left not in first
        assert await picture(store, ADA) == shown
    live = {name: value for name, value in records(raw).items() if not name.startswith("keys:")}
    gone = {name for name in live if ":data:" in name and 0 < raw.ttl(name) <= 600}
    stored = [value for name, value in live.items() if name not in gone]
    assert not [key for key in first if key in repr(stored)]


async def test_who_is_forgotten_leaves_no_job_behind(
    plain: sojourn.Sojourn, packed: sojourn.Sojourn, raw: Any
) -> None:
    await put(plain, ADA, "word")

    def stop(_: object) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await packed.admin.reseal("shop", "ada", progress=stop)
    assert raw.keys("job:*") == [b"job:{reseal:shop:ada}"]
    receipt = await plain.admin.forget("ada", app="shop")
    assert raw.keys("job:*") == []
    assert receipt.erased["jobs"] == 1


async def test_without_the_keys_nothing_is_done(raw: Any, shared_server: Server) -> None:
    async with sojourn.open(shared_server.url, keys=KeyRing.new()) as store:
        key = (await store.sessions.create("shop", "ada", state={"a": "word"})).key
        await store.sessions.append(key, Event(author="user", payload="word"))
    before = records(raw)
    async with sojourn.open(shared_server.url) as store:
        done = await store.admin.reseal(plain=True)
    assert records(raw) == before
    assert done.left == 2
    assert "key" in done.names[0]


async def test_plain_text_is_sealed_while_a_migration_is_under_way(
    plain: sojourn.Sojourn, raw: Any, shared_server: Server
) -> None:
    await put(plain, ADA, "wordy")
    before, shown, ring = records(raw), await picture(plain, ADA), KeyRing.new()
    async with sojourn.open(shared_server.url, keys=ring) as store:
        assert (await store.admin.reseal()).left > 0
    assert records(raw).items() >= before.items()
    async with sojourn.open(shared_server.url, keys=ring.migrate(migrating=True)) as store:
        assert (await store.admin.reseal()).complete
    async with sojourn.open(shared_server.url, keys=ring) as store:
        assert await picture(store, ADA) == shown
        assert (await store.admin.reseal()).rewritten == 0
        with pytest.raises(ConfigurationError, match="migrating"):
            await store.admin.reseal(plain=True)


async def test_plain_text_is_not_written_where_the_ring_refuses_it(shared_server: Server) -> None:
    shared_server.ask("FLUSHALL")
    async with sojourn.open(shared_server.url, keys=KeyRing.new()) as store:
        key = (await store.sessions.create("shop", "ada", title="tea")).key
        with pytest.raises(ConfigurationError, match="migrating FILE on"):
            await store.admin.reseal(plain=True)
        found = await store.sessions.get(key)
        assert found is not None
        assert (found.title, found.complete) == ("tea", True)
