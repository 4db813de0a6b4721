"""What a process that is cut off holds and buffers, while others revoke and forget."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from erasure_kit import everything, mentions

import sojourn
from proxy import Proxy
from servers import Server
from sojourn import Event, SessionKey, Unavailable
from sojourn.client import Sojourn
from sojourn.sessions.operations import FindTombstone
from sojourn.telemetry import ReplayReport

PATIENCE = 0.3


@pytest.fixture
async def other(server: Server) -> AsyncIterator[Sojourn]:
    async with sojourn.open(server.url) as other:
        yield other


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[Sojourn]:
    """The store of a process that reaches the server by a proxy."""
    async with cut_off(proxy) as store:
        yield store


def cut_off(proxy: Proxy, **options: object) -> Sojourn:
    chosen = {"on_outage": "buffer", "operation_timeout": PATIENCE, **options}
    return sojourn.open(proxy.url, **chosen)  # type: ignore[arg-type]


def said(text: str) -> Event:
    return Event(author="user", payload=text)


async def back(proxy: Proxy, store: Sojourn) -> ReplayReport:
    """The network works again, and what was buffered has been replayed."""
    told = asyncio.get_running_loop().create_future()
    stop = store.on_replay(lambda report: told.done() or told.set_result(report))
    proxy.on_request = lambda _: "pass"
    async with asyncio.timeout(20):
        report: ReplayReport = await told
    stop()
    return report


def reasons(report: ReplayReport) -> list[str]:
    return [each.reason.partition(":")[0] for each in report.refused]


async def test_a_near_cache_does_not_serve_what_another_has_revoked(
    server: Server, other: Sojourn
) -> None:
    async with sojourn.open(server.url) as store:
        made = await store.sessions.create("shop", "ada")
        await store.sessions.append(made.key, said("one"))
        for _ in range(2):
            assert await store.sessions.get(made.key) is not None
        assert store.stats().near_cache.hits == 1
        await other.admin.revoke_user("shop", "ada")
        assert await store.sessions.get(made.key) is None


@pytest.mark.parametrize("what", ["session", "user", "app"])
async def test_what_waits_for_revoked_sessions_is_refused(
    store: Sojourn, other: Sojourn, proxy: Proxy, what: str
) -> None:
    held = await store.sessions.create("shop", "ada")
    proxy.on_request = lambda _: "drop"
    await store.sessions.append(held.key, said("late"))
    fresh = await store.sessions.create("shop", "ada", state={"user:x": 1, "app:x": 1})
    await store.sessions.append(fresh.key, said("late"))
    stranger = await store.sessions.create("shop", "never seen")
    assert [fresh.durable, stranger.durable] == [False, False]
    if what == "app":
        await other.admin.revoke_app("shop")
    elif what == "user":
        await other.admin.revoke_user("shop", "ada")
    else:
        for key in (held.key, fresh.key):
            await other.admin.revoke(key)
    report = await back(proxy, store)
    expected = ["SessionNotFound", "Conflict", "SessionNotFound"]
    assert reasons(report) == expected + ["Conflict"] * (what == "app")
    assert all(each.data for each in report.refused)
    for key in (held.key, fresh.key):
        assert await store.sessions.get(key) is None
        assert await other.sessions.get(key) is None
    assert await other.sessions.user_state("shop", "ada") == {}
    found = await other.sessions.get(stranger.key)
    assert (found is None) == (what == "app")


async def test_what_is_created_after_a_revocation_is_written(
    store: Sojourn, other: Sojourn, proxy: Proxy
) -> None:
    await store.ping()
    proxy.on_request = lambda _: "drop"
    await other.admin.revoke_user("shop", "ada")
    await asyncio.sleep(2 * PATIENCE)  # so late as a replay may be, it is later than that
    made = await store.sessions.create("shop", "ada")
    report = await back(proxy, store)
    assert (report.applied, report.refused) == (1, ())
    assert await other.sessions.get(made.key) is not None


async def still_answers(store: Sojourn, key: SessionKey) -> bool:
    try:
        return await store.sessions.get(key) is not None
    except Unavailable as error:
        return "buffer_seconds=" not in str(error)


async def test_held_sessions_go_on_for_buffer_seconds_at_most(proxy: Proxy) -> None:
    async with cut_off(proxy, buffer_seconds=3.0) as store:
        pinned, held = [await store.sessions.create("shop", "ada") for _ in range(2)]
        proxy.on_request = lambda _: "drop"
        await store.sessions.append(pinned.key, said("in time"))
        for each in (pinned, held):
            assert await store.sessions.get(each.key) is not None
        async with asyncio.timeout(30):
            for each in (pinned, held):
                while await still_answers(store, each.key):
                    await asyncio.sleep(0.02)
        for each in (pinned, held):
            with pytest.raises(Unavailable):
                await store.sessions.append(each.key, said("too late"))
        report = await back(proxy, store)
        assert report.applied == 1
        async with asyncio.timeout(10):
            while not store.stats().available:  # by all its connections
                await asyncio.sleep(0.02)
        proxy.on_request = lambda _: "drop"  # another outage begins anew
        assert await store.sessions.get(held.key, last=0) is not None


async def test_an_outage_that_nobody_met_has_begun_all_the_same(proxy: Proxy) -> None:
    options = {"buffer_seconds": 1.0, "health_check_interval": 0.1}
    async with cut_off(proxy, **options) as store:
        made = await store.sessions.create("shop", "ada")
        proxy.on_request = lambda _: "drop"
        async with asyncio.timeout(10):
            while store.stats().available:
                await asyncio.sleep(0.02)
        await asyncio.sleep(1.1)
        with pytest.raises(Unavailable, match="buffer_seconds=1"):
            await store.sessions.get(made.key)


async def test_what_waits_of_a_forgotten_user_is_refused_and_not_kept(
    proxy: Proxy, other: Sojourn, tmp_path: Path
) -> None:
    async with cut_off(proxy, journal=str(tmp_path / "journal")) as store:
        held = await store.sessions.create("shop", "ada-lovelace")
        proxy.on_request = lambda _: "drop"
        await store.sessions.append(held.key, said("s3cret"))
        state = {"user:x": "s3cret", "app:x": "s3cret"}
        fresh = await store.sessions.create("shop", "ada-lovelace", state=state)
        await store.sessions.append(fresh.key, said("s3cret"))
        await store.sessions.create("unknown app", "ada-lovelace", state=state)
        bob = await store.sessions.create("shop", "bob")
        await other.admin.forget("ada-lovelace")
        report = await back(proxy, store)
        assert reasons(report) == ["Erased"] * 4
        assert {each.data for each in report.refused} == {b""}
        assert report.applied == 1
        assert await other.sessions.get(bob.key) is not None
        left = await everything(other)
        assert (
            mentions(
                left, "ada-lovelace", "s3cret", *(each.operation_id for each in report.refused)
            )
            == []
        )
        assert "s3cret" not in "".join(
            path.read_text() for path in (tmp_path / "journal").iterdir()
        )


def read(folder: Path) -> str:
    """All that the files of a folder hold."""
    return "".join(path.read_text() for path in folder.iterdir())


async def end(other: Sojourn, what: str) -> None:
    match what:
        case "revoke_user":
            await other.admin.revoke_user("shop", "ada-lovelace")
        case "revoke_app":
            await other.admin.revoke_app("shop")
        case "forget":
            await other.admin.forget("ada-lovelace")
        case _:
            await other.admin.forget("ada-lovelace", app="shop")


@pytest.mark.parametrize("what", ["revoke_user", "revoke_app", "forget", "forget in the app"])
@pytest.mark.parametrize("looks", [0, 1])
async def test_what_is_revoked_in_the_middle_of_a_replay_is_not_revived(
    store: Sojourn, other: Sojourn, proxy: Proxy, what: str, looks: int
) -> None:
    """After the first look for tombstones, and after the create itself.

    What follows is as late as it is in a process that was stopped there: later than a call may be.
    """
    await store.ping()
    proxy.on_request = lambda _: "drop"
    made = await store.sessions.create("shop", "ada-lovelace", state={"own": "s3cret"})
    inner = store._rooms["sessions"].buffer._store  # type: ignore[union-attr]
    real, answers = inner.run, []

    async def looked(operation: Any) -> Any:
        if not isinstance(operation, FindTombstone):
            return await real(operation)
        answers.append(await real(operation))
        if len(answers) == 1 + looks:
            await end(other, what)
            await asyncio.sleep(2 * PATIENCE)
        return answers[-1]

    inner.run = looked  # type: ignore[method-assign]
    await back(proxy, store)
    assert answers
    assert await other.sessions.get(made.key) is None
    found = await everything(other)
    if what.startswith("forget"):
        assert mentions(found, "ada-lovelace", "s3cret") == []
    assert mentions(found, "s3cret") == []


@pytest.mark.parametrize("returns", [False, True])
@pytest.mark.parametrize("what", ["revoke_app", "forget"])
async def test_what_came_to_life_before_its_replay_was_cut_off_is_ended_by_the_next(
    store: Sojourn, other: Sojourn, proxy: Proxy, what: str, returns: bool
) -> None:
    """The script cannot know of these tombstones, and the look behind it does not come about."""
    await store.ping()
    proxy.on_request = lambda _: "drop"
    state = {"own": "s3cret", "user:x": "s3cret"}
    made = await store.sessions.create("shop", "ada-lovelace", state=state)
    inner = store._rooms["sessions"].buffer._store  # type: ignore[union-attr]
    real, kept, ended, cut_off = inner.run, [], [], []

    async def cut(operation: Any) -> Any:
        if not isinstance(operation, FindTombstone):
            return await real(operation)
        if not cut_off and await other.sessions.get(made.key) is not None:
            cut_off.append(operation)
            if returns:
                kept.append((await other.sessions.create("shop", "ada-lovelace")).key)
            raise Unavailable("cut off")
        found = await real(operation)
        if not ended:
            ended.append(what)
            await end(other, what)
        return found

    inner.run = cut  # type: ignore[method-assign]
    kind = "Erased" if what == "forget" else "Conflict"
    assert reasons(await back(proxy, store)) == [kind]
    assert cut_off
    listed = (await other.sessions.list("shop", "ada-lovelace")).sessions
    assert [each.key for each in listed] == kept
    if what == "forget" and not returns:
        assert mentions(await everything(other), "ada-lovelace", "s3cret") == []


@pytest.mark.parametrize(("what", "kind"), [("forget", "Erased"), ("revoke_user", "Conflict")])
async def test_the_create_itself_looks_for_tombstones(
    store: Sojourn, other: Sojourn, proxy: Proxy, what: str, kind: str
) -> None:
    await store.ping()
    proxy.on_request = lambda _: "drop"
    await store.sessions.create("shop", "ada-lovelace")
    if what == "forget":
        await other.admin.forget("ada-lovelace", app="shop")
    else:
        await other.admin.revoke_user("shop", "ada-lovelace")

    inner: Any = store._rooms["sessions"].buffer._store  # type: ignore[union-attr]
    real = inner.run

    async def sees_none(operation: Any) -> Any:
        found = await real(operation)
        return found._replace(reason=None) if isinstance(operation, FindTombstone) else found

    inner.run = sees_none
    assert reasons(await back(proxy, store)) == [kind]
    assert (await other.sessions.list("shop", "ada-lovelace")).sessions == []


CHILD = """
import asyncio, sys
import sojourn

async def main(url, folder):
    options = dict(on_outage="buffer", journal=folder, operation_timeout=0.3)
    store = sojourn.open(url, **options)
    held = await store.sessions.create("shop", "ada-lovelace")
    print(held.key.session, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    event = sojourn.Event(author="user", payload="s3cret")
    await store.sessions.append(held.key, event)
    made = await store.sessions.create("shop", "ada-lovelace", state={"user:x": "s3cret"})
    await store.sessions.append(made.key, event)
    await store.sessions.create("shop", "bob")
    print("buffered", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def journal(proxy: Proxy, other: Sojourn, tmp_path: Path) -> Path:
    """What a process has left that was cut off, and killed."""
    folder = tmp_path / "journal"
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", CHILD, proxy.url, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin
        assert child.stdout
        await asyncio.to_thread(child.stdout.readline)
        proxy.on_request = lambda _: "drop"
        child.stdin.write("\n")
        child.stdin.flush()
        assert (await asyncio.to_thread(child.stdout.readline)).strip() == "buffered"
        child.kill()
    proxy.on_request = lambda _: "pass"
    return folder


async def test_the_journal_of_a_dead_process_revives_nobody(
    proxy: Proxy, other: Sojourn, journal: Path
) -> None:
    await other.admin.forget("ada-lovelace")
    async with cut_off(proxy, journal=str(journal)) as store:
        report = asyncio.create_task(back(proxy, store))
        await asyncio.sleep(0)
        await store.admin.users("shop")
        assert reasons(await report) == ["Erased"] * 3
        assert (await store.admin.users("shop")).names == ["bob"]
    assert mentions(await everything(other), "ada-lovelace", "s3cret") == []
    assert read(journal) == ""


async def test_who_is_forgotten_here_is_taken_out_of_the_journal_here(
    proxy: Proxy, server: Server, other: Sojourn, journal: Path
) -> None:
    refused = journal / "refused.jsonl"
    lines = [
        {"reason": "…", "write": {"key": ["shop", user, "s"]}} for user in ("ada-lovelace", "bob")
    ]
    refused.write_text("".join(json.dumps(line) + "\n" for line in lines))
    async with cut_off(proxy, journal=str(journal)) as store:
        store._rooms["sessions"].buffer._replayer._keep_trying = asyncio.Event().wait  # type: ignore[union-attr]
        receipt = await store.admin.forget("ada-lovelace", app="shop")
        assert receipt.erased["buffered"] == 4
        assert store.stats().buffered == 1
        left = read(journal)
        assert "bob" in left
        assert "ada-lovelace" not in left
        assert "s3cret" not in left
    assert (await other.admin.users("shop")).names == ["bob"]
    assert [json.loads(line)["write"]["key"][1] for line in refused.open()] == ["bob"]
    assert mentions(await everything(other), "ada-lovelace", "s3cret") == []


async def test_a_revoked_session_that_was_held_answers_no_more(
    store: Sojourn, other: Sojourn, proxy: Proxy
) -> None:
    made = await store.sessions.create("shop", "ada")
    proxy.on_request = lambda _: "drop"
    await other.admin.revoke(SessionKey(*made.key))
    assert await store.sessions.get(made.key) is not None  # it cannot know
    proxy.on_request = lambda _: "pass"
    async with asyncio.timeout(10):
        while True:
            try:
                if await store.sessions.get(made.key) is None:
                    break
            except Unavailable:
                pass
            await asyncio.sleep(0.02)
