"""on_outage="buffer": a server goes away under sessions that go on, and comes back."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from outage_kit import ALWAYS, buffering, replayed, said, texts

import sojourn
from proxy import Proxy
from servers import Server, any_binary
from sojourn import (
    BufferFull,
    Event,
    OutcomeUnknown,
    Session,
    SessionKey,
    SessionNotFound,
    TooLarge,
    TooManySessions,
    Unavailable,
)
from sojourn.client import Sojourn
from sojourn.telemetry import ReplayReport


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server", any_binary(), ALWAYS).start()
    yield server
    server.close()


@pytest.fixture
async def store(server: Server) -> AsyncIterator[Sojourn]:
    async with buffering(server) as store:
        yield store


@pytest.fixture
async def other(server: Server) -> AsyncIterator[Sojourn]:
    """Another process, that buffers nothing."""
    async with sojourn.open(server.url, operation_timeout=5) as other:
        yield other


async def test_a_session_goes_on_and_is_written_when_the_server_is_back(
    store: Sojourn, other: Sojourn, server: Server
) -> None:
    made = await store.sessions.create("shop", "ada", state={"user:lang": "en"})
    await store.sessions.append(made.key, said("one"))
    server.stop(9)
    done = await store.sessions.append(made.key, said("two", n=2, **{"user:tz": "CET"}))
    assert not done.durable
    assert done.seqs == range(2, 3)
    await store.sessions.append(made.key, said("three", n=3, **{"app:motd": "hi"}))
    during = await store.sessions.get(made.key)
    assert texts(during) == ["one", "two", "three"]
    assert during is not None
    assert (during.durable, during.complete, during.length) == (False, True, 3)
    assert during.state == {"n": 3, "user:lang": "en", "user:tz": "CET", "app:motd": "hi"}
    assert texts(await store.sessions.get(made.key, last=2)) == ["two", "three"]
    assert store.stats().buffered == 2
    server.start()
    report = await replayed(store)
    assert (report.applied, report.duplicates, report.refused) == (2, 0, ())
    for each in (store, other):
        after = await each.sessions.get(made.key)
        assert texts(after) == ["one", "two", "three"]
        assert after is not None
        assert after.durable
        assert after.state == during.state
    assert store.stats().buffered == 0


async def test_a_session_is_created_under_an_id_of_our_making(
    store: Sojourn, other: Sojourn, server: Server
) -> None:
    await store.ping()
    server.stop(9)
    made = await store.sessions.create("shop", "ada", state={"a": 1, "user:b": 2, "app:c": 3})
    assert not made.durable
    await store.sessions.append(made.key, said("one"), incarnation=made.incarnation)
    with pytest.raises(Unavailable):  # an id of the caller's may be taken
        await store.sessions.create("shop", "ada", "mine")
    server.start()
    await replayed(store)
    after = await other.sessions.get(made.key)
    assert texts(after) == ["one"]
    assert after is not None
    assert after.state == {"a": 1, "user:b": 2, "app:c": 3}
    assert (after.incarnation, after.created) == (made.incarnation, made.created)
    assert [each.key for each in (await other.sessions.list("shop", "ada")).sessions] == [made.key]


async def test_what_cannot_be_known_raises(store: Sojourn, server: Server) -> None:
    made = await store.sessions.create("shop", "ada")
    server.stop(9)
    await store.sessions.append(made.key, said("one"))
    stranger = SessionKey.of("shop", "ada", "stranger")
    for question in (
        store.sessions.get(stranger),
        store.sessions.append(stranger, said("x")),
        store.sessions.append(made.key, said("x"), expected_version=2),
        store.sessions.list("shop", "ada"),
        store.admin.users("shop"),
        store.sessions.user_state("shop", "ada"),
        store.sessions.delete(made.key),
        store.sessions.update(made.key, title="x"),
    ):
        with pytest.raises(Unavailable):
            await question
    assert texts(await store.sessions.get(made.key)) == ["one"]


async def test_a_session_deleted_meanwhile_is_not_revived(
    store: Sojourn, other: Sojourn, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    dead = await store.sessions.create("shop", "ada")
    alive = await store.sessions.create("shop", "ada")
    server.stop(9)
    await store.sessions.append(dead.key, said("too late"))
    await store.sessions.append(alive.key, said("in time"))
    store_gate = asyncio.Event()
    real = store._rooms["sessions"].buffer._replayer._replay  # type: ignore[union-attr]

    async def later() -> None:
        await store_gate.wait()
        await real()

    store._rooms["sessions"].buffer._replayer._replay = later  # type: ignore[union-attr, method-assign]
    server.start()
    assert await other.sessions.delete(dead.key)
    again = await other.sessions.create("shop", "ada", dead.key.session)
    waiting = asyncio.create_task(replayed(store))
    await asyncio.sleep(0)
    store_gate.set()
    report = await waiting
    assert report.applied == 1
    (refused,) = report.refused
    assert "SessionNotFound" in refused.reason
    assert b"too late" in refused.data
    assert texts(await other.sessions.get(again.key)) == []
    assert texts(await other.sessions.get(alive.key)) == ["in time"]
    assert any(record.levelno == logging.ERROR for record in caplog.records)


async def test_a_write_that_had_been_applied_is_not_applied_again(
    store: Sojourn, other: Sojourn, server: Server
) -> None:
    made = await store.sessions.create("shop", "ada")
    server.pause()
    done = await store.sessions.append(made.key, said("once"))  # sent, and never answered
    assert not done.durable
    server.resume()  # now it answers what it had received
    report = await replayed(store)
    assert (report.applied, report.duplicates) in ((0, 1), (1, 0))
    assert texts(await other.sessions.get(made.key)) == ["once"]


async def test_what_is_older_than_the_horizon_is_looked_for_in_the_log(
    store: Sojourn, other: Sojourn, server: Server
) -> None:
    made = await store.sessions.create("shop", "ada")
    server.pause()
    await store.sessions.append(made.key, said("once"))
    replayer = store._rooms["sessions"].buffer._replayer  # type: ignore[union-attr]
    gate, real = asyncio.Event(), replayer._replay

    async def later() -> None:
        await gate.wait()
        await real()

    replayer._replay = later  # type: ignore[method-assign]
    server.resume()
    async with asyncio.timeout(10):
        while not texts(await other.sessions.get(made.key)):  # the server has done it
            await asyncio.sleep(0.01)
    for _ in range(1100):
        await other.sessions.append(made.key, said("other"))
    with server.client() as client:  # as after a day, or an eviction
        client.delete(f"session:{{shop:ada}}:{made.key.session}:ops")
    waiting = asyncio.create_task(replayed(store))
    await asyncio.sleep(0)
    gate.set()
    report = await waiting
    assert (report.applied, report.duplicates) == (0, 1)
    assert texts(await other.sessions.get(made.key)).count("once") == 1


async def test_a_full_buffer_raises_and_keeps_what_it_has(server: Server, other: Sojourn) -> None:
    async with buffering(server, buffer_calls=3) as store:
        made = await store.sessions.create("shop", "ada")
        server.stop(9)
        for n in range(3):
            await store.sessions.append(made.key, said(str(n)))
        with pytest.raises(BufferFull, match="buffer_calls=3"):
            await store.sessions.append(made.key, said("too many"))
        assert texts(await store.sessions.get(made.key)) == ["0", "1", "2"]
        server.start()
        await replayed(store)
        assert texts(await other.sessions.get(made.key)) == ["0", "1", "2"]


async def test_other_writers_are_joined_and_lose_nothing(
    store: Sojourn, other: Sojourn, server: Server
) -> None:
    made = await store.sessions.create("shop", "ada")
    server.stop(9)
    await store.sessions.append(made.key, said("ours 1"))
    await store.sessions.append(made.key, said("ours 2"))
    server.start()
    await asyncio.gather(replayed(store), other.sessions.append(made.key, said("theirs")))
    found = texts(await other.sessions.get(made.key))
    assert sorted(found) == ["ours 1", "ours 2", "theirs"]
    assert found.index("ours 1") < found.index("ours 2")
    assert texts(await store.sessions.get(made.key)) == found


async def test_order_holds_while_the_buffer_is_emptied(
    store: Sojourn, other: Sojourn, server: Server
) -> None:
    made = await store.sessions.create("shop", "ada")
    server.stop(9)
    for n in range(200):
        await store.sessions.append(made.key, said(str(n)))
    starting = asyncio.create_task(asyncio.to_thread(server.start))
    n = 200
    while store.stats().buffered or not starting.done():
        await store.sessions.append(made.key, said(str(n)))
        await asyncio.sleep(0.001)  # however long the start takes, the buffer must not be full
        n += 1
    last = await store.sessions.append(made.key, said(str(n)))
    assert last.durable
    assert texts(await other.sessions.get(made.key)) == [str(i) for i in range(n + 1)]


async def test_a_refused_write_leaves_nothing_behind(store: Sojourn, server: Server) -> None:
    made = await store.sessions.create("shop", "ada")
    server.stop(9)
    with pytest.raises(SessionNotFound):
        await store.sessions.append(made.key, said("x"), incarnation="another")
    assert store.stats().buffered == 0
    server.start()
    async with asyncio.timeout(20):
        while not (await store.sessions.append(made.key, said("one"))).durable:
            await asyncio.sleep(0.01)


async def test_the_same_operation_is_buffered_once(
    store: Sojourn, other: Sojourn, server: Server
) -> None:
    made = await store.sessions.create("shop", "ada")
    server.stop(9)
    event = said("once")
    for repeated in (False, True):
        done = await store.sessions.append(made.key, event, operation_id="op")
        assert done.repeated is repeated
    server.start()
    await replayed(store)
    assert (await store.sessions.append(made.key, event, operation_id="op")).repeated
    assert texts(await other.sessions.get(made.key)) == ["once"]


async def test_closing_without_a_server_says_what_is_lost(server: Server) -> None:
    reports = list[ReplayReport]()
    async with buffering(server) as store:
        store.on_replay(reports.append)
        made = await store.sessions.create("shop", "ada")
        server.stop(9)
        await store.sessions.append(made.key, said("gone"))
    assert reports == [ReplayReport(0, 0, (), lost=1)]


CHILD = """
import asyncio, os, signal, sys
import sojourn
async def main():
    url, folder = sys.argv[1:]
    store = sojourn.open(url, on_outage="buffer", journal=folder, operation_timeout=0.8)
    made = await store.sessions.create("shop", "ada")
    print(made.key.session, flush=True)
    sys.stdin.readline()
    for n in range(20):
        done = await store.sessions.append(
            made.key, sojourn.Event(author="user", payload=str(n)), operation_id=f"op{n}"
        )
        assert not done.durable
    print("buffered", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def test_a_journal_on_disk_survives_the_process(
    server: Server, other: Sojourn, tmp_path: Path
) -> None:
    folder = tmp_path / "journal"
    command = [sys.executable, "-c", CHILD, server.url, str(folder)]
    with subprocess.Popen(  # noqa: ASYNC220
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin
        assert child.stdout
        session = (await asyncio.to_thread(child.stdout.readline)).strip()
        server.stop(9)
        child.stdin.write("\n")
        child.stdin.flush()
        assert (await asyncio.to_thread(child.stdout.readline)).strip() == "buffered"
        await asyncio.to_thread(child.wait)
    key = SessionKey.of("shop", "ada", session)
    async with buffering(server, journal=str(folder)) as store:
        with pytest.raises(Unavailable):  # what waits is not known here: it cannot go on
            await store.sessions.get(key)
        assert store.stats().buffered == 20
        server.start()
        await replayed(store)
        assert texts(await store.sessions.get(key)) == [str(n) for n in range(20)]
    assert texts(await other.sessions.get(key)) == [str(n) for n in range(20)]
    assert list(folder.iterdir()) == []


async def test_a_journal_of_another_process_tells_of_a_rotation_and_not_the_new_id(
    server: Server, other: Sojourn, tmp_path: Path
) -> None:
    folder = str(tmp_path / "journal")
    async with buffering(server, journal=folder, operation_timeout=0.2) as store:
        made = await store.sessions.create("shop", "ada")
        server.stop(9)
        await store.sessions.append(made.key, said("too late"))
        # closing leaves on disk what waits
    server.start()
    new = (await other.sessions.rotate(made.key)).key.session
    async with buffering(server, journal=folder) as store:
        with pytest.raises(SessionNotFound):
            await store.sessions.append(made.key, said("later"))
    told = (tmp_path / "journal" / "refused.jsonl").read_text()
    assert '"reason":"SessionRotated: ' in told
    assert new not in told


async def test_refused_writes_are_kept_aside_on_disk(
    server: Server, other: Sojourn, tmp_path: Path
) -> None:
    async with buffering(server, journal=str(tmp_path / "journal")) as store:
        made = await store.sessions.create("shop", "ada", ttl=3600)
        server.stop(9)
        await store.sessions.append(made.key, said("too late"))
        with_data = server.folder
        for path in with_data.rglob("*aof*"):
            if path.is_file():
                path.unlink()
        server.start()  # it has forgotten everything
        report = await replayed(store)
        assert len(report.refused) == 1
    assert "too late" in (tmp_path / "journal" / "refused.jsonl").read_text()


async def test_a_partial_view_is_served_as_incomplete(
    store: Sojourn, other: Sojourn, server: Server
) -> None:
    made = await other.sessions.create("shop", "ada")
    for n in range(10):
        await other.sessions.append(made.key, said(str(n)))
    assert texts(await store.sessions.get(made.key, last=3)) == ["7", "8", "9"]
    server.stop(9)
    few = await store.sessions.get(made.key, last=2)
    assert texts(few) == ["8", "9"]
    assert few is not None
    assert few.complete
    whole = await store.sessions.get(made.key)
    assert whole is not None
    assert (texts(whole), whole.complete, whole.length) == (["7", "8", "9"], False, 10)


async def test_what_has_expired_here_may_live_there(
    store: Sojourn, other: Sojourn, server: Server
) -> None:
    await store.ping()
    made = await store.sessions.create("shop", "ada", ttl=1.5)
    server.stop(9)
    await store.sessions.append(made.key, said("one"))
    born = await store.sessions.create("shop", "ada", ttl=1.5)
    await asyncio.sleep(1.6)
    for key in (made.key, born.key):
        with pytest.raises(Unavailable):
            await store.sessions.get(key)
        with pytest.raises(Unavailable):
            await store.sessions.append(key, said("two"))
    server.start()
    await replayed(store)
    assert await other.sessions.get(born.key) is not None


async def test_the_buffer_is_emptied_by_one_event_loop_at_a_time(
    store: Sojourn, other: Sojourn, server: Server
) -> None:
    made = [await store.sessions.create("shop", f"user-{n}") for n in range(2)]
    server.stop(9)
    for each in made:
        for n in range(100):
            await store.sessions.append(each.key, said(str(n)))
    server.start()

    async def catch_up(session: Session[Event]) -> None:
        while True:
            with suppress(Unavailable):
                await store.sessions.update(session.key, title="back")
                break
        await store.disconnect()

    ends = [asyncio.to_thread(asyncio.run, catch_up(each)) for each in made]
    await asyncio.gather(*ends)
    for each in made:
        found = await other.sessions.get(each.key)
        assert texts(found) == [str(n) for n in range(100)]
    assert store.stats().buffered == 0


def test_a_store_is_closed_in_another_event_loop_than_it_was_used_in(server: Server) -> None:
    store = buffering(server)

    async def buffer() -> SessionKey:
        made = await store.sessions.create("shop", "ada")
        server.stop(9)
        await store.sessions.append(made.key, said("one"))
        return made.key

    key = asyncio.run(buffer())
    server.start()

    async def close() -> None:
        await store.close()
        async with sojourn.open(server.url) as other:
            assert texts(await other.sessions.get(key)) == ["one"]

    asyncio.run(close())


@pytest.mark.parametrize("write", ["append", "update", "delete"])
async def test_nobody_waits_longer_for_the_buffer_than_for_the_server(
    server: Server, write: str
) -> None:
    async with Proxy(server.port) as proxy:
        url = f"{proxy.url}?operation_timeout=0.5&on_outage=buffer"
        async with sojourn.open(url) as store:
            made = [await store.sessions.create("shop", "ada") for _ in range(2)]
            proxy.on_request = lambda _: "drop"
            for n in range(100):
                await store.sessions.append(made[n % 2].key, said(str(n)))
            proxy.on_request = lambda _: 0.05
            while store.stats().buffered > 95:
                await asyncio.sleep(0.01)
            key = made[0].key
            if write == "append":
                assert not (await store.sessions.append(key, said("on"))).durable
            else:
                with pytest.raises(Unavailable):
                    await (
                        store.sessions.delete(key)
                        if write == "delete"
                        else store.sessions.update(key, title="t")
                    )
            assert store.stats().buffered
            proxy.on_request = lambda _: "pass"
            await replayed(store)


async def test_what_the_server_has_taken_is_not_refused_here(server: Server) -> None:
    async with buffering(server, operation_timeout=1.0) as store:
        made = await store.sessions.create("shop", "ada")
        server.pause()
        one = asyncio.create_task(store.sessions.append(made.key, said("one")))
        await asyncio.sleep(0.5)  # so that the time of the first is over before that of the next
        two = asyncio.create_task(store.sessions.append(made.key, said("two"), expected_version=2))
        assert not (await one).durable
        assert not (await store.sessions.append(made.key, said("three"))).durable
        server.resume()
        assert (await two).durable
        await replayed(store)
        assert texts(await store.sessions.get(made.key)) == ["one", "two", "three"]


async def test_a_create_over_the_cap_is_not_buffered(server: Server) -> None:
    async with buffering(server, max_state_bytes=100) as store:
        await store.ping()
        server.stop(9)
        for scope in ("", "user:"):
            with pytest.raises(TooLarge):
                await store.sessions.create("shop", "ada", state={f"{scope}big": "x" * 100})
        assert store.stats().buffered == 0
        with pytest.raises(TooLarge, match="is stored"):  # as on a server
            await store.sessions.create("shop", "ada", state={"app:big": "x" * 100})
        assert store.stats().buffered == 1


async def test_one_session_too_many_is_not_buffered(server: Server, other: Sojourn) -> None:
    async with buffering(server, max_sessions=2) as store:
        before = await store.sessions.create("shop", "ada")
        server.stop(9)
        await store.sessions.append(before.key, said("one"))
        made = await store.sessions.create("shop", "ada")
        with pytest.raises(TooManySessions, match="Nothing was written"):
            await store.sessions.create("shop", "ada")
        assert store.stats().buffered == 2
        server.start()
        await replayed(store)
        found = await other.sessions.list("shop", "ada")
        assert {each.key for each in found.sessions} == {before.key, made.key}


async def test_one_session_too_many_that_was_sent_is_in_doubt(server: Server) -> None:
    async with buffering(server, max_sessions=1, operation_timeout=1.0) as store:
        first = await store.sessions.create("shop", "ada")
        await store.sessions.delete(first.key)  # its user is known from now on
        server.pause()
        sent = [store.sessions.create("shop", "ada") for _ in range(2)]
        done, doubtful = await asyncio.gather(*sent, return_exceptions=True)
        assert isinstance(done, Session)
        assert isinstance(doubtful, OutcomeUnknown)
        assert store.stats().buffered == 1
        server.resume()
