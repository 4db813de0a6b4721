"""Labels and the latest sessions of an app as they stand on the server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from zlib import crc32

import pytest
import redis

import sojourn
from servers import Server
from sojourn import CorruptRecord, Event, NewerFormat, SessionKey
from sojourn.sessions import recent
from sojourn.sessions.keys import SessionRoomKeys
from sojourn.sessions.recent import Recent
from sojourn.telemetry import CallFact

DAY = 86_400
SET = "sessions:{shop:ada}:label:flow:x"
SHARD = f"recent:{{shop#{crc32(b'ada') % 16}}}"
HEAD = "session:{shop:ada}:s"
FLOW = {"flow": "x"}


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@pytest.fixture
async def store(server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(server.url) as store:
        yield store


@pytest.fixture
def entered(store: sojourn.Sojourn) -> list[CallFact]:
    """The calls that wrote the index of an app."""
    facts: list[CallFact] = []
    store.on_call(lambda fact: facts.append(fact) if fact.name == "sessions.recent" else None)
    return facts


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This process dies after each write, before it has told the index of the app."""
    monkeypatch.setattr(Recent, "enter", lambda *_: None)
    return monkeypatch


async def named(store: sojourn.Sojourn, **wanted: Any) -> set[str]:
    page = await store.sessions.list("shop", "ada", **wanted)
    return {each.key.session for each in page.sessions}


async def latest(store: sojourn.Sojourn, **wanted: Any) -> list[str]:
    page = await store.admin.recent("shop", **wanted)
    return [each.key.session for each in page.sessions]


# ── what is stored ─────────────────────────────────────────────────────────────────────────────


async def test_python_and_lua_write_the_same_text(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    labels = {"ü/é": 'a"\\/\n', "b": "1", "B": "\\/", "a-b": "<&>", "a": "/"}
    made = await store.sessions.create("shop", "ada", "s", labels=labels)
    by_python = client.hget(HEAD, "labels")
    assert json.loads(by_python) == labels
    assert list(json.loads(by_python)) == sorted(labels)
    await store.sessions.update(made.key, labels={"flow": "x"})
    await store.sessions.update(made.key, labels={"flow": None})
    assert client.hget(HEAD, "labels") == by_python
    await store.sessions.update(made.key, labels=dict.fromkeys(labels))
    assert not client.hget(HEAD, "labels")


async def test_keys_say_what_they_are(store: sojourn.Sojourn, client: redis.Redis) -> None:
    await store.sessions.create("shop", "a:da", "s:1", labels={"a:b": "x{}%/é"})
    await store.ping()
    index = "sessions:{shop:a%3Ada}"
    shard = f"recent:{{shop#{crc32(b'a:da') % 16}}}"
    label = ":label:a%3Ab:x%7B%7D%25%2F%C3%A9"
    assert SessionRoomKeys().labelled(index, ("a:b", "x{}%/é")) == index + label
    assert client.zrange(index + label, 0, -1) == ["s:1"]
    assert client.zrange(shard, 0, -1) == client.zrange(shard + label, 0, -1) == ["a%3Ada:s%3A1"]
    for key in client.keys("*"):
        assert SessionRoomKeys().kind_of(key) is not None, key


async def test_a_session_without_labels_has_no_key_for_them(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    made = await store.sessions.create("shop", "ada", "s")
    await store.sessions.append(made.key, Event(author="a", payload=1))
    await store.sessions.update(made.key, title="T")
    await store.ping()
    assert not client.hexists(HEAD, "labels")
    assert not client.keys("*:label:*")


# ── lifetimes ──────────────────────────────────────────────────────────────────────────────────


async def test_every_set_expires_with_its_sessions(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    made = await store.sessions.create("shop", "ada", "s", labels=FLOW, ttl=1000)
    await store.ping()
    assert 940 < client.ttl(SET) <= 1010
    for key in (SHARD, f"{SHARD}:expiry", f"{SHARD}:label:flow:x"):
        assert 1000 < client.ttl(key) <= 1010 + 120
    await store.sessions.create("shop", "ada", "long", labels=FLOW, ttl=DAY)
    assert client.ttl(SET) > DAY - 60
    await store.sessions.append(made.key, Event(author="a", payload=1))
    await store.ping()
    assert client.ttl(SET) > DAY - 60
    assert not [key for key in client.keys("*") if client.ttl(key) < 0]


async def test_an_immortal_session_makes_its_sets_immortal_until_it_is_gone(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    await store.sessions.create("shop", "ada", "s", labels=FLOW)
    ever = await store.sessions.create("shop", "ada", "ever", labels=FLOW, ttl=None)
    await store.ping()
    assert client.ttl(SET) == client.ttl(SHARD) == client.ttl(f"{SHARD}:label:flow:x") == -1
    await store.sessions.delete(ever.key)
    await store.ping()
    assert 0 < client.ttl(SET) <= DAY * 1.01
    await store.sessions.update(SessionKey.of("shop", "ada", "s"), labels={"flow": "y"})
    await store.ping()
    assert not [key for key in client.keys("*:label:*") if client.ttl(key) < 0]


async def test_only_none_makes_a_set_immortal(store: sojourn.Sojourn, client: redis.Redis) -> None:
    await store.sessions.create("shop", "ada", "ever", ttl=None)
    await store.sessions.create("shop", "ada", "s", labels=FLOW)
    await store.ping()
    assert 0 < client.ttl(SET) <= DAY * 1.01
    assert 0 < client.ttl(f"{SHARD}:label:flow:x") <= DAY * 1.01 + 120


# ── what is gone ───────────────────────────────────────────────────────────────────────────────


async def test_a_list_takes_out_what_it_meets(store: sojourn.Sojourn, client: redis.Redis) -> None:
    for name in ("s", "evicted", "another"):
        await store.sessions.create("shop", "ada", name, labels=FLOW)
    await store.ping()
    client.delete("session:{shop:ada}:evicted")
    client.hset("session:{shop:ada}:another", "labels", '{"flow":"y"}')
    for index in (SET, f"{SHARD}:label:flow:x"):
        assert client.zcard(index) == 3
    assert await named(store, labels=FLOW) == {"s"}
    assert await latest(store, labels=FLOW) == ["s"]
    await store.ping()
    assert client.zrange(SET, 0, -1) == ["s"]
    assert client.zrange(f"{SHARD}:label:flow:x", 0, -1) == ["ada:s"]
    assert set(client.zrange(SHARD, 0, -1)) == {"ada:s", "ada:another"}
    assert await named(store, labels={"flow": "y"}) == {"another"}


async def test_sets_that_are_written_do_not_grow_with_what_has_expired(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    stays = await store.sessions.create("shop", "ada", "s", labels=FLOW, ttl=None)
    await store.ping()
    past = round((time.time() - 180) * 1000)
    for n in range(300):  # as they would be left, long after they have expired
        client.zadd(SET, {f"old{n}": n})
        client.zadd(SHARD, {f"ada:old{n}": n})
        client.zadd(f"{SHARD}:expiry", {f"ada:old{n}": past})
        client.zadd(f"{SHARD}:label:flow:x", {f"ada:old{n}": n})
    for _ in range(160):
        await store.sessions.update(stays.key, labels={"flow": "y"})
        await store.sessions.update(stays.key, labels={"flow": "x"})
    await store.ping()
    assert client.zrange(SET, 0, -1) == ["s"]
    assert client.zrange(SHARD, 0, -1) == ["ada:s"]
    assert client.zrange(f"{SHARD}:expiry", 0, -1) == ["ada:s"]
    assert client.zrange(f"{SHARD}:label:flow:x", 0, -1) == ["ada:s"]


async def test_a_session_that_is_kept_alive_by_touches_stays_in_the_index_of_its_app(
    store: sojourn.Sojourn, client: redis.Redis, entered: list[CallFact]
) -> None:
    made = await store.sessions.create("shop", "ada", "s", ttl=0.2)
    await store.ping()
    ends = client.zscore(f"{SHARD}:expiry", "ada:s")
    while time.time() * 1000 < ends + 50:
        await store.sessions.touch(made.key)
        await asyncio.sleep(0.05)
    assert len(entered) == 1
    await store.sessions.create("shop", "ada", "other")  # each write takes out what has expired
    await store.sessions.touch(made.key)
    await store.ping()
    assert client.zscore(SHARD, "ada:s") is not None


async def test_a_set_gets_a_ttl_again_though_others_live_for_ever(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    """Others of the index, that is, which do not have this label."""
    await store.sessions.create("shop", "ada", "other", ttl=None)
    made = [
        await store.sessions.create("shop", "ada", name, labels=FLOW, ttl=ttl)
        for name, ttl in (("s", None), ("t", None), ("u", DAY), ("v", DAY))
    ]
    await store.sessions.update(made[0].key, ttl=DAY)
    assert client.ttl(SET) == -1
    await store.sessions.delete(made[1].key)
    await store.ping()
    assert DAY - 60 < client.ttl(SET) <= DAY * 1.01
    assert DAY + 60 < client.ttl(f"{SHARD}:label:flow:x") <= DAY * 1.01 + 120


async def test_the_index_of_an_app_gets_a_ttl_when_the_last_for_ever_is_deleted(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    made = await store.sessions.create("shop", "ada", "s", ttl=None)
    await store.sessions.create("shop", "ada", "t", ttl=DAY)
    await store.sessions.delete(made.key)
    await store.ping()
    for key in (SHARD, f"{SHARD}:expiry"):
        assert DAY - 60 < client.ttl(key) <= DAY * 1.01 + 120


@pytest.mark.parametrize("wanted", [{}, {"labels": FLOW}])
async def test_a_list_does_not_take_out_what_is_there_again(
    store: sojourn.Sojourn,
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    wanted: dict[str, Any],
) -> None:
    await store.sessions.create("shop", "ada", "s", labels=FLOW)
    await store.ping()
    client.delete(HEAD)  # evicted
    late: list[tuple[Recent, tuple[Any, ...]]] = []
    with monkeypatch.context() as patch:
        patch.setattr(Recent, "enter", lambda self, *entries: late.append((self, entries)))
        assert await latest(store, **wanted) == []
    await store.sessions.create("shop", "ada", "s", labels=FLOW)
    for each, entries in late:
        each.enter(*entries)
    await store.ping()
    assert len(late) == 1
    assert await latest(store, **wanted) == ["s"]
    client.delete(HEAD)
    assert await latest(store, **wanted) == []
    await store.ping()
    assert client.zscore(SHARD, "ada:s") is None
    assert client.zscore(f"{SHARD}:label:flow:x", "ada:s") is None or not wanted


# ── an index that nobody waits for ─────────────────────────────────────────────────────────────


async def test_a_session_is_entered_once_a_minute(
    store: sojourn.Sojourn, client: redis.Redis, entered: list[CallFact], monkeypatch: Any
) -> None:
    made = await store.sessions.create("shop", "ada", "s", labels=FLOW, created=1.0)
    for n in range(5):
        await store.sessions.append(made.key, Event(author="a", payload=n, time=10.0 + n))
    await store.sessions.touch(made.key)
    await store.sessions.update(made.key, title="T")
    await store.ping()
    assert len(entered) == 1
    assert client.zscore(SHARD, "ada:s") == 1.0
    after = time.monotonic() + 61
    monkeypatch.setattr(recent.time, "monotonic", lambda: after)
    await store.sessions.append(made.key, Event(author="a", payload=1, time=2e9))
    await store.sessions.append(made.key, Event(author="a", payload=1, time=3e9))
    await store.ping()
    assert len(entered) == 2
    assert client.zscore(SHARD, "ada:s") == client.zscore(f"{SHARD}:label:flow:x", "ada:s") == 2e9


@pytest.mark.parametrize(
    "change", [{"labels": {"a": "1"}}, {"ttl": 100}, {"until": time.time() + 10_000}]
)
async def test_labels_and_lifetimes_are_told_at_once(
    store: sojourn.Sojourn, client: redis.Redis, entered: list[CallFact], change: dict[str, Any]
) -> None:
    made = await store.sessions.create("shop", "ada", "s")
    version = await store.sessions.update(made.key, **change)
    await store.ping()
    assert len(entered) == 2
    assert version == 2
    expires = client.zscore(f"{SHARD}:expiry", "ada:s")
    assert expires == float(client.hget(HEAD, "expires"))


async def test_what_a_dead_process_did_not_tell_is_repaired_by_a_sweep(
    store: sojourn.Sojourn, client: redis.Redis, dying: pytest.MonkeyPatch
) -> None:
    made = await store.sessions.create("shop", "ada", "s", labels=FLOW)
    await store.sessions.create("shop", "ada", "t", ttl=None)
    assert await latest(store) == []
    await store.admin.sweep("shop")
    assert set(await latest(store)) == {"s", "t"}
    assert await latest(store, labels=FLOW) == ["s"]
    assert client.zscore(f"{SHARD}:expiry", "ada:t") == float("inf")
    turned = (await store.sessions.rotate(made.key)).key.session
    await store.sessions.delete(SessionKey.of("shop", "ada", "t"))
    assert set(client.zrange(SHARD, 0, -1)) == {"ada:s", "ada:t"}
    dying.undo()
    await store.admin.sweep("shop")
    await store.ping()
    assert await latest(store, labels=FLOW) == [turned]
    for index in (SHARD, f"{SHARD}:expiry"):
        assert client.zrange(index, 0, -1) == [f"ada:{turned}"]


async def test_a_sweep_repairs_lost_label_sets(store: sojourn.Sojourn, client: redis.Redis) -> None:
    await store.sessions.create("shop", "ada", "s", labels=FLOW)
    await store.ping()
    client.delete(SET, SHARD, f"{SHARD}:expiry", f"{SHARD}:label:flow:x")
    assert await named(store, labels=FLOW) == set()
    await store.admin.sweep("shop")
    assert await named(store, labels=FLOW) == {"s"}
    assert await latest(store, labels=FLOW) == ["s"]
    assert not [key for key in client.keys("*") if client.ttl(key) < 0]


async def test_an_append_enters_a_label_set_that_was_evicted(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    made = await store.sessions.create("shop", "ada", "s", labels=FLOW)
    client.delete(SET)
    await store.sessions.append(made.key, Event(author="a", payload=1))
    assert await named(store, labels=FLOW) == {"s"}
    assert 0 < client.ttl(SET) <= DAY * 1.01


# ── what cannot be read ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("damage", ["{", "[1]", '{"a":1}', "\udcff", '{"a":null}'])
async def test_damaged_labels_are_flagged_and_the_rest_is_served(
    store: sojourn.Sojourn, client: redis.Redis, damage: str
) -> None:
    made = await store.sessions.create("shop", "ada", "s", labels=FLOW, title="T")
    client.hset(HEAD, "labels", damage.encode(errors="surrogateescape"))
    read = await store.sessions.get(made.key)
    assert read is not None
    assert (read.complete, read.labels, read.title) == (False, {}, "T")
    assert [each.field for each in await store.admin.quarantined("shop", "ada")] == ["labels"]
    await store.sessions.append(made.key, Event(author="a", payload=1))
    assert await named(store, labels=FLOW) == set()
    if damage != "\udcff":
        await store.sessions.update(made.key, labels={"flow": "y"})
        read = await store.sessions.get(made.key)
        assert read is not None
        assert (read.complete, read.labels) == (True, {"flow": "y"})


async def test_encoded_labels_are_newer_and_are_not_replaced(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    made = await store.sessions.create("shop", "ada", "s", labels=FLOW)
    value = b"\xff1 zstd\nabc"
    value += b"%08x" % crc32(value)
    client.hset(HEAD, "labels", value)
    with pytest.raises(NewerFormat):
        await store.sessions.get(made.key)
    with pytest.raises(NewerFormat):
        await store.sessions.update(made.key, labels={"flow": "y"})
    await store.sessions.append(made.key, Event(author="a", payload=1))
    page = await store.sessions.list("shop", "ada", labels=FLOW)
    assert (page.sessions, page.newer) == ([], [made.key])
    page = await store.admin.recent("shop", labels=FLOW)
    assert (page.sessions, page.newer) == ([], [made.key])
    with redis.Redis.from_url(store.where) as raw:
        assert raw.hget(HEAD, "labels") == value


async def test_a_foreign_key_in_the_place_of_a_set_stops_no_write(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    client.set(SET, "mine")
    client.set(f"{SHARD}:label:flow:x", "mine")
    made = await store.sessions.create("shop", "ada", "s", labels=FLOW)
    await store.sessions.append(made.key, Event(author="a", payload=1))
    await store.sessions.update(made.key, labels={"flow": "y"})
    await store.ping()
    assert await named(store, labels={"flow": "y"}) == {"s"}
    assert await latest(store, labels={"flow": "y"}) == ["s"]
    for call in (
        store.sessions.list("shop", "ada", labels=FLOW),
        store.admin.recent("shop", labels=FLOW),
    ):
        with pytest.raises(CorruptRecord):
            await call
    assert client.get(SET) == client.get(f"{SHARD}:label:flow:x") == "mine"
    assert client.ttl(SET) == -1


# ── cost and erasure ───────────────────────────────────────────────────────────────────────────


async def test_lists_by_label_cost_two_round_trips(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    for n in range(20):
        labels = FLOW if n < 3 else {}
        await store.sessions.create("shop", f"u{n % 3}", f"s{n}", labels=labels)
    await store.ping()
    names: list[str] = []
    store.on_call(lambda fact: names.append(fact.name))
    await store.sessions.list("shop", "u0", labels=FLOW)
    assert names == ["sessions.index", "sessions.list"]
    names.clear()
    assert len(await latest(store, labels=FLOW)) == 3
    assert names[:16] == ["sessions.index"] * 16
    assert names[16:] == ["sessions.list"]
    ran = {name for name in client.info("commandstats") if "scan" in name or "keys" in name}
    assert not ran


async def test_nothing_of_a_forgotten_user_stays_in_any_index(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    other = next(f"u{n}" for n in range(99) if crc32(f"u{n}".encode()) % 16 == crc32(b"ada") % 16)
    for user in ("ada", other):
        for n in range(3):
            await store.sessions.create("shop", user, f"s{n}", labels={"flow": f"x{n}"})
    await store.ping()
    client.delete("session:{shop:ada}:s2")  # evicted: nobody knows any more which label it had
    await store.admin.forget("ada", app="shop")
    for key in client.keys("*"):
        assert "{shop:ada}" not in key, key
        if client.type(key) == "zset":
            assert not [name for name in client.zrange(key, 0, -1) if name.startswith("ada")], key
    assert set(await latest(store)) == {"s0", "s1", "s2"}
    page = await store.admin.recent("shop", labels={"flow": "x1"})
    assert [each.key.user for each in page.sessions] == [other]
