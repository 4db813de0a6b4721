"""What is kept of records that cannot be read: how much, how long, and how it goes."""

from __future__ import annotations

import json
import time

import pytest
from corruption_kit import Bench

import sojourn
from servers import Server
from sojourn import CorruptRecord, Event, Quarantined
from sojourn.sessions.quarantine import LARGEST, MOST_BYTES


async def damage(bench: Bench, *rows: bytes | str) -> None:
    """Read the session with such rows behind its own."""
    bench.client.rpush(bench.events, *rows)
    bench.client.hincrby(bench.head, "seq", len(rows))
    await bench.get()


async def test_a_record_says_what_it_was(bench: Bench) -> None:
    before = time.time()
    bench.client.hset(bench.head, "state:n", b"{\xff")
    await bench.get()
    (kept,) = await bench.quarantined()
    assert kept == Quarantined(
        id=kept.id,
        key=bench.head,
        field="state:n",
        reason=kept.reason,
        time=kept.time,
        size=2,
        raw=b"{\xff",
    )
    assert before - 2 < kept.time < time.time() + 2
    assert kept.reason
    assert len(kept.id) == 16


async def test_a_human_can_read_it(bench: Bench) -> None:
    await damage(bench, "mine\nand more")
    (kept,) = await bench.quarantined()
    stored = bench.client.hgetall(bench.quarantine)
    about, _, raw = stored[kept.id.encode()].partition(b"\n")
    assert json.loads(about) == {
        "time": kept.time,
        "key": bench.events,
        "field": "4",
        "reason": "its checksum is missing or wrong",
        "size": 13,
    }
    assert raw == b"mine\nand more"
    assert int(stored[b"bytes"]) == len(stored[kept.id.encode()])


async def test_the_same_record_is_kept_once_by_all_processes(bench: Bench) -> None:
    await damage(bench, "mine")
    first = await bench.quarantined()
    async with sojourn.open(bench.server.url) as other:
        await other.sessions.get(bench.key)
    assert await bench.quarantined() == first
    bench.client.lset(bench.events, 3, "mine, again")
    async with sojourn.open(bench.server.url) as other:
        await other.sessions.get(bench.key)
    assert len(await bench.quarantined()) == 2


async def test_records_are_kept_as_long_as_shared_state(shared_server: Server) -> None:
    for ttl, least in ((1000.0, 1000), (None, -1)):
        store = sojourn.open(shared_server.url, state_ttl=ttl)
        async with store, Bench(shared_server, store) as bench:
            await damage(bench, "mine")
            assert await bench.quarantined()
            assert least <= bench.client.ttl(bench.quarantine) <= least * 1.01 + 1


async def test_another_record_keeps_all_of_them_longer(bench: Bench) -> None:
    await damage(bench, "mine")
    await bench.quarantined()
    bench.client.expire(bench.quarantine, 10)
    await damage(bench, "mine, too")
    await bench.quarantined()
    assert bench.client.ttl(bench.quarantine) > 1000


async def test_a_full_quarantine_keeps_what_it_has(bench: Bench) -> None:
    await damage(bench, *(f"mine {n}" for n in range(700)))
    await bench.quarantined()
    first = set(bench.client.hkeys(bench.quarantine))
    assert len(first) == 701
    await damage(bench, *(f"more {n}" for n in range(700)))
    kept = await bench.quarantined()
    assert len(kept) == 1000
    assert first < set(bench.client.hkeys(bench.quarantine))
    assert await bench.store.admin.release(*bench.key[:2], kept[0].id)
    await damage(bench, "one more")
    assert len(await bench.quarantined()) == 1000


async def test_a_quarantine_has_a_size(bench: Bench) -> None:
    large = b"x" * (LARGEST - 1000)
    for n in range(10):
        await damage(bench, b"%d" % n + large)
    await bench.quarantined()
    assert bench.client.hlen(bench.quarantine) == 8 + 1
    assert int(bench.client.hget(bench.quarantine, "bytes")) <= MOST_BYTES


async def test_a_large_record_is_kept_in_part_and_says_so(bench: Bench) -> None:
    raw = bytes(range(256)) * (LARGEST // 256) + b"the end"
    await damage(bench, raw)
    (kept,) = await bench.quarantined()
    assert (kept.size, kept.raw) == (len(raw), raw[:LARGEST])


async def test_a_released_record_is_gone_and_its_bytes_are_given_back(bench: Bench) -> None:
    await damage(bench, "mine", "mine, too")
    one, two = await bench.quarantined()
    release = bench.store.admin.release
    app, user, _ = bench.key
    assert await release(app, user, one.id)
    assert not await release(app, user, one.id)
    assert not await release(app, "bob", two.id)
    assert not await release(app, user, "bytes")
    assert await bench.quarantined() == [two]
    stored = bench.client.hgetall(bench.quarantine)
    assert int(stored[b"bytes"]) == len(stored[two.id.encode()])
    assert await release(app, user, two.id)
    assert not bench.client.exists(bench.quarantine)


async def test_users_have_a_quarantine_each(bench: Bench) -> None:
    await damage(bench, "mine")
    assert len(await bench.quarantined()) == 1
    assert await bench.store.admin.quarantined(bench.key.app, "bob") == []
    assert await bench.store.admin.quarantined(bench.key.app, "") == []


async def test_a_quarantine_that_is_damaged_itself_is_read(bench: Bench) -> None:
    await damage(bench, "mine")
    (kept,) = await bench.quarantined()
    bench.client.hset(bench.quarantine, mapping={kept.id: "nonsense", "bytes": "nonsense"})
    bench.client.hset(bench.quarantine, b"\xff", "{}\nx")
    damaged = {each.id: each for each in await bench.quarantined()}
    assert set(damaged) == {kept.id, "\\xff"}
    assert (damaged[kept.id].key, damaged[kept.id].raw) == (bench.quarantine, b"nonsense")
    await damage(bench, "mine, too")
    assert len(await bench.quarantined()) == 3
    assert await bench.store.admin.release(*bench.key[:2], kept.id)


async def test_a_quarantine_of_another_type_fails_no_read(bench: Bench) -> None:
    bench.client.set(bench.quarantine, "mine")
    await damage(bench, "mine")
    assert len((await bench.get()).events) == 3
    with pytest.raises(CorruptRecord):
        await bench.quarantined()
    assert bench.client.get(bench.quarantine) == b"mine"


async def test_a_full_server_fails_no_read(server: Server) -> None:
    async with sojourn.open(server.url) as store, Bench(server, store) as bench:
        bench.client.lset(bench.events, 0, "mine")
        bench.client.config_set("maxmemory", "1")
        assert len((await bench.get()).events) == 2


async def test_memory_has_the_same_api() -> None:
    async with sojourn.open("memory://") as store:
        made = await store.sessions.create("shop", "ada")
        await store.sessions.append(made.key, Event(author="a", payload=1))
        assert await store.admin.quarantined("shop", "ada") == []
        assert not await store.admin.release("shop", "ada", "x")
        assert store.stats().corrupt == 0
