"""Records are brought to another format under live traffic; cut off, it loses none."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

import sojourn
from extent import FULL
from jobs.kit import Records, records
from jobs.major2 import back, flipped, known
from planting import ROWS_OF_SERVERS, Planter, planters
from servers import Server
from sojourn import (
    ConfigurationError,
    Conflict,
    Event,
    InvalidInput,
    NewerFormat,
    SessionKey,
    UserKey,
)
from sojourn.calls.call import Call, only
from sojourn.calls.keys import USER_TAG, KeyKind, Keys
from sojourn.codecs import growth
from sojourn.doctor.checks.access import acl_rule
from sojourn.jobs.job import JobProgress, JobRun
from sojourn.jobs.keys import JobRoomKeys
from sojourn.jobs.lease import Lease
from sojourn.jobs.records import Fields, LogRows
from sojourn.rooms import ROOMS, OpenRoom, Room, StoreKeys, register
from sojourn.surfaces.cli import main
from sojourn.testing.forgetting import fill

ADA = UserKey.of("shop", "ada")
TESTS = Path(__file__).parents[1]


def as_before(found: Records) -> Records:
    """Records of either format as they were in format 1."""
    return {
        name: {key: back(field) for key, field in value.items() if key != b"format"}
        if isinstance(value, dict)
        else [back(row) for row in value]
        for name, value in found.items()
        if name != "format" and not name.startswith("job:")
    }


def majors(found: Records) -> dict[int, int]:
    """How many records and rows there are of each major format."""
    counts = {1: 0, 2: 0}
    for name, value in found.items():
        if isinstance(value, dict) and name != "format" and not name.startswith("job:"):
            counts[growth.major_of(value.get(b"format"))] += 1
        elif isinstance(value, list):
            for row in value:
                parsed = growth.parse(row)
                counts[1 if parsed is None else parsed.major] += 1
    return counts


ROWS = ROWS_OF_SERVERS if FULL or "TOPOLOGIES" in os.environ else ["redis-6.2"]


@pytest.fixture(scope="module", params=ROWS)
def planter(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Planter]:
    yield from planters(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
async def store(planter: Planter) -> AsyncIterator[sojourn.Sojourn]:
    planter.client.flushall()
    async with sojourn.open(planter.url) as store:
        yield store


@pytest.fixture
async def alone(shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
    with shared_server.client() as client:
        client.flushall()
    async with sojourn.open(shared_server.url) as store:
        yield store


@pytest.fixture
def raw(shared_server: Server) -> Iterator[Any]:
    with redis.Redis.from_url(shared_server.url) as client:
        yield client


async def test_all_records_of_all_rooms_are_upgraded_and_nothing_else_changes(
    store: sojourn.Sojourn, planter: Planter
) -> None:
    for user in ("ada", "bob"):
        await fill(store, UserKey.of("shop", user), user)
    key = (await store.sessions.create("shop", "ada", "long", state={"plan": [1, 2]})).key
    for part in range(3):
        events = [Event(author="user", payload=f"{part}-{number}") for number in range(20)]
        for event in events:
            await store.sessions.append(key, event)
    planter.plant("session:{shop:ada}:long", {b"mood": b"good"})
    before = records(planter.client)
    lives = {name: planter.client.pttl(name) for name in before}
    told: list[JobProgress] = []
    with known():
        done = await store.admin.upgrade(2, progress=told.append)
    after = records(planter.client)
    assert as_before(after) == as_before(before)
    kinds = {name.partition(":")[0] for name, value in after.items() if value != before.get(name)}
    rewritten = {"session", "state", "memory", "artifact", "cache", "mcp", "format"}
    assert kinds == rewritten
    assert majors({name: value for name, value in after.items() if ":events" in name})[1] == 0
    assert done.complete
    assert done.rewritten > 30
    assert told[-1].keys == told[-1].of > 0
    assert not planter.client.keys("job:*")
    for name, life in lives.items():
        assert life - 60_000 < planter.client.pttl(name) <= life, name
    planter.assert_nothing_in_quarantine()


async def test_a_second_upgrade_finds_nothing_to_do(alone: sojourn.Sojourn) -> None:
    await fill(alone, ADA)
    with known():
        first = await alone.admin.upgrade(2)
        again = await alone.admin.upgrade(2)
    assert (first.rewritten > 0, again.rewritten, again.passes) == (True, 0, 1)


async def test_an_old_version_reads_what_is_not_upgraded_and_tells_the_rest(
    alone: sojourn.Sojourn, raw: Any
) -> None:
    one, two = await fill(alone, ADA)
    with known():
        await alone.admin.upgrade(2)
    for name, value in records(raw).items():  # that of `two` is as if it were still to come
        if name.startswith("session:{shop:ada}:secret-1") and isinstance(value, dict):
            raw.hset(name, mapping={key: back(field) for key, field in value.items()})
            raw.hset(name, "format", "1")
        elif name.startswith("session:{shop:ada}:secret-1"):
            for place, row in enumerate(value):
                raw.lset(name, place, back(row))
        elif name in {"state:{shop:ada}", "state:{shop}"}:
            raw.hset(name, mapping={key: back(field) for key, field in value.items()})
            raw.hset(name, "format", "1")
    with pytest.raises(NewerFormat):
        await alone.sessions.get(one)
    read = await alone.sessions.get(two)
    assert read is not None
    assert (read.title, read.state["own"], len(read.events)) == ("secret", "secret", 1)
    assert await alone.admin.quarantined("shop", "ada") == []


# ── what ends a job ────────────────────────────────────────────────────────────────────────────

POINTS = range(1, 60) if FULL else (14,)


@pytest.mark.parametrize("calls", POINTS)
async def test_a_job_that_is_killed_goes_on(
    alone: sojourn.Sojourn, raw: Any, shared_server: Server, calls: int
) -> None:
    await fill(alone, ADA)
    before = records(raw)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "jobs.major2", shared_server.url, str(calls), cwd=TESTS
    )
    assert await child.wait() == -9
    assert as_before(records(raw)) == as_before(before)
    with known():
        done = await alone.admin._jobs.upgrade(2, lease=0.2)
    after = records(raw)
    assert as_before(after) == as_before(before)
    assert majors({name: value for name, value in after.items() if ":events" in name})[1] == 0
    assert done.complete


async def test_one_run_at_a_time_and_the_next_waits_for_one_that_was_killed(
    alone: sojourn.Sojourn,
) -> None:
    engine = alone._engine
    assert engine is not None
    first = Lease(engine, "job:{test}", "1", 0.3)
    await first.take()
    renewing = asyncio.create_task(_renew(first))
    with pytest.raises(Conflict, match="under way"):
        await Lease(engine, "job:{test}", "1", 0.1).take()
    renewing.cancel()
    await first.keep({"node:a": "7"})
    await first.release(done=False)
    second = Lease(engine, "job:{test}", "1", 0.1)
    assert (await second.take())["node:a"] == "7"
    third = Lease(engine, "job:{test}", "1", 60)
    assert (await third.take())["node:a"] == "7"  # the second is as if it were killed
    with pytest.raises(Conflict, match="late"):
        await second.keep({"node:a": "8"})
    await third.release(done=False)
    assert "node:a" not in await Lease(engine, "job:{test}", "2", 60).take()


async def _renew(lease: Lease) -> None:
    """Keep it for as long as somebody waits for it."""
    while True:
        await lease.keep({})
        await asyncio.sleep(0.05)


async def test_a_run_goes_on_where_the_one_before_it_stopped(
    alone: sojourn.Sojourn, raw: Any
) -> None:
    pipe = raw.pipeline()
    for number in range(2000):
        pipe.hset(f"memory:{{shop:user:{number}}}:entry:a", mapping={"value": "1", "version": 1})
    pipe.execute()

    class Stop(Exception):
        pass

    seen: list[int] = []

    def stop(at: JobProgress) -> None:
        seen.append(at.keys)
        if len(seen) == 5:
            raise Stop

    with known():
        with pytest.raises(Stop):
            await alone.admin.upgrade(2, progress=stop)
        half = sum(b"format" in fields for fields in records(raw).values())
        assert 0 < half < 2000
        read: list[Any] = []
        stop_telling = alone.on_call(lambda fact: read.append(fact.name))
        done = await alone.admin.upgrade(2)
        stop_telling()
    assert done.complete
    assert sum(b"format" in fields for fields in records(raw).values()) == 2000
    swaps = read.count("jobs.swap")
    assert swaps <= 2000 - half + 200


async def test_a_rate_is_kept(alone: sojourn.Sojourn, raw: Any) -> None:
    for number in range(48):
        raw.hset(f"memory:{{shop:user:{number}}}:entry:a", mapping={"value": "1", "version": 1})
    began = time.monotonic()
    with known():
        await alone.admin.upgrade(2, rate=400)
    assert time.monotonic() - began > 0.18  # two passes of 48 records, the last 8 of each at once


# ── live traffic ───────────────────────────────────────────────────────────────────────────────


async def test_what_is_appended_and_set_meanwhile_is_all_there(
    store: sojourn.Sojourn, planter: Planter
) -> None:
    keys = [(await store.sessions.create("shop", "ada", f"s{n}")).key for n in range(3)]
    counts: dict[SessionKey, int] = dict.fromkeys(keys, 0)
    over = asyncio.Event()

    async def write(key: SessionKey) -> None:
        while not over.is_set():
            counts[key] += 1
            delta = {f"k{counts[key] % 20}": counts[key]}
            event = Event(id=str(counts[key]), author="user", payload=1, state_delta=delta)
            await store.sessions.append(key, event)

    writers = [asyncio.create_task(write(key)) for key in keys]
    with known(refresh=-1.95):
        while min(counts.values()) < 40:
            await asyncio.sleep(0)
        done = await store.admin.upgrade(2, progress=lambda at: at.passed > 1 and over.set())
        await asyncio.gather(*writers)
    found = as_before(records(planter.client))
    assert done.passes > 1
    for key in keys:
        name = f"session:{{shop:ada}}:{key.session}"
        last = counts[key]
        rows = [f'"id":"{number}"'.encode() for number in range(1, last + 1)]
        assert [part in row for part, row in zip(rows, found[f"{name}:events"], strict=True)]
        values = {number % 20: number for number in range(1, last + 1)}
        state = {int(f[7:]): int(v) for f, v in found[name].items() if f.startswith(b"state:")}
        assert state == values


class Touching:
    """Work on hashes and rows that others change between reading and writing."""

    name, what, owner, whole, kinds = "test", "1", None, True, None
    replaced = missed = 0

    def __init__(self, touch: Callable[[], Any], times: int) -> None:
        self.touch = touch
        self.times = times

    async def _touched(self) -> None:
        self.times -= 1
        if self.times >= 0:
            await asyncio.to_thread(self.touch)

    async def fields(self, kind: str, key: str, fields: Fields) -> Mapping[bytes, bytes]:
        if kind != "remembered":
            return fields
        await self._touched()
        return {**fields, b"value": b"new"}

    async def rows(self, session: str, log: LogRows) -> list[bytes]:
        new = [row.replace(b'"a"', b'"b"') for row in log.rows]
        if new != list(log.rows):
            await self._touched()
        return new


def run_of(store: sojourn.Sojourn, work: Any) -> JobRun:
    engine = store._engine
    assert engine is not None
    lease = Lease(engine, JobRoomKeys().job("test"), work.what, 15)
    return JobRun(engine, [room.keys("") for room in ROOMS], lease, work)


async def _settled() -> float:
    return 0.0


@pytest.mark.parametrize("field", ["value", "another"])
async def test_a_record_that_was_changed_meanwhile_is_done_again(
    alone: sojourn.Sojourn, raw: Any, field: str
) -> None:
    await alone.memory.user("ada").put("k", "old")
    name = "memory:{memory:user:ada}:entry:k"
    work = Touching(lambda: raw.hincrby(name, f"more-{field}", 1), 3)
    done = await run_of(alone, work).run(_settled)
    assert (done.redone, done.rewritten, raw.hget(name, "value")) == (3, 1, b"new")
    assert raw.hget(name, f"more-{field}") == b"3"


async def test_a_record_that_was_deleted_meanwhile_stays_deleted(
    alone: sojourn.Sojourn, raw: Any
) -> None:
    await alone.memory.user("ada").put("k", "old")
    name = "memory:{memory:user:ada}:entry:k"
    done = await run_of(alone, Touching(lambda: raw.delete(name), 1)).run(_settled)
    assert (done.rewritten, raw.exists(name)) == (0, 0)


async def test_a_record_that_is_changed_all_the_time_is_named(
    alone: sojourn.Sojourn, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sojourn.jobs.job._TRIES", 3)
    monkeypatch.setattr("sojourn.jobs.job._PASSES", 2)
    await alone.memory.user("ada").put("k", "old")
    name = "memory:{memory:user:ada}:entry:k"
    done = await run_of(alone, Touching(lambda: raw.hincrby(name, "n", 1), 99)).run(_settled)
    assert (done.left, done.passes) == (2, 2)
    assert name in done.names[0]


@pytest.mark.parametrize("change", ["append", "trim", "cap", "other bytes", "rotate"])
async def test_a_log_that_was_changed_meanwhile_is_done_again(
    alone: sojourn.Sojourn, raw: Any, shared_server: Server, change: str
) -> None:
    key = (await alone.sessions.create("shop", "ada", "s")).key
    for number in range(30):
        await alone.sessions.append(key, Event(id=str(number), author="user", payload="a"))

    def touch() -> None:
        def other() -> None:
            with sojourn.sync.open(
                shared_server.url, max_events=25 if change == "cap" else None
            ) as store:
                if change == "trim":
                    store.sessions.trim(key, keep=7)
                elif change == "rotate":
                    store.sessions.rotate(key)
                elif change != "other bytes":
                    store.sessions.append(key, Event(id="last", author="user", payload="a"))

        if change == "other bytes":
            name = "session:{shop:ada}:s:events"
            raw.lset(name, 3, raw.lindex(name, 3).replace(b'"a"', b'"c"'))
        else:
            other()

    done = await run_of(alone, Touching(touch, 1)).run(_settled)
    logs = [value for name, value in records(raw).items() if name.endswith(":events")]
    assert len(logs) == 1
    expected = {"append": 31, "trim": 7, "cap": 25, "other bytes": 30, "rotate": 30}[change]
    assert len(logs[0]) == expected
    payloads = [b'"payload":"b"' in row or b'"payload":"c"' in row for row in logs[0]]
    assert all(payloads)
    assert done.complete
    assert sum(b'"payload":"c"' in row for row in logs[0]) == (change == "other bytes")


# ── the format that is written ─────────────────────────────────────────────────────────────────


async def test_the_old_format_is_written_until_the_upgrade(
    alone: sojourn.Sojourn, raw: Any
) -> None:
    with known():
        written = alone._rooms["jobs"].service
        assert await written.major() == 1
        await alone.admin.upgrade(2)
        assert await written.major() == 2
    assert raw.ttl("format") == -1
    written._until = 0.0
    with pytest.raises(NewerFormat):
        await written.major()
    found = {each.check: each for each in (await alone.admin.doctor.examine()).findings}
    assert "format" not in found["lifetimes"].what


async def test_what_is_written_is_asked_for_once_in_a_while(alone: sojourn.Sojourn) -> None:
    asked: list[str] = []
    alone.on_call(lambda fact: asked.append(fact.name))
    written = alone._rooms["jobs"].service
    for _ in range(5):
        assert await written.major() == 1
    assert asked == ["jobs.format"]


async def test_a_format_is_refused_that_is_unknown_or_lower(alone: sojourn.Sojourn) -> None:
    with pytest.raises(ConfigurationError, match="up to 1"):
        await alone.admin.upgrade(2)
    with known():
        await alone.admin.upgrade(2)
        with pytest.raises(InvalidInput, match="never goes back"):
            await alone.admin.upgrade(1)
        with pytest.raises(InvalidInput, match="rate"):
            await alone.admin.upgrade(2, rate=0)


async def test_a_user_of_the_acl_rule_may_do_it(alone: sojourn.Sojourn, raw: Any) -> None:
    await fill(alone, ADA)
    raw.execute_command(*acl_rule("jobs", StoreKeys().patterns).split())
    async with sojourn.open(alone.where.replace("//", "//jobs:secret@")) as store:
        with known():
            assert (await store.admin.upgrade(2)).complete
    raw.execute_command("ACL", "DELUSER", "jobs")


async def test_memory_has_nothing_to_upgrade() -> None:
    async with sojourn.open("memory://") as store:
        with pytest.raises(ConfigurationError):
            await store.admin.upgrade(1)


def test_the_command(shared_server: Server, raw: Any, capsys: pytest.CaptureFixture[str]) -> None:
    raw.flushall()
    for words, code, said in (
        (["--to", "1"], 0, "is in storage format 1: "),
        (["--to", "1", "--json"], 0, '"left": 0'),
        (["--to", "2"], 2, "formats up to 1"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["upgrade", shared_server.url, *words])
        out = capsys.readouterr()
        assert (ended.value.code, said in out.out + out.err) == (code, True), out


# ── two versions of a room ─────────────────────────────────────────────────────────────────────


class NoteKeys(Keys):
    kinds = (KeyKind("note", rf"note:{USER_TAG}", record="hash"),)


class NoteRoom:
    """A room whose format 2 has text backwards, in the version that knows it and in the one before.

    Args:
        engine: where calls go.
        rooms: of the store.
    """

    def __init__(self, engine: Any, rooms: Mapping[str, OpenRoom]) -> None:
        self.engine = engine
        self.rooms = rooms

    async def write(self, name: str, text: str) -> None:
        if await self.rooms["jobs"].service.major() == 2:
            fields = ("text", flipped(text.encode()), "format", "2")
        else:
            fields = ("text", text, "format", "1")
        key = f"note:{{shop:{name}}}"
        await self.engine.run(Call("notes.write", (key,), only, [("HSET", key, *fields)]))

    async def read(self, name: str) -> str:
        key = f"note:{{shop:{name}}}"
        call: Call[Any] = Call("notes.read", (key,), only, [("HMGET", key, "text", "format")])
        text, major = await self.engine.run(call)
        growth.check_format(major, key)
        return back(text).decode()


NOTES = Room(
    name="notes",
    keys=NoteKeys,
    open=lambda at: OpenRoom(service=NoteRoom(at.engine, at.rooms)),
    wraps=(NoteRoom,),
)


async def test_a_new_version_writes_as_the_old_one_until_the_upgrade(
    shared_server: Server, raw: Any
) -> None:
    raw.flushall()
    register(NOTES)
    try:
        async with sojourn.open(shared_server.url) as one, sojourn.open(shared_server.url) as two:
            old, new = one.room("notes"), two.room("notes")
            await old.write("of-old", "abc")
            with known():
                await new.write("of-new", "def")
                assert await new.read("of-old") == "abc"
            assert await old.read("of-new") == "def"  # it may come back
            with known():
                done = await two.admin.upgrade(2)
                await new.write("of-new-2", "ghi")
                names = ("of-old", "of-new", "of-new-2")
                assert [await new.read(name) for name in names] == ["abc", "def", "ghi"]
            assert done.rewritten == 2
            for name in names:
                with pytest.raises(NewerFormat):
                    await old.read(name)
    finally:
        ROOMS.remove(NOTES)
