"""The checker sees what plain redis-py has spoilt: each fault is found, and nothing else is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import redis

from faults.checker import check
from faults.client import Ways
from faults.load import Load
from faults.notebook import Entry, Notebook, Place
from faults.report import LOSSES
from faults.stored import look
from servers import Server, any_binary

HEAD = "faults:session:{shop:ada}:shared"
PLACE = Place("shop", "ada", "shared")


class Written(NamedTuple):
    """What clients wrote to a server on which nothing went wrong."""

    load: Load
    keys: dict[bytes, tuple[bytes, int]]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("quiet"), any_binary()).start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def written(quiet: Server) -> Written:
    async def write() -> Load:
        async with Load(quiet.url, clients=4, ways=Ways(pause=0)) as load:
            await load.written(1500)
        return load

    load = asyncio.run(write())
    with redis.Redis.from_url(quiet.url) as client:
        keys = {key: (client.dump(key), client.pttl(key)) for key in client.scan_iter()}
    return Written(load, keys)


@pytest.fixture
def server(quiet: Server, written: Written) -> Iterator[redis.Redis]:
    """The server as they left it."""
    with redis.Redis.from_url(quiet.url) as client:
        client.flushall()
        for key, (value, left) in written.keys.items():
            client.restore(key, left, value)
    with quiet.client() as client:
        yield client


def kinds(written: Written, server: redis.Redis) -> set[str]:
    return set(written.load.report([server]).kinds)


def test_nothing_is_found_where_nothing_went_wrong(written: Written, server: redis.Redis) -> None:
    report = written.load.report([server])
    assert report.findings == []
    assert report.acknowledged >= 1500
    assert (report.unknown, report.resolved) == (0, 0)
    done = {(e.kind, e.outcome) for book in written.load.books for e in book.entries}
    wanted = ("create", "append", "update", "delete")
    assert done == {*((kind, "acknowledged") for kind in wanted), ("append", "failed")}


def test_an_event_that_is_there_twice(written: Written, server: redis.Redis) -> None:
    server.rpush(f"{HEAD}:events", server.lindex(f"{HEAD}:events", 3))
    server.hincrby(HEAD, "seq", 1)
    assert kinds(written, server) == {"doubled event"}


def test_an_event_that_is_missing(written: Written, server: redis.Redis) -> None:
    server.lrem(f"{HEAD}:events", 1, server.lindex(f"{HEAD}:events", 3))
    assert kinds(written, server) == {"lost event", "incomplete"}
    server.hincrby(HEAD, "seq", -1)
    assert kinds(written, server) == {"lost event"}


def test_events_that_are_in_another_order(written: Written, server: redis.Redis) -> None:
    mine = [n for n, row in enumerate(server.lrange(f"{HEAD}:events", 0, -1)) if '"id":"c1-' in row]
    one, two = (server.lindex(f"{HEAD}:events", n) for n in mine[:2])
    server.lset(f"{HEAD}:events", mine[0], two)
    server.lset(f"{HEAD}:events", mine[1], one)
    assert kinds(written, server) == {"disordered"}


def test_an_event_that_nobody_sent(written: Written, server: redis.Redis) -> None:
    server.rpush(f"{HEAD}:events", '{"id":"nobody","time":1,"author":"a","kind":"m","payload":1}')
    server.hincrby(HEAD, "seq", 1)
    assert kinds(written, server) == {"invented event", "unlisted"}


def test_an_event_that_the_index_of_its_log_lacks(written: Written, server: redis.Redis) -> None:
    server.zrem(f"{HEAD}:ids", json.loads(server.lindex(f"{HEAD}:events", 3))["id"])
    assert kinds(written, server) == {"unlisted"}


def test_an_event_in_a_session_that_it_was_not_sent_to(
    written: Written, server: redis.Redis
) -> None:
    other = "faults:session:{bank:hal}:shared"
    server.rpush(f"{other}:events", server.lpop(f"{HEAD}:events"))
    for key, by in ((other, 1), (HEAD, -1)):
        server.hincrby(key, "seq", by)
    assert "misplaced event" in kinds(written, server)


def test_a_key_without_a_lifetime(written: Written, server: redis.Redis) -> None:
    server.persist("faults:state:{shop}")
    assert kinds(written, server) == {"immortal"}


@pytest.mark.parametrize("part", ["events", "ids", "ops"])
def test_parts_of_a_session_that_is_no_more(
    written: Written, server: redis.Redis, part: str
) -> None:
    deleted = next(iter(_deleted(written)))
    server.copy(f"{HEAD}:{part}", f"faults:session:{{{deleted.app}:{deleted.user}}}:gone:{part}")
    server.expire(f"faults:session:{{{deleted.app}:{deleted.user}}}:gone:{part}", 100)
    assert "zombie" in kinds(written, server)


def test_a_deleted_session_that_is_there_again(written: Written, server: redis.Redis) -> None:
    deleted = next(place for place in _deleted(written) if (place.app, place.user) == PLACE[:2])
    key = f"faults:session:{{shop:ada}}:{deleted.session.replace(':', '%3A')}"
    incarnation = _deleted(written)[deleted]
    server.copy(HEAD, key)
    server.expire(key, 100)
    server.hset(key, mapping={"incarnation": incarnation, "seq": 0, "version": 1})
    for index in ("", ":expiry"):
        server.zadd(f"faults:sessions:{{shop:ada}}{index}", {deleted.session: 1e14})
    assert "undeleted" in kinds(written, server)


def test_a_session_that_nobody_created(written: Written, server: redis.Redis) -> None:
    server.hset(HEAD, "incarnation", "another")
    assert kinds(written, server) >= {"invented session", "lost session"}


def test_a_session_that_is_missing(written: Written, server: redis.Redis) -> None:
    server.delete(HEAD, *(f"{HEAD}:{part}" for part in ("events", "ids", "ops")))
    assert kinds(written, server) == {"lost session", "lost event", "dangling"}


@pytest.mark.parametrize(
    ("index", "name"),
    [
        ("sessions:{shop:ada}", "shared"),
        ("sessions:{shop:ada}:expiry", "shared"),
        ("users:{shop#8}", "ada"),
        ("apps", "shop"),
    ],
)
def test_a_session_that_an_index_lacks(
    written: Written, server: redis.Redis, index: str, name: str
) -> None:
    assert server.zrem(f"faults:{index}", name) == 1
    assert kinds(written, server) == {"unindexed"}


@pytest.mark.parametrize("key", [HEAD, "faults:state:{shop:ada}", "faults:state:{shop}"])
def test_a_value_that_is_not_the_last_one(written: Written, server: redis.Redis, key: str) -> None:
    assert server.hexists(key, "state:c1")
    server.hdel(key, "state:c1")
    assert kinds(written, server) == {"lost state"}
    server.hset(key, "state:c1", "-1")
    assert kinds(written, server) == {"invented state"}


def test_an_app_value_on_its_way_counts_as_written(written: Written, server: redis.Redis) -> None:
    state, outbox = "faults:state:{shop}", "faults:outbox:{shop:ada}"
    value, stamp = server.hget(state, "state:c1"), server.hget(state, "at:c1")
    assert value
    assert stamp
    microseconds, _, operation_id = stamp.partition(":")
    delta = {"stamp": int(microseconds), "delta": {"c1": value}}
    server.hdel(state, "state:c1", "at:c1")
    server.hset(outbox, operation_id, json.dumps(delta))
    server.expire(outbox, 100)
    assert kinds(written, server) == set()
    server.hset(outbox, "later", json.dumps({"stamp": 10**17, "delta": {"c1": "-1"}}))
    assert kinds(written, server) == {"invented state"}


def test_a_change_too_many_or_too_few(written: Written, server: redis.Redis) -> None:
    server.hincrby(HEAD, "version", 1)
    assert kinds(written, server) == {"doubled change"}
    server.hincrby(HEAD, "version", -2)
    assert kinds(written, server) == {"lost change"}


def test_an_operation_that_is_forgotten(written: Written, server: redis.Redis) -> None:
    assert int(server.hget(HEAD, "version")) < 1000
    server.zpopmin(f"{HEAD}:ops")
    assert kinds(written, server) == {"forgotten"}


def test_what_no_reader_of_the_format_can_read(written: Written, server: redis.Redis) -> None:
    server.set("faults:session:{shop:ada}:text", "x", ex=100)
    assert kinds(written, server) == {"unreadable"}
    server.delete("faults:session:{shop:ada}:text")
    server.lset(f"{HEAD}:events", 0, "{")
    assert "unreadable" in kinds(written, server)


def test_a_key_that_is_on_two_servers(written: Written, server: redis.Redis) -> None:
    assert "on two servers" in set(written.load.report([server, server]).kinds)


# ── what clients were told ─────────────────────────────────────────────────────────────────────


def told(written: Written, server: redis.Redis, entry: Entry) -> set[str]:
    """What is found when one more client was told something of a write."""
    book = Notebook("more")
    book.begin(entry)
    return set(written.load.report([server], book).kinds)


def test_what_was_never_done_is_lost_only_when_it_was_acknowledged(
    written: Written, server: redis.Redis
) -> None:
    incarnation = server.hget(HEAD, "incarnation")
    entry = Entry("append", PLACE, "op", incarnation, ["e"], {"k": 1}, "acknowledged")
    assert told(written, server, entry) == {"lost event", "lost state"}
    for outcome in ("unknown", "failed"):
        entry.outcome = outcome
        assert told(written, server, entry) == set()


def test_what_was_done_must_not_have_been_refused(written: Written, server: redis.Redis) -> None:
    incarnation = server.hget(HEAD, "incarnation")
    server.rpush(f"{HEAD}:events", '{"id":"e","time":1,"author":"a","kind":"m","payload":1}')
    server.zadd(f"{HEAD}:ids", {"e": server.llen(f"{HEAD}:events")})
    server.zadd(f"{HEAD}:ops", {"aop": 1})
    server.hset(HEAD, "state:k", 1)
    for field in ("seq", "version"):
        server.hincrby(HEAD, field, 1)
    entry = Entry("append", PLACE, "op", incarnation, ["e"], {"k": 1}, "failed")
    assert told(written, server, entry) == {"done though refused"}
    for outcome in ("unknown", "acknowledged"):
        entry.outcome = outcome
        assert told(written, server, entry) == set()
    entry.outcome, entry.events = "unknown", ["e", "e2"]
    assert told(written, server, entry) == {"half-written"}
    entry.events, entry.values = ["e"], {"k": 2}
    assert told(written, server, entry) == {"invented state"}


def test_losses_are_counted_and_excused_only_where_servers_may_lose(
    written: Written, server: redis.Redis
) -> None:
    server.delete(HEAD, *(f"{HEAD}:{part}" for part in ("events", "ids", "ops")))
    report = written.load.report([server])
    assert report.lost
    assert {finding.kind for finding in report.problems(lossy=True)} == {"dangling"}
    assert report.problems() == report.findings
    assert {kind for kind in LOSSES if kind.startswith("doubled")} == set()


def test_half_a_line_is_no_entry(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("book") / "book"
    book = Notebook("one", path)
    first = book.begin(Entry("append", PLACE, "op", "i", ["e"], {"k": 1}))
    first.outcome = "acknowledged"
    book.note(first)
    with path.open("a") as file:
        file.write('{"kind": "appe')
    assert Notebook.read("one", path).entries == [first]


def test_an_empty_server_has_nothing_wrong_when_nothing_was_told(quiet: Server) -> None:
    with quiet.client() as client:
        assert check(look([client], "nothing"), []).findings == []


def _deleted(written: Written) -> dict[Place, str]:
    """Sessions that were deleted and not created again."""
    entries = [entry for book in written.load.books for entry in book.entries]
    gone = {entry.place: entry.incarnation for entry in entries if entry.kind == "delete"}
    created = {entry.place: entry.incarnation for entry in entries if entry.kind == "create"}
    return {place: gone[place] for place in gone if created[place] == gone[place]}
