"""Rows of a log that are not as they were written: left out, kept and told; the rest is served."""

from __future__ import annotations

import asyncio
import logging

import pytest
from corruption_kit import METADATA, PAYLOADS, STATE, Bench, flipped, sealed, truncated

import sojourn
from sojourn import Event
from sojourn.errors import InvalidValue
from sojourn.sessions import EVENTS
from sojourn.sessions.event_codec import EventRow
from sojourn.telemetry import CorruptFact

ROW = '{"id":"x","time":1.0,"author":"a","kind":"k","payload":'

FOREIGN = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\x00\xff",
    b"mine",
    b'{"id":"x","time":1.0,"author":"a","kind":"k","payload":1}',
    b'{"id":"x","time":1.0,"author":"a","kind":"k","payload":1,"crc":"00000000"}',
    sealed("mine"),
    sealed(f"{ROW}"),
    sealed(f'{ROW}1,"time":"x"'),
    sealed(f'{ROW}1,"id":5'),
    sealed(f'{ROW}1,"state_delta":[1]'),
    sealed('{"id":"x"'),
    sealed(f"{ROW}1e999"),  # these two look right until their payload is decoded
    sealed(f'{ROW}1,"state_delta":{{"k":1e999}}'),
    sealed(ROW + "[" * 100_000 + "]" * 100_000),
]
"""Rows that Sojourn did not write, some with a checksum that is right."""


async def check_the_rest(bench: Bench, lost: int) -> None:
    """All but one event is served, and the session says so."""
    session = await bench.get()
    rest = [payload for n, payload in enumerate(PAYLOADS) if n != lost]
    assert [event.payload for event in session.events] == rest
    assert [event.seq for event in session.events] == [n + 1 for n in range(3) if n != lost]
    assert not session.complete
    assert (session.state, session.metadata) == ({**STATE, "k": 2}, METADATA)


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_no_byte_of_a_row_changes_unnoticed(cold: Bench, place: int) -> None:
    row = cold.client.lindex(cold.events, place)
    assert isinstance(row, bytes)
    damaged = list(flipped(row, str(place)))
    for each in damaged:
        cold.client.lset(cold.events, place, each)
        await check_the_rest(cold, place)
    assert await cold.kept() == {(cold.events, str(place + 1), each) for each in damaged}
    assert cold.store.stats().corrupt == len(damaged)


async def test_a_row_cut_at_any_length_is_noticed(cold: Bench) -> None:
    row = cold.client.lindex(cold.events, 1)
    assert isinstance(row, bytes)
    damaged = list(truncated(row))
    for each in damaged:
        cold.client.lset(cold.events, 1, each)
        await check_the_rest(cold, 1)
    assert await cold.kept() == {(cold.events, "2", each) for each in damaged}


@pytest.mark.parametrize("row", FOREIGN, ids=lambda row: repr(row[:60]))
@pytest.mark.parametrize("near_cache_bytes", [0, 10**6], ids=["cold", "cached"])
async def test_what_is_no_event_is_left_out_and_kept(
    bench: Bench, row: bytes, near_cache_bytes: int
) -> None:
    bench.client.lset(bench.events, 1, row)
    async with sojourn.open(bench.server.url, near_cache_bytes=near_cache_bytes) as bench.store:
        for _ in range(3):
            await check_the_rest(bench, 1)
        assert await bench.kept() == {(bench.events, "2", row)}
        assert bench.client.lindex(bench.events, 1) == row  # the log is never rewritten


async def test_a_damaged_row_hides_none_that_filters_ask_for(bench: Bench) -> None:
    bench.client.lset(bench.events, 1, "mine")
    for _ in range(2):
        for filters, seqs, complete in (
            ({"last": 1}, [3], True),
            ({"last": 2}, [3], False),
            ({"last": 0}, [], True),
            ({"after": 0}, [1, 3], False),
            ({"after": 2}, [3], True),
            ({"after": 1}, [3], False),
            ({"since": 12.0}, [3], False),
            ({"since": 99.0}, [], True),
            ({"since": 0.0}, [1, 3], False),
        ):
            session = await bench.get(**filters)
            assert [event.seq for event in session.events] == seqs, filters
            assert session.complete is complete, filters


async def test_the_near_cache_remembers_that_a_row_was_damaged(bench: Bench) -> None:
    bench.client.lset(bench.events, 1, "mine")
    await check_the_rest(bench, 1)
    await check_the_rest(bench, 1)
    assert bench.store.stats().near_cache.hits == 1
    await bench.store.sessions.append(bench.key, Event(author="a", payload="new"))
    session = await bench.get()
    assert [event.seq for event in session.events] == [1, 3, 4]
    assert not session.complete
    assert (await bench.get(last=2)).complete


async def test_a_damaged_row_behind_what_the_near_cache_has_is_noticed(bench: Bench) -> None:
    assert (await bench.get()).complete
    await bench.store.sessions.append(bench.key, Event(author="a", payload="new"))
    bench.client.lset(bench.events, 3, "mine")
    for _ in range(2):
        session = await bench.get()
        assert [event.seq for event in session.events] == [1, 2, 3]
        assert not session.complete
    await bench.store.sessions.append(bench.key, Event(author="a", payload="newer"))
    assert [event.seq for event in (await bench.get()).events] == [1, 2, 3, 5]


async def test_a_damaged_last_row_is_not_taken_from_the_near_cache(bench: Bench) -> None:
    await bench.get()
    bench.client.lset(bench.events, 2, "mine")
    await check_the_rest(bench, 2)
    await check_the_rest(bench, 2)


async def test_events_of_which_all_are_damaged_leave_a_session(bench: Bench) -> None:
    for place in range(3):
        bench.client.lset(bench.events, place, f"mine {place}")
    session = await bench.get()
    assert (session.events, session.complete, session.length) == ([], False, 3)
    assert len(await bench.quarantined()) == 3


async def test_a_session_with_a_damaged_row_can_be_written(bench: Bench) -> None:
    bench.client.lset(bench.events, 0, "mine")
    done = await bench.store.sessions.append(bench.key, Event(author="a", payload="new"))
    assert done.seqs == range(4, 5)
    assert [event.seq for event in (await bench.get()).events] == [2, 3, 4]


async def test_thousands_of_damaged_rows_do_not_stop_a_read(bench: Bench) -> None:
    bench.client.delete(bench.events)
    bench.client.rpush(bench.events, *(f"mine {n}" for n in range(2500)))
    bench.client.hset(bench.head, "seq", 2500)
    session = await bench.get()
    assert (session.events, session.complete) == ([], False)
    assert len(await bench.quarantined()) == 1000


async def test_rows_that_a_view_cannot_read_are_left_out_of_that_view(bench: Bench) -> None:
    def picky(row: EventRow, seq: int) -> tuple[EventRow, int]:
        if seq == 2:
            raise LookupError("secret")
        return EVENTS.decode(row, seq)

    view = EVENTS._replace(name="picky", decode=picky)
    session = await bench.store.adapters.get_as(view, bench.key)
    assert session is not None
    assert [event.seq for event in session.events] == [1, 3]
    assert not session.complete
    assert (await bench.get()).complete
    (kept,) = await bench.quarantined()
    assert kept.raw == bench.client.lindex(bench.events, 1)
    assert "'picky'" in kept.reason
    assert "secret" not in kept.reason


async def test_what_cannot_be_read_is_told_once_and_without_content(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    facts: list[CorruptFact] = []
    stop = bench.store.on_corrupt(facts.append)
    bench.client.lset(bench.events, 0, "topsecret")
    bench.client.hset(bench.head, "state:n", "topsecret")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await bench.get()
            await bench.get(last=3)
    assert sorted(facts) == [CorruptFact("events", 9), CorruptFact("session", 9)]
    assert bench.store.stats().corrupt == 2
    assert len(caplog.records) == 2
    assert "topsecret" not in caplog.text
    stop()
    bench.client.hset(bench.head, "state:n", "topsecret 2")
    await bench.get()
    assert len(facts) == 2
    assert bench.store.stats().corrupt == 3


async def test_a_hook_that_fails_does_not_fail_the_read(bench: Bench) -> None:
    def fail(fact: CorruptFact) -> None:
        raise RuntimeError(fact.part)

    bench.store.on_corrupt(fail)
    bench.client.lset(bench.events, 0, "mine")
    await check_the_rest(bench, 0)


async def test_reads_wait_for_no_quarantine(bench: Bench) -> None:
    """The read is over before the record is on its way."""
    told: list[str] = []
    bench.store.on_call(lambda fact: told.append(fact.name))
    bench.client.lset(bench.events, 0, "mine")
    await check_the_rest(bench, 0)
    assert sorted(told) == ["sessions.read", "sessions.state"]
    async with asyncio.timeout(5):
        while "sessions.quarantine" not in told:
            await asyncio.sleep(0)


async def test_a_process_that_ends_at_once_has_told_it(bench: Bench) -> None:
    bench.client.lset(bench.events, 0, "mine")
    async with sojourn.open(bench.server.url) as short:
        await short.sessions.get(bench.key, last=3)
    assert await bench.kept() == {(bench.events, "1", b"mine")}


async def test_what_json_cannot_hold_is_still_refused_before_it_is_stored(bench: Bench) -> None:
    with pytest.raises(InvalidValue):
        await bench.store.sessions.append(bench.key, Event(author="a", payload=float("inf")))
    assert (await bench.get()).complete
