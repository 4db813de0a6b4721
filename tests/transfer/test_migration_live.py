"""A source that is written to while it is read, lives that move, caps, and a Cluster."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from typing import Any

import pytest
import redis
from migration_kit import Origin, moved

import sojourn
from cluster import ClusterSet
from servers import Server, any_binary
from sojourn.engine.engine import Engine
from sojourn.transfer.migration import Outcome

pytest_plugins = ["migration_servers"]


async def said(store: sojourn.Sojourn, name: str) -> list[Any]:
    return [each.content for each in await store.history(name).all()]


async def test_what_is_written_meanwhile_is_caught_up(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    for n in range(20):
        origin.say(f"s{n}", "one")

    def progress(number: int, done: int) -> None:
        if (number, done) == (1, 20):  # all have been read once
            origin.say("s3", "two")
            origin.say("late", "new")

    report = await moved(origin, store, progress=progress)
    assert report.complete, report
    assert report.outcomes == {Outcome.WRITTEN: 21, Outcome.CAUGHT_UP: 1}
    assert (report.passes, report.verified) == (3, 21)
    assert await said(store, "s3") == ["one", "two"]
    assert await said(store, "late") == ["new"]


async def test_what_is_always_being_written_is_named(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    origin.say("quiet", "one")
    origin.say("busy", "one")

    def progress(number: int, done: int) -> None:
        if done == 2:
            origin.say("busy", f"pass {number}")

    report = await moved(origin, store, progress=progress)
    assert not report.complete
    assert report.unsettled == ("session:busy",)
    assert report.passes == 4
    assert (await moved(origin, store)).complete


async def test_a_writer_at_work_loses_nothing_and_doubles_nothing(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    """Two runs, as the guide says: one while the old program works, one when it has ended."""
    stop = threading.Event()
    written = [0] * 8

    def write() -> None:
        with redis.Redis.from_url(origin.url) as client:
            turn = 0
            while not stop.is_set():
                which = turn % len(written)
                entry = {"role": "user", "content": written[which], "metadata": {}}
                client.rpush(f"session:w{which}", json.dumps(entry))
                client.expire(f"session:w{which}", 3600)
                written[which] += 1
                turn += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while min(written) < 20:
            await asyncio.sleep(0.01)
        first = await moved(origin, store)
    finally:
        stop.set()
        writer.join()
    assert set(first.outcomes) <= {Outcome.WRITTEN, Outcome.CAUGHT_UP, Outcome.SAME}
    second = await moved(origin, store)
    assert second.complete, second
    for which, count in enumerate(written):
        assert await said(store, f"w{which}") == list(range(count))


async def test_a_life_that_is_prolonged_there_meanwhile_is_prolonged_here(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    origin.say("a", "one", ttl=100)

    def progress(number: int, done: int) -> None:
        if number == 1:
            origin.client.expire("session:a", 5000)

    report = await moved(origin, store, progress=progress)
    assert report.complete, report
    found = await store.sessions.get(store.history("a").key)
    assert found is not None
    assert found.expires == pytest.approx(time.time() + 5000, abs=5)


async def test_two_at_once_agree(origin: Origin, store: sojourn.Sojourn) -> None:
    for name in range(40):
        origin.say(str(name), "one", "two")
    for report in await asyncio.gather(moved(origin, store), moved(origin, store)):
        assert report.complete, report


async def test_who_hears_late_how_long_it_lives_calls_nothing_different(
    origin: Origin, store: sojourn.Sojourn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine: the question is sent late, or nobody looks at the answer for a while."""
    run, reads = Engine.run, itertools.count(1)

    async def late(self: Engine, call: Any, **options: Any) -> Any:
        if call.name != "migration.read":
            return await run(self, call, **options)
        number = next(reads)
        if number in {1, 3}:
            await asyncio.sleep(1.5)
        answer = await run(self, call, **options)
        if number == 2:
            await asyncio.sleep(1.5)
        return answer

    monkeypatch.setattr(Engine, "run", late)
    origin.say("a", "one")
    report = await moved(origin, store)
    assert report.complete, report
    assert (report.passes, next(reads)) == (3, 4)
    found = await store.sessions.get(store.history("a").key)
    assert found is not None
    assert found.expires == pytest.approx(origin.client.pexpiretime("session:a") / 1000, abs=1)


async def test_what_expires_on_the_way_does_not_come_along(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    origin.say("a", "one")
    origin.client.pexpire("session:a", 1)
    origin.say("b", "two")
    await moved(origin, store)
    assert [page.key.session for page in (await store.sessions.list("history")).sessions] == ["b"]


async def test_shared_state_waits_for_the_newest_session(
    origin: Origin, store: sojourn.Sojourn
) -> None:
    for n in range(30):
        state = {"user:n": n, "app:n": n}
        head = {"app_name": "shop", "user_id": f"u{n % 3}", "session_id": f"s{n}", "state": state}
        times = {"created_at": f"2025-11-18T10:00:{n:02}", "updated_at": f"2025-11-18T10:01:{n:02}"}
        origin.put(f"session:shop:u{n % 3}:s{n}", {**head, **times, "events": []})
    report = await moved(origin, store)
    assert report.complete, report
    for n in (27, 28, 29):
        key = sojourn.SessionKey.of("shop", f"u{n % 3}", f"s{n}")
        found = await store.sessions.get(key)
        assert found is not None
        assert found.state == {"user:n": n, "app:n": 29}
        assert await store.sessions.count("shop", f"u{n % 3}") == 10  # and no carrier


async def test_a_cap_on_sessions_is_told(
    origin: Origin, shared_server: Server, namespace: str
) -> None:
    for n in range(3):
        head = {"app_name": "shop", "user_id": "ada", "session_id": f"s{n}", "state": {}}
        origin.put(f"session:shop:ada:s{n}", {**head, "events": []})
    async with sojourn.open(shared_server.url, namespace=namespace, max_sessions=2) as store:
        report = await moved(origin, store)
    assert report.outcomes == {Outcome.WRITTEN: 2, Outcome.REFUSED: 1}
    assert not report.complete


async def test_a_session_with_an_event_over_the_cap_is_no_half_session(
    origin: Origin, shared_server: Server, namespace: str
) -> None:
    origin.say("a", *"b" * 600, "x" * 2000)
    origin.say("c", "fine")
    async with sojourn.open(shared_server.url, namespace=namespace, max_event_bytes=1000) as store:
        report = await moved(origin, store)
        assert report.outcomes == {Outcome.WRITTEN: 1, Outcome.REFUSED: 1}
        assert await said(store, "a") == []
        assert await said(store, "c") == ["fine"]


async def test_a_log_that_is_cut_here_is_the_same_as_far_as_it_goes(
    origin: Origin, shared_server: Server, namespace: str
) -> None:
    origin.say("a", *"abcdef")
    async with sojourn.open(shared_server.url, namespace=namespace, max_events=2) as store:
        assert (await moved(origin, store)).complete
        assert await said(store, "a") == ["e", "f"]
        origin.say("a", "g")
        assert (await moved(origin, store)).outcomes == {Outcome.CAUGHT_UP: 1}
        assert await said(store, "a") == ["f", "g"]


async def test_ids_of_a_long_log_that_is_cut_here_stay_known(
    origin: Origin, shared_server: Server, namespace: str
) -> None:
    origin.say("a", *map(str, range(900)))
    async with sojourn.open(shared_server.url, namespace=namespace, max_events=600) as store:
        assert (await moved(origin, store)).complete
        history = store.history("a")
        await history.append("user", "next")
        found = await store.sessions.get(history.key)
        assert found is not None
        assert [found.events[0].seq, found.events[-1].seq] == [302, 901]
        for event in (found.events[0], found.events[-2]):
            with pytest.raises(sojourn.EventExists):
                await store.sessions.append(history.key, event)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    cluster = ClusterSet(tmp_path_factory.mktemp("origin-cluster"), any_binary()).start()
    yield cluster
    cluster.close()


async def test_all_nodes_of_a_cluster_are_read(nodes: ClusterSet, store: sojourn.Sojourn) -> None:
    with nodes.client() as client:
        for n in range(60):
            client.rpush(f"session:c{n}", json.dumps({"role": "user", "content": n}))
    report = await moved(nodes.url, store, "history")
    assert report.complete, report
    assert report.outcomes == {Outcome.WRITTEN: 60}
    assert await said(store, "c7") == [7]
