"""What stands on the server, read behind Sojourn's back with plain redis-py."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any
from zlib import crc32

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

import sojourn
from servers import Server
from sojourn import CorruptRecord, Event, SessionKey
from sojourn.ids import escape, unescape
from sojourn.sessions.keys import SessionRoomKeys
from sojourn.sessions.shared_state import SharedState


@pytest.fixture
async def store(server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(server.url) as store:
        yield store


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


def commands(client: redis.Redis) -> dict[str, int]:
    """How often the server has run each command."""
    return {name: row["calls"] for name, row in client.info("commandstats").items()}


# ── keys ───────────────────────────────────────────────────────────────────────────────────────

ids = st.text(min_size=1, max_size=20)


@given(st.tuples(ids, ids, ids), st.tuples(ids, ids, ids), ids)
def test_keys_are_injective(one: Any, two: Any, namespace: str) -> None:
    try:
        a, b = SessionKey.of(*one), SessionKey.of(*two)
    except sojourn.InvalidId:
        return
    keys = SessionRoomKeys()
    mine, others = {*keys.session(a), *keys.user(a)}, {*keys.session(b), *keys.user(b)}
    if a != b:
        assert not mine & set(keys.session(b))
    if a.owner != b.owner:
        assert not mine & others
    assert unescape(escape(a.session)) == a.session
    assert not set(" :{}*?#\n\r\x00[]/\\\"'") - {"'"} & set(escape(a.session))


async def test_keys_show_who_and_are_found_by_a_pattern(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    made = await store.sessions.create("shop", "ada@x.org", "8e42")
    await store.sessions.append(made.key, Event(author="a", payload=1))
    assert sorted(client.scan_iter("session:*")) == [
        "session:{shop:ada@x.org}:8e42",
        "session:{shop:ada@x.org}:8e42:events",
        "session:{shop:ada@x.org}:8e42:ids",
        "session:{shop:ada@x.org}:8e42:ops",
    ]


async def test_a_human_can_read_it(store: sojourn.Sojourn, client: redis.Redis) -> None:
    made = await store.sessions.create("shop", "ada", "s", state={"cart": ["é"]}, title="Hi")
    event = Event(author="user", payload={"t": "ü"}, id="e1", time=1.5, state_delta={"n": 1})
    await store.sessions.append(made.key, event)
    head = client.hgetall("session:{shop:ada}:s")
    assert (head["title"], head["state:cart"], head["state:n"]) == ("Hi", '["é"]', "1")
    row = client.lrange("session:{shop:ada}:s:events", 0, -1)[0]
    assert row == (
        '{"id":"e1","time":1.5,"author":"user","kind":"message","payload":{"t":"ü"},'
        '"state_delta":{"n":1},"crc":"ad92db4d"}'
    )
    assert json.loads(row)["payload"] == {"t": "ü"}


# ── lifetimes ──────────────────────────────────────────────────────────────────────────────────


async def test_every_key_has_a_ttl_of_its_kind(store: sojourn.Sojourn, client: redis.Redis) -> None:
    made = await store.sessions.create("shop", "ada", state={"user:u": 1, "app:a": 1, "s": 1})
    await store.sessions.append(made.key, Event(author="a", payload=1))
    await store.sessions.update(made.key, title="T")
    day, month = 86_400, 30 * 86_400
    for key in client.keys("*"):
        left = client.ttl(key)
        if key.startswith("state:"):
            assert month <= left <= month * 1.01, key
        elif key.startswith(("users:", "apps")):
            assert left > month, key
        elif key.startswith("sessions:"):
            assert day - 60 < left <= day * 1.01, key
        elif key.startswith("recent:"):  # a minute late, and some time for clocks
            assert day < left <= day * 1.01 + 120, key
        elif key.startswith("outbox:"):
            assert left > 0, key
        else:
            assert day - 60 < left <= day * 1.01, key


async def test_none_is_for_ever_by_name(server: Server, client: redis.Redis) -> None:
    async with sojourn.open(server.url, session_ttl=None, state_ttl=None) as store:
        made = await store.sessions.create("shop", "ada", state={"user:u": 1, "app:a": 1})
        await store.sessions.append(made.key, Event(author="a", payload=1))
    mortal = {key for key in client.keys("*") if client.ttl(key) > 0}
    assert mortal <= {f"session:{{shop:ada}}:{made.key.session}:ops", "operations:{shop:ada}"}


async def test_shared_keys_are_only_lengthened(store: sojourn.Sojourn, client: redis.Redis) -> None:
    long = await store.sessions.create("shop", "ada", "long", ttl=1_000_000)
    await store.sessions.create("shop", "ada", "short", ttl=10)
    await store.sessions.touch(long.key)
    assert client.ttl("sessions:{shop:ada}") > 900_000
    await store.sessions.create("shop", "ada", "ever", ttl=None)
    await store.sessions.create("shop", "ada", "short2", ttl=10)
    assert client.ttl("sessions:{shop:ada}") == -1


async def test_a_load_refreshes_shared_state(server: Server, client: redis.Redis) -> None:
    async with sojourn.open(server.url) as store:
        made = await store.sessions.create("shop", "ada", state={"user:u": 1, "app:a": 1})
    for key in ("state:{shop:ada}", "state:{shop}"):
        client.expire(key, 100)
    async with sojourn.open(server.url) as store:  # another process, as far as it can know
        await store.sessions.get(made.key)
        await store.ping()
    for key in ("state:{shop:ada}", "state:{shop}"):
        assert client.ttl(key) > 1_000_000


async def test_creating_every_day_keeps_shared_state_alive(
    server: Server, client: redis.Redis
) -> None:
    async with sojourn.open(server.url) as store:
        await store.sessions.create("shop", "ada", state={"user:u": 1, "app:a": 1})
    for key in ("state:{shop:ada}", "state:{shop}"):
        client.expire(key, 100)
    async with sojourn.open(server.url) as store:  # the next day
        await store.sessions.create("shop", "ada")
        await store.ping()
    for key in ("state:{shop:ada}", "state:{shop}"):
        assert client.ttl(key) > 1_000_000


async def test_a_touch_makes_nothing_immortal(server: Server, client: redis.Redis) -> None:
    async with sojourn.open(server.url) as store:
        made = await store.sessions.create("shop", "ada")
    async with sojourn.open(server.url) as store:
        for _ in range(200):
            await store.sessions.touch(made.key)
        await store.sessions.update(made.key, title="T")
    assert not [key for key in client.keys("*") if client.ttl(key) < 0]
    assert client.zcard(f"session:{{shop:ada}}:{made.key.session}:ops") == 1


async def test_what_was_evicted_is_made_again_with_a_lifetime(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    made = await store.sessions.create("shop", "ada", "s")
    await store.sessions.append(made.key, Event(author="a", payload=1))
    await store.sessions.append(made.key, Event(author="a", payload=1))
    for key in client.keys("*"):
        if key != "session:{shop:ada}:s":
            client.delete(key)
    delta = {"user:u": 1, "app:a": 1}
    await store.sessions.append(made.key, Event(author="a", payload=1, state_delta=delta))
    assert not [key for key in client.keys("*") if client.ttl(key) < 0]
    assert len((await store.sessions.list("shop", "ada")).sessions) == 1


async def test_a_full_server_refuses_a_create_and_allows_a_delete(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    made = await store.sessions.create("shop", "ada", "s")
    before = set(client.keys("*"))
    client.config_set("maxmemory", "1mb")
    with pytest.raises(sojourn.ServerOutOfMemory):
        await store.sessions.create("shop", "ada", "t", state={"big": "x" * 1_000_000})
    assert set(client.keys("*")) == before
    assert await store.sessions.delete(made.key)


async def test_a_user_seen_again_while_paging_hides_no_other(
    server: Server, client: redis.Redis
) -> None:
    """Index entries move forward when a user is enrolled again, between two pages."""
    users = ["ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ivy", "joe"]
    async with sojourn.open(server.url) as store:
        for user in users:
            for n in range(3):
                await store.sessions.create("shop", user, f"s{n}")
        seen: set[SessionKey] = set()
        cursor = None
        while True:
            page = await store.sessions.list("shop", limit=2, cursor=cursor)
            seen |= {session.key for session in page.sessions}
            cursor = page.cursor
            if cursor is None:
                break
            if len(seen) > 2:
                continue
            async with sojourn.open(server.url) as other:
                await other.sessions.get(page.sessions[0].key)
                await other.ping()
    assert len(seen) == 30


async def test_indexes_forget_what_has_expired(store: sojourn.Sojourn, client: redis.Redis) -> None:
    for n in range(5):
        await store.sessions.create("shop", "ada", f"s{n}", ttl=0.02)
    await store.sessions.create("shop", "ada", "stays")
    while client.exists(*[f"session:{{shop:ada}}:s{n}" for n in range(5)]):
        await asyncio.sleep(0.005)
    page = await store.sessions.list("shop", "ada")
    assert [s.key.session for s in page.sessions] == ["stays"]
    await store.ping()
    assert client.zrange("sessions:{shop:ada}", 0, -1) == ["stays"]
    assert client.zrange("sessions:{shop:ada}:expiry", 0, -1) == ["stays"]


# ── cost ───────────────────────────────────────────────────────────────────────────────────────


async def test_an_append_is_one_script_at_any_length(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    made = await store.sessions.create("shop", "ada")
    costs: list[dict[str, int]] = []
    for length in (1, 10, 1000):
        rows = [Event(author="a", payload=n, state_delta={"n": 0}) for n in range(length)]
        await store.sessions.append(made.key, *rows)
        before = commands(client)
        await store.sessions.append(made.key, Event(author="a", payload=1, state_delta={"n": 1}))
        after = commands(client)
        costs.append({k: n - before.get(k, 0) for k, n in after.items() if n > before.get(k, 0)})
    # The 64th version trims the ids; `info` is how this test looks.
    for cost in costs:
        cost.pop("cmdstat_info", None)
        cost.pop("cmdstat_zremrangebyrank", None)
    assert costs[0] == costs[1] == costs[2]
    assert costs[0]["cmdstat_evalsha"] == 1


async def test_round_trips(server: Server) -> None:
    """Counted as calls that wait for one another."""
    async with sojourn.open(server.url) as store:
        names: list[str] = []
        store.on_call(lambda fact: names.append(fact.name))
        made = await store.sessions.create("shop", "ada")
        await store.ping()
        names.clear()
        await store.sessions.append(made.key, Event(author="a", payload=1, state_delta={"n": 1}))
        assert names == ["sessions.append"]
        names.clear()
        await store.sessions.append(
            made.key, Event(author="a", payload=1, state_delta={"app:n": 1})
        )
        assert names == ["sessions.append", "sessions.apply_delta"]
        await store.ping()
        names.clear()
        await store.sessions.get(made.key)
        assert sorted(names) == ["sessions.read", "sessions.state"]  # at one moment
        names.clear()
        await store.sessions.get(made.key)
        assert sorted(names) == ["sessions.read", "sessions.state"]


async def test_no_scan_anywhere(store: sojourn.Sojourn, client: redis.Redis) -> None:
    made = await store.sessions.create("shop", "ada", state={"app:a": 1})
    await store.sessions.append(made.key, Event(author="a", payload=1))
    for user in ("ada", None):
        await store.sessions.list("shop", user)
    await store.admin.apps()
    await store.admin.users("shop")
    await store.sessions.delete(made.key)
    assert not {"cmdstat_keys", "cmdstat_scan", "cmdstat_hscan", "cmdstat_zscan"} & {
        *commands(client)
    }


async def test_a_second_load_reads_one_row(store: sojourn.Sojourn, client: redis.Redis) -> None:
    made = await store.sessions.create("shop", "ada")
    rows = [Event(author="a", payload="x" * 1000) for _ in range(500)]
    await store.sessions.append(made.key, *rows)
    await store.sessions.get(made.key)
    before = client.info("stats")["total_net_output_bytes"]
    read = await store.sessions.get(made.key)
    spent = client.info("stats")["total_net_output_bytes"] - before
    assert read is not None
    assert len(read.events) == 500
    assert spent < 20_000
    assert store.stats().near_cache.hits == 1


async def test_the_near_cache_is_bounded_and_forgets_the_oldest(server: Server) -> None:
    async with sojourn.open(server.url, near_cache_bytes=100_000) as store:
        keys: list[SessionKey] = []
        for _ in range(10):
            made = await store.sessions.create("shop", "ada")
            await store.sessions.append(made.key, Event(author="a", payload="x" * 5000))
            await store.sessions.get(made.key)
            keys.append(made.key)
        figures = store.stats().near_cache
        assert 0 < figures.size <= figures.limit == 100_000
        assert figures.sessions == 3
        await store.sessions.get(keys[-1])
        await store.sessions.get(keys[0])
        assert store.stats().near_cache.hits == 1


async def test_the_near_cache_believes_nothing_that_has_changed(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    made = await store.sessions.create("shop", "ada", "s")
    await store.sessions.append(made.key, *(Event(author="a", payload=n) for n in range(3)))
    await store.sessions.get(made.key)
    log = "session:{shop:ada}:s:events"
    row = client.lindex(log, 2)[:-18].replace('"payload":2', '"payload":9')
    client.lset(log, 2, f'{row},"crc":"{crc32(row.encode()):08x}"}}')
    read = await store.sessions.get(made.key)
    assert read is not None
    assert [event.payload for event in read.events] == [0, 1, 9]
    await store.sessions.delete(made.key)
    await store.sessions.create("shop", "ada", "s")
    await store.sessions.append(made.key, *(Event(author="a", payload=-n) for n in range(3)))
    read = await store.sessions.get(made.key)
    assert read is not None
    assert [event.payload for event in read.events] == [0, -1, -2]


# ── app state and clients that die ─────────────────────────────────────────────────────────────


async def test_app_state_of_a_client_that_died_is_finished_by_the_next(
    server: Server, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sojourn.open(server.url) as store:
        made = await store.sessions.create("shop", "ada")

        async def die(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(SharedState, "_apply", die)
            for n in range(2):
                with pytest.raises(KeyboardInterrupt):
                    await store.sessions.append(
                        made.key, Event(author="a", payload=n, state_delta={"app:n": n})
                    )
    assert client.hlen("outbox:{shop:ada}") == 2
    assert client.exists("state:{shop}") == 0
    async with sojourn.open(server.url) as store:
        read = await store.sessions.get(made.key)
        assert read is not None
        assert read.state == {"app:n": 1}
        await store.ping()
    assert client.hlen("outbox:{shop:ada}") == 0


async def test_an_older_app_delta_never_overwrites_a_newer_one(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sojourn.open(server.url) as store:
        ada = await store.sessions.create("shop", "ada")
        bob = await store.sessions.create("shop", "bob")

        async def die(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(SharedState, "_apply", die)
            old = Event(author="a", payload=0, state_delta={"app:n": "old", "app:m": "only"})
            with pytest.raises(KeyboardInterrupt):
                await store.sessions.append(ada.key, old)
        new = {"app:n": "new"}
        await store.sessions.append(bob.key, Event(author="a", payload=0, state_delta=new))
        read = await store.sessions.get(ada.key)
        assert read is not None
        assert read.state == {"app:n": "new", "app:m": "only"}


# ── what others have done to the data ──────────────────────────────────────────────────────────


async def test_an_evicted_log_is_served_as_incomplete(
    store: sojourn.Sojourn, client: redis.Redis
) -> None:
    made = await store.sessions.create("shop", "ada", "s", state={"n": 1})
    await store.sessions.append(made.key, *(Event(author="a", payload=n) for n in range(3)))
    client.delete("session:{shop:ada}:s:events")
    read = await store.sessions.get(made.key)
    assert read is not None
    assert (read.complete, read.events, read.state, read.length) == (False, [], {"n": 1}, 3)
    await store.sessions.append(made.key, Event(author="a", payload=3))
    read = await store.sessions.get(made.key)
    assert read is not None
    assert (read.complete, [event.payload for event in read.events]) == (False, [3])


@pytest.mark.parametrize("suffix", ["", ":events", ":ops"])
async def test_a_foreign_key_in_our_place_is_refused_and_left_alone(
    store: sojourn.Sojourn, client: redis.Redis, suffix: str
) -> None:
    made = await store.sessions.create("shop", "ada", "s")
    key = f"session:{{shop:ada}}:s{suffix}"
    client.set(key, "mine")
    before = client.hgetall("session:{shop:ada}:s") if suffix else None
    with pytest.raises(CorruptRecord):
        await store.sessions.append(made.key, Event(author="a", payload=1, state_delta={"n": 1}))
    assert client.get(key) == "mine"
    if suffix:
        assert client.hgetall("session:{shop:ada}:s") == before


@pytest.mark.parametrize(
    "key",
    ["sessions:{shop:ada}", "state:{shop:ada}", "outbox:{shop:ada}"],
)
async def test_a_foreign_shared_key_stops_a_write_before_it_starts(
    store: sojourn.Sojourn, client: redis.Redis, key: str
) -> None:
    made = await store.sessions.create("shop", "ada", "s")
    client.delete(key)
    client.set(key, "mine")
    before = client.hgetall("session:{shop:ada}:s")
    event = Event(author="a", payload=1, state_delta={"user:n": 1, "app:n": 1, "n": 1})
    with pytest.raises(CorruptRecord):
        await store.sessions.append(made.key, event)
    assert client.hgetall("session:{shop:ada}:s") == before
    assert client.llen("session:{shop:ada}:s:events") == 0
    with pytest.raises(CorruptRecord):
        await store.sessions.create("shop", "ada", "t", state={"user:n": 1, "app:n": 1})
    assert client.exists("session:{shop:ada}:t") == 0


def test_other_tenants_are_untouched(server: Server, client: redis.Redis) -> None:
    foreign = {f"foreign:{n}": secrets.token_hex(4) for n in range(5)}
    client.mset(foreign)

    async def work() -> None:
        async with sojourn.open(server.url) as store:
            made = await store.sessions.create("shop", "ada")
            await store.sessions.append(made.key, Event(author="a", payload=1))
            await store.sessions.delete(made.key)

    asyncio.run(work())
    assert client.mget(list(foreign)) == list(foreign.values())
