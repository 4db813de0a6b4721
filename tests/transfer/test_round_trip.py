"""What an archive holds comes back as it was, from and to whatever there is."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from transfer_kit import LONG, fill, picture, session

import sojourn
from cluster import ClusterSet
from servers import any_binary
from sojourn import SessionKey, Sojourn, transfer
from sojourn.sessions.archive import ArchivedSession
from sojourn.sessions.event_codec import event_id
from sojourn.sessions.operations.archive import ReadLogSlice, ReadStoredSession
from sojourn.sessions.operations.restore import RestoreSession, StageEvents


async def test_all_is_the_same_after_a_round_trip(url: str, source: Sojourn, tmp_path: Path):
    out = await transfer.export(source, tmp_path / "out", cache=True)
    there = await picture(source)
    assert out.counts.sessions == 22
    async with sojourn.open(url, namespace="round-trip") as store:
        done = await transfer.import_(store, tmp_path / "out")
        assert done.counts == out.counts
        assert (done.identical, done.conflicts, done.expired) == (0, 0, 0)
        back = await transfer.export(store, tmp_path / "back", cache=True)
        assert await picture(store) == there
        assert back.counts == out.counts
    async with sojourn.open("memory://") as other:
        await transfer.import_(other, tmp_path / "back")
        assert await picture(other) == there


async def test_it_goes_from_memory_to_a_cluster_to_an_embedded_server(tmp_path: Path):
    cluster = ClusterSet(tmp_path / "cluster", any_binary()).start()
    try:
        async with (
            sojourn.open("memory://") as memory,
            sojourn.open(cluster.url) as nodes,
            sojourn.open(f"embedded:{tmp_path / 'embedded'}") as embedded,
        ):
            await fill(memory)
            await transfer.export(memory, tmp_path / "1", cache=True)
            await transfer.import_(nodes, tmp_path / "1")
            await transfer.export(nodes, tmp_path / "2", cache=True)
            await transfer.import_(embedded, tmp_path / "2")
            there = await picture(memory)
            assert await picture(nodes) == there
            assert await picture(embedded) == there
    finally:
        cluster.close()


async def test_an_imported_session_is_written_to_as_any(store: Sojourn, archive: Path):
    await transfer.import_(store, archive)
    before = await store.sessions.get(LONG, last=0)
    assert before is not None
    event = sojourn.Event(author="user", payload=1, state_delta={"app:n": 2, "user:name": "x"})
    done = await store.sessions.append(
        LONG, event, incarnation=before.incarnation, expected_version=before.version
    )
    assert list(done.seqs) == [before.length + 1]
    after = await store.sessions.get(LONG, last=1)
    assert after is not None
    assert (after.state["app:n"], after.state["user:name"]) == (2, "x")
    assert await store.sessions.delete(LONG, incarnation=before.incarnation)


async def test_what_is_imported_is_listed_by_its_labels(store: Sojourn, archive: Path):
    await transfer.import_(store, archive)
    page = await store.sessions.list("böok", "ada", labels={"flow": "f"})
    assert [each.key.session for each in page.sessions] == ["*"]
    async with asyncio.timeout(10):  # the index of the app is written while nobody waits
        while (page := await store.admin.recent("böok", labels={"flow": "f"})).sessions == []:
            await asyncio.sleep(0.01)
    assert [each.labels for each in page.sessions] == [{"flow": "f"}]


async def test_an_imported_memory_is_searched_and_changed_as_any(store: Sojourn, archive: Path):
    scope = store.memory.user("ada", app="shop")
    await scope.search("hello")  # knows the scope before
    await transfer.import_(store, archive)
    assert [hit.entry.key for hit in await scope.search("blue")] == ["one"]
    before = {entry.key: entry.version for entry in (await scope.list()).entries}
    assert await scope.put("one", 4, expected_version=before["one"]) > max(before.values())


async def test_what_is_imported_into_a_memory_is_found_by_who_knows_it(url: str, archive: Path):
    async with sojourn.open(url, namespace="known") as store:
        scope = store.memory.user("ada", app="shop")
        for number in range(9):
            await scope.put("other", {"v": [f"green {number}"]})
        assert len(await scope.search("green")) == 1
        await transfer.import_(store, archive)
        assert [hit.entry.key for hit in await scope.search("blue")] == ["one"]
        entries = (await scope.list()).entries
        assert len({entry.version for entry in entries}) == len(entries) == 3


async def test_rows_are_staged_once_whoever_sends_them(url: str):
    async with sojourn.open(url, namespace="staged") as store:
        run = store.stores.sessions.run
        assert await run(StageEvents(LONG, "x", 0, 0, [b"1", b"2"])) == 2
        assert await run(StageEvents(LONG, "x", 0, 0, [b"1", b"2", b"3"])) == 3
        assert await run(StageEvents(LONG, "x", 0, 2, [b"3"])) == 3
        assert await run(StageEvents(LONG, "x", 0, 2, [b"3", b"4"])) == 4
        assert await run(StageEvents(LONG, "x", 0, 9, [b"10"])) == 4
        assert await run(StageEvents(LONG, "y", 0, 0, [])) == 0


async def test_a_session_of_which_rows_are_missing_is_not_restored(url: str, source: Sojourn):
    found = await source.stores.sessions.run(ReadStoredSession(LONG))
    assert found is not None
    image = ArchivedSession(found.head, found.state, "z", 2, [])
    async with sojourn.open(url, namespace="staged") as store:
        run = store.stores.sessions.run
        await run(StageEvents(LONG, "z", 0, 0, [b"1"]))
        with pytest.raises(sojourn.Conflict, match="1 are there"):
            await run(RestoreSession(LONG, image, replace=False))
        assert await store.sessions.get(LONG) is None


@pytest.mark.parametrize("evicted", [1, 2])
async def test_ids_of_rows_that_were_staged_are_known_though_evicted(
    target, store: Sojourn, source: Sojourn, evicted: int
):
    found = await source.stores.sessions.run(ReadStoredSession(LONG))
    assert found is not None
    run, seq = store.stores.sessions.run, found.head.seq
    part = await source.stores.sessions.run(ReadLogSlice(LONG, 1, 3, 10**6))
    assert part is not None
    rows = part.rows[:3]
    await run(StageEvents(LONG, "z", seq - 3, 0, rows[:1]))
    for number, row in enumerate(rows[1:], 1):
        if number == evicted:
            (ids,) = target.client().keys("*:staged:*:ids")
            target.ask("DEL", ids)
        await run(StageEvents(LONG, "z", seq - 3, number, [row]))
    head = found.head._replace(dropped=seq - 3)
    image = ArchivedSession(head, {}, "z", 3, [])
    assert await run(RestoreSession(LONG, image, replace=False)) == "restored"
    known = target.client().zrange("session:{shop:ada}:long:ids", 0, -1, withscores=True)
    assert known[1:] == [(event_id(row), seq - 2 + n) for n, row in enumerate(rows)]


async def test_an_export_reads_only(target, store: Sojourn, archive: Path, tmp_path: Path):
    await transfer.import_(store, archive)
    client = target.client()
    state = "state:{shop:ada}"
    client.pexpire(state, 5_000_000)
    artifact = "artifact:{shop:ada}::f.txt"
    before = {key: client.type(key) for key in client.scan_iter()}
    lives = {key: client.pexpiretime(key) for key in before}
    await transfer.export(store, tmp_path / "again", cache=True)
    assert {key: client.type(key) for key in client.scan_iter()} == before
    assert {key: client.pexpiretime(key) for key in before} == lives
    assert artifact in before


async def test_every_key_that_an_import_writes_has_its_lifetime(target, archive: Path):
    async with sojourn.open(target.url) as store:
        await transfer.import_(store, archive)
    client = target.client()
    endless = {key for key in client.scan_iter() if client.ttl(key) == -1}
    known = ("memory:", "memories:", "recent:", "users:", "apps")  # as is what they lead to
    assert {key for key in endless if not key.startswith(known)} == {
        *(
            f"session:{{shop:{user}}}:s1{part}"
            for user in _users()
            for part in ("", ":events", ":ids")
        ),
        *(f"sessions:{{shop:{user}}}{part}" for user in _users() for part in ("", ":expiry")),
    }


def _users() -> list[str]:
    return ["ada", "bob", "", "%C3%BC%3A%7B%7D%2F%25"]


async def test_only_its_owner_may_read_an_archive(archive: Path):
    found = await asyncio.to_thread(archive.stat)
    assert stat.S_IMODE(found.st_mode) == 0o600


async def test_filters_narrow_an_export(source: Sojourn, tmp_path: Path):
    async def counted(**wanted):
        path = tmp_path / f"filtered {sorted(wanted)}"
        done = await transfer.export(source, path, **wanted)
        return done.counts.sessions, done.counts.states, done.counts.memories, done.counts.artifacts

    assert await counted(app="böok") == (1, 1, 0, 0)
    assert await counted(user="ada", app="shop") == (6, 1, 4, 2)
    assert await counted(user="") == (5, 1, 70, 0)
    found = await source.sessions.get(LONG, last=0)
    assert found is not None
    assert (await counted(since=found.updated))[0] == 1
    assert (await counted(until=found.updated))[0] == 21


async def test_what_has_expired_meanwhile_is_not_imported(tmp_path: Path, store: Sojourn):
    clock = sojourn.sessions.inmemory.time.time
    async with sojourn.open("memory://") as memory:
        made = await memory.sessions.create("shop", "ada", "brief", until=clock() + 0.05)
        await transfer.export(memory, tmp_path / "brief")
        while await memory.sessions.get(made.key) is not None:
            pass
    done = await transfer.import_(store, tmp_path / "brief")
    assert (done.counts.sessions, done.expired) == (0, 1)
    assert await session(store, SessionKey.of("shop", "ada", "brief")) is None


async def test_a_store_that_buffers_outages_is_refused(target, tmp_path: Path):
    async with sojourn.open(target.url, on_outage="buffer") as store:
        with pytest.raises(sojourn.InvalidInput, match="buffer"):
            await transfer.export(store, tmp_path / "x")
