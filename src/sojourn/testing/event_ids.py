"""Event ids: each once in a log, wherever sessions are kept."""

# ruff: noqa: D102, S101, PLR2004 - cases are named by what they show, and assert
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from sojourn.client import Sojourn
from sojourn.errors import EventExists, InvalidInput
from sojourn.sessions import Event, Session
from sojourn.testing.reading import said

ODD = ["é\n", 'a"b', "back\\slash", '"]}', " ", "\x7f{x:y}", "世界" * 40, "0"]
"""Ids that JSON writes with escapes, or that look like something else."""


def named(*ids: str) -> list[Event]:
    """Events of these ids."""
    return [replace(said(n), id=name) for n, name in enumerate(ids)]


async def ids_of(store: Sojourn, session: Session[Event]) -> list[str]:
    """The ids in a log, in order."""
    found = await store.sessions.get(session.key)
    assert found is not None
    assert found.complete
    return [event.id for event in found.events]


@pytest.mark.anyio
class EventIdsContract:
    """Part of the `SessionsContract`."""

    async def test_no_id_is_twice_in_a_log(self, store: Sojourn, session: Session[Event]) -> None:
        await store.sessions.append(session.key, *named("a", "b"))
        for again, count in ((["a"], 1), (["c", "b"], 1), (["b", "x", "a"], 2)):
            changed = [replace(event, state_delta={"n": 1}) for event in named(*again)]
            with pytest.raises(EventExists) as raised:
                await store.sessions.append(session.key, *changed)
            assert raised.value.ids == count
        found = await store.sessions.get(session.key)
        assert found is not None
        assert (found.version, found.state, found.length) == (2, {}, 2)
        await store.sessions.append(session.key, *named("c"))
        assert await ids_of(store, session) == ["a", "b", "c"]

    async def test_two_of_one_append_are_refused(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        with pytest.raises(InvalidInput, match="same id"):
            await store.sessions.append(session.key, *named("a", "b", "a"))
        with pytest.raises(InvalidInput, match="not empty"):
            await store.sessions.append(session.key, *named(""))

    async def test_any_text_is_an_id(self, store: Sojourn, session: Session[Event]) -> None:
        await store.sessions.append(session.key, *named(*ODD[:4]))
        for name in ODD[4:]:
            await store.sessions.append(session.key, *named(name))
        for name in ODD:
            with pytest.raises(EventExists):
                await store.sessions.append(session.key, *named(name))
        assert await ids_of(store, session) == ODD

    async def test_a_repeated_operation_is_no_conflict(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        for repeated in (False, True):
            done = await store.sessions.append(session.key, *named("a", "b"), operation_id="once")
            assert done.repeated == repeated

    async def test_of_many_that_bring_an_id_at_once_one_succeeds(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        tries = [store.sessions.append(session.key, *named("a")) for _ in range(8)]
        done = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(each, EventExists) for each in done) == 7
        assert await ids_of(store, session) == ["a"]

    async def test_what_was_cut_off_may_come_again(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        await store.sessions.append(session.key, *named("a", "b", "c", "d", "e"))
        await store.sessions.trim(session.key, drop=2, keep=2)
        assert await ids_of(store, session) == ["b", "c"]
        for name in ("b", "c"):
            with pytest.raises(EventExists):
                await store.sessions.append(session.key, *named(name))
        await store.sessions.append(session.key, *named("a", "d", "e"))
        assert await ids_of(store, session) == ["b", "c", "a", "d", "e"]

    async def test_a_save_brings_its_own_ids(self, store: Sojourn, session: Session[Event]) -> None:
        await store.sessions.append(session.key, *named("a", "b"))
        await store.sessions.save(session.key, events=named("b", "c"))
        with pytest.raises(EventExists):
            await store.sessions.append(session.key, *named("c"))
        await store.sessions.append(session.key, *named("a"))
        assert await ids_of(store, session) == ["b", "c", "a"]

    async def test_ids_go_with_a_session_that_is_rotated(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        await store.sessions.append(session.key, *named("a"))
        done = await store.sessions.rotate(session.key)
        with pytest.raises(EventExists):
            await store.sessions.append(done.key, *named("a"))
        await store.sessions.delete(done.key)
        again = await store.sessions.create(*done.key)
        await store.sessions.append(again.key, *named("a"))
        assert await ids_of(store, again) == ["a"]
