"""Pages of a log, from any place of it, on every topology."""

from __future__ import annotations

import secrets

import pytest

import sojourn
from sojourn import Event, InvalidInput, SessionKey, SessionNotFound


async def filled(store: sojourn.Sojourn, events: int, payload: object = None) -> SessionKey:
    made = await store.sessions.create("pages", "ada", secrets.token_hex(8))
    for start in range(0, events, 1000):
        batch = range(start, min(events, start + 1000))
        await store.sessions.append(
            made.key, *(Event(author="user", payload=payload or n + 1) for n in batch)
        )
    return made.key


async def test_a_page_is_read_from_any_place(url: str) -> None:
    async with sojourn.open(url) as store:
        key = await filled(store, 50)

        async def seqs(**place: int) -> list[int]:
            found = await store.sessions.events(key, **place)
            assert [event.payload for event in found.events] == list(found.seqs)
            assert (found.length, found.first, found.version) == (50, 1, 2)
            assert found.complete
            return [event.seq for event in found.events]

        assert await seqs(limit=3) == [48, 49, 50]
        assert await seqs(limit=1000) == list(range(1, 51))
        assert await seqs(before=48, limit=3) == [45, 46, 47]
        assert await seqs(before=3) == [1, 2]
        assert await seqs(before=1) == []
        assert await seqs(before=0) == []
        assert await seqs(before=51, limit=2) == [49, 50]
        assert await seqs(before=1000, limit=2) == [49, 50]
        assert await seqs(after=0, limit=2) == [1, 2]
        assert await seqs(after=48) == [49, 50]
        assert await seqs(after=50) == []
        assert await seqs(after=1000) == []


async def test_what_was_cut_off_the_front_is_not_counted(url: str) -> None:
    async with sojourn.open(url) as store:
        key = await filled(store, 20)
        await store.sessions.trim(key, keep=5)
        page = await store.sessions.events(key, after=0, limit=2)
        assert (page.first, page.length, page.seqs) == (16, 20, range(16, 18))
        page = await store.sessions.events(key, before=18, limit=10)
        assert [event.seq for event in page.events] == [16, 17]
        assert (await store.sessions.events(key, before=10)).events == []


async def test_a_page_of_large_events_is_shorter_and_has_the_right_end(url: str) -> None:
    async with sojourn.open(url) as store:
        key = await filled(store, 20, "x" * 900_000)
        first = await store.sessions.events(key, after=0)
        assert first.seqs.start == 1
        assert 1 <= len(first.events) < 20
        last = await store.sessions.events(key)
        assert last.seqs.stop == 21
        assert 1 <= len(last.events) < 20
        before = await store.sessions.events(key, before=19)
        assert before.seqs.stop == 19


async def test_what_cannot_be_a_page_is_refused(url: str) -> None:
    async with sojourn.open(url) as store:
        key = await filled(store, 1)
        for place in ({"after": 1, "before": 2}, {"after": -1}, {"before": -1}, {"limit": 0}):
            with pytest.raises(InvalidInput):
                await store.sessions.events(key, **place)
        with pytest.raises(InvalidInput):
            await store.sessions.events(key, limit=100_000)
        with pytest.raises(SessionNotFound):
            await store.sessions.events(SessionKey.of("pages", "ada", "none"))


async def test_an_update_may_name_the_incarnation(url: str) -> None:
    async with sojourn.open(url) as store:
        key = await filled(store, 1)
        found = await store.sessions.get(key, last=0)
        assert found is not None
        await store.sessions.update(key, title="a", incarnation=found.incarnation)
        with pytest.raises(SessionNotFound):
            await store.sessions.update(key, title="b", incarnation="another")
        now = await store.sessions.get(key, last=0)
        assert now is not None
        assert now.title == "a"
