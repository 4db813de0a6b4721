"""`session:{id}` lists: they become histories."""

from __future__ import annotations

import json
import re
import time

import pytest
import redis
from migration_kit import Origin, is_unchanged, moved

import sojourn
from sojourn.keys.ring import KeyRing
from sojourn.sessions import Event
from sojourn.transfer.migration import Outcome

pytest_plugins = ["migration_servers"]


async def test_a_list_of_messages_becomes_a_history(origin: Origin, store: sojourn.Sojourn) -> None:
    origin.say("user-123", "Hello!", "How are you?", ttl=1800)
    report = await moved(origin, store)
    assert report.layout == "history"
    assert report.complete
    assert report.outcomes == {Outcome.WRITTEN: 1}
    assert (report.verified, report.passes) == (1, 2)
    said = await store.history("user-123").all()
    assert [(each.role, each.content, each.metadata) for each in said] == [
        ("user", "Hello!", {"n": 6}),
        ("user", "How are you?", {"n": 12}),
    ]
    session = await store.sessions.get(store.history("user-123").key)
    assert session is not None
    assert session.expires == pytest.approx(time.time() + 1800, abs=2)


async def test_a_second_run_adds_nothing(origin: Origin, store: sojourn.Sojourn) -> None:
    for n in range(40):
        origin.say(f"s{n}", "a", "b")
    first = await moved(origin, store)
    assert first.outcomes == {Outcome.WRITTEN: 40}
    second = await moved(origin, store)
    assert second.outcomes == {Outcome.SAME: 40}
    assert second.complete
    assert len(await store.history("s7").all()) == 2


async def test_the_source_is_never_changed(origin: Origin, store: sojourn.Sojourn) -> None:
    origin.say("a", "one", "two")
    origin.say("for-ever", "three", ttl=None)
    origin.put("session:shop:ada:1", {"session_id": "1"})
    before = origin.image()
    await moved(origin, store, "history", dry_run=True)
    await moved(origin, store, "history")
    await moved(origin, store, "history")
    assert is_unchanged(before, origin.image())


async def test_a_dry_run_writes_nothing(origin: Origin, store: sojourn.Sojourn) -> None:
    origin.say("a", "one", "two")
    report = await moved(origin, store, dry_run=True)
    assert report.outcomes == {Outcome.WRITTEN: 1}
    assert [(app.app, app.users, app.sessions, app.events) for app in report.apps] == [
        ("history", 1, 1, 2)
    ]
    assert (await store.admin.apps()).names == []


async def test_what_is_no_message_is_named_and_the_rest_comes_along(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    origin.say("a", "one")
    origin.client.rpush("session:a", b"\x80\x04pickled", b"{broken", json.dumps("two"))
    origin.client.set("session:b", "text")
    report = await moved(origin, store, "history")
    assert not report.complete
    assert report.refused == {
        "`pickle` data: never loaded": 1,
        "not JSON": 1,
        "a string: this layout has none there": 1,
    }
    assert {(each.where, each.outcome) for each in report.notable} == {
        ("session:a message 2", Outcome.REFUSED),
        ("session:a message 3", Outcome.REFUSED),
        ("session:b", Outcome.REFUSED),
    }
    said = await store.history("a").all()
    assert [(each.role, each.content) for each in said] == [("user", "one"), ("unknown", "two")]


async def test_what_was_said_here_since_is_kept(origin: Origin, store: sojourn.Sojourn) -> None:
    origin.say("a", "one")
    await moved(origin, store)
    await store.history("a").append("assistant", "two")
    report = await moved(origin, store)
    assert report.outcomes == {Outcome.AHEAD: 1}
    assert report.complete
    assert [each.content for each in await store.history("a").all()] == ["one", "two"]


async def test_what_was_said_there_since_comes_along(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    origin.say("a", "one")
    await moved(origin, store)
    origin.say("a", "two")
    report = await moved(origin, store)
    assert report.outcomes == {Outcome.CAUGHT_UP: 1}
    assert [each.content for each in await store.history("a").all()] == ["one", "two"]


async def test_what_went_on_on_both_sides_is_named_and_left_alone(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    origin.say("a", "one")
    await moved(origin, store)
    origin.say("a", "two")
    await store.history("a").append("assistant", "another two")
    report = await moved(origin, store)
    assert report.outcomes == {Outcome.DIFFERS: 1}
    assert not report.complete
    assert [each.where for each in report.notable] == ["session:a"]
    assert [each.content for each in await store.history("a").all()] == ["one", "another two"]


async def test_another_session_of_that_id_is_left_alone(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    origin.say("a", "one")
    await store.history("a").append("user", "something else")
    report = await moved(origin, store)
    assert report.outcomes == {Outcome.DIFFERS: 1}
    assert [each.content for each in await store.history("a").all()] == ["something else"]


async def test_a_session_that_was_deleted_here_does_not_come_back(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    origin.say("a", "one")
    await moved(origin, store)
    await store.sessions.delete(store.history("a").key)
    report = await moved(origin, store)
    assert report.outcomes == {Outcome.DELETED: 1}
    assert report.complete
    assert await store.history("a").all() == []


async def test_both_may_stand_on_one_server(origin: Origin, namespace: str) -> None:
    origin.say("a", "one", "two")
    async with sojourn.open(origin.url) as here, sojourn.open(origin.url, namespace="vana") as too:
        await moved(origin, here)
        await moved(origin, too)
        report = await moved(origin, here)
        assert report.outcomes == {Outcome.SAME: 1}
        assert (await here.admin.apps()).names == ["history"]
        assert len(await too.history("a").all()) == 2


async def test_a_long_log_is_written_in_parts(origin: Origin, store: sojourn.Sojourn) -> None:
    entries = [json.dumps({"role": "user", "content": f"{n} " + "x" * 2000}) for n in range(1200)]
    origin.client.rpush("session:long", *entries)
    report = await moved(origin, store)
    assert report.outcomes == {Outcome.WRITTEN: 1}
    assert report.complete
    said = await store.history("long").all()
    assert [each.content.split()[0] for each in said] == [str(n) for n in range(1200)]
    key = store.history("long").key
    session = await store.sessions.get(key, last=0)
    assert session is not None
    assert session.ttl is None
    assert session.version == 1  # in one step


async def test_a_session_that_was_half_written_is_finished(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    origin.say("a", *"abcdef")
    await moved(origin, store)
    key = store.history("a").key
    await store.sessions.trim(key, drop=4)
    report = await moved(origin, store)
    assert report.outcomes == {Outcome.CAUGHT_UP: 1}
    assert "".join(each.content for each in await store.history("a").all()) == "abcdef"


async def test_a_session_lives_as_long_as_there_then_as_others_here(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    origin.say("short", "one", ttl=3600)
    origin.say("long", "one", ttl=7 * 86_400)
    assert (await moved(origin, store)).complete
    for name, ttl in (("short", 3600), ("long", 7 * 86_400)):
        await _lives(store, name, ttl)
    origin.say("short", "two", ttl=3600)
    assert (await moved(origin, store)).outcomes[Outcome.CAUGHT_UP] == 1
    await _lives(store, "short", 3600)
    await store.history("short").append("user", "three")
    await _lives(store, "short", 86_400 * 1.01)
    await store.history("long").append("user", "two")
    await _lives(store, "long", 7 * 86_400)


async def _lives(store: sojourn.Sojourn, name: str, seconds: float) -> None:
    session = await store.sessions.get(store.history(name).key)
    assert session is not None
    assert session.ttl == 86_400
    assert session.expires == pytest.approx(time.time() + seconds, abs=5)


async def test_a_lifetime_that_differs_is_told(origin: Origin, store: sojourn.Sojourn) -> None:
    origin.say("a", "one", ttl=3600)

    def progress(number: int, done: int) -> None:
        if number == 1:
            origin.client.expire("session:a", 100)

    report = await moved(origin, store, progress=progress)
    assert not report.complete
    assert report.outcomes[Outcome.DIFFERS] == 1
    assert re.search(r"expires 3[45]\d\d(\.\d+)? s off", report.notable[0].why)


async def test_a_lifetime_may_be_given_instead(origin: Origin, store: sojourn.Sojourn) -> None:
    origin.say("a", "one", ttl=60)
    origin.say("b", "one", ttl=None)
    report = await moved(origin, store, ttl=7200)
    assert report.complete
    for name in "ab":
        session = await store.sessions.get(store.history(name).key)
        assert session is not None
        assert session.ttl == 7200


async def test_replayed_events_keep_their_deltas_and_change_nothing(
    store: sojourn.Sojourn,
) -> None:
    key = (await store.sessions.create("shop", "ada", "s", state={"user:x": 1})).key
    events = [
        Event(author="a", payload=n, time=100.0 + n, state_delta={"k": n, "user:x": 2, "app:y": 3})
        for n in range(2)
    ]
    done = await store.adapters.replay(key, *events, state={"k": "final"}, updated=77.5)
    assert done.seqs == range(1, 3)
    session = await store.sessions.get(key)
    assert session is not None
    assert session.state == {"k": "final", "user:x": 1}
    assert session.updated == 77.5
    assert [event.state_delta for event in session.events] == [
        event.state_delta for event in events
    ]
    with pytest.raises(sojourn.InvalidInput):
        await store.adapters.replay(key, state={"user:x": 5})
    with pytest.raises(sojourn.StaleSession):
        await store.adapters.replay(key, expected_version=1)
    await store.adapters.replay(key, updated=99.0)
    again = await store.sessions.get(key)
    assert again is not None
    assert (again.updated, again.length) == (99.0, 2)


async def test_what_comes_into_a_store_with_keys_is_sealed(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    """Also a log of several parts, and also when it is gone on with."""
    words = [f"marzipan {n} " + "x" * 3000 for n in range(800)]
    origin.say("long", *words)
    origin.say("short", "marzipan")
    async with sojourn.open(store.where, keys=KeyRing.new()) as sealed:
        report = await moved(origin, sealed)
        assert report.outcomes == {Outcome.WRITTEN: 2}
        assert (await moved(origin, sealed)).outcomes == {Outcome.SAME: 2}
        said = await sealed.history("long").all()
        assert [each.content for each in said] == words
    with redis.Redis.from_url(store.where) as client:
        rows = [row for key in client.keys("session:*:events") for row in client.lrange(key, 0, -1)]
    assert len(rows) == 801
    assert not any(b"marzipan" in row for row in rows)
