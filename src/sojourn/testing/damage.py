"""Contract of every session store: events that cannot be read."""

# ruff: noqa: D102, S101 - cases are named by what they show, and assert

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sojourn.client import Sojourn
from sojourn.sessions import EVENTS, Event, Quarantined, Session, View
from sojourn.sessions.event_codec import EventRow
from sojourn.telemetry import CorruptFact
from sojourn.testing.reading import said


def _decode(row: EventRow, seq: int) -> tuple[EventRow, int]:
    if row.kind == "strange":
        raise ValueError("a secret")
    return EVENTS.decode(row, seq)


STRICT: View[Any, Event] = EVENTS._replace(name="strict", decode=_decode)
"""A view that cannot read events of one kind, as if they were damaged."""

STRANGELY = "no event as the view 'strict' reads it: ValueError"
"""What is said of it: nothing that the view said, which may quote the event."""

STRANGE = Event(author="agent", payload={"say": 0}, kind="strange", id="strange")


class DamageContract:
    """A part of SessionsContract."""

    @pytest.mark.parametrize("place", [0, 1, 2])
    async def test_an_event_that_cannot_be_read_is_left_out_and_the_rest_served(
        self, store: Sojourn, session: Session[Event], place: int
    ) -> None:
        events = [said(1, n=1), said(2), said(3)]
        events[place] = STRANGE
        await store.sessions.append(session.key, *events)
        for _ in range(2):
            read = await store.adapters.get_as(STRICT, session.key)
            assert read is not None
            assert [event.seq for event in read.events] == [
                seq for seq in (1, 2, 3) if seq != place + 1
            ]
            assert (read.complete, read.length) == (False, 3)
            newest = await store.adapters.get_as(STRICT, session.key, last=1)
            assert newest is not None
            assert newest.complete == (place != len(events) - 1)
        whole = await store.sessions.get(session.key)
        assert whole is not None
        assert whole.complete

    async def test_what_cannot_be_read_is_kept_once_told_once_and_released(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        app, user, _ = session.key
        told: list[CorruptFact] = []
        store.on_corrupt(told.append)
        await store.sessions.append(session.key, said(1), STRANGE, replace(STRANGE, id="strange-2"))
        for last in (None, 3, 2, 1):
            await store.adapters.get_as(STRICT, session.key, last=last)
        kept = await store.admin.quarantined(app, user)
        assert [(each.field, each.reason) for each in sorted(kept, key=_field)] == [
            ("2", STRANGELY),
            ("3", STRANGELY),
        ]
        newest = await store.admin.quarantined(app, user, newest_first=True)
        assert newest == list(reversed(kept))
        for each in kept:
            assert each.size == len(each.raw)
            assert each.raw.startswith(b'{"id":"strange')
            assert each.time > 0
        assert [fact.part for fact in told] == ["events", "events"]
        assert store.stats().corrupt >= len(told)
        assert await store.admin.release(app, user, kept[0].id)
        assert not await store.admin.release(app, user, kept[0].id)
        assert await store.admin.quarantined(app, user) == [kept[1]]

    async def test_a_quarantine_is_its_users_and_empty_at_first(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        app, user, _ = session.key
        await store.sessions.append(session.key, STRANGE)
        await store.adapters.get_as(STRICT, session.key)
        (kept,) = await store.admin.quarantined(app, user)
        for another in ("bob", ""):
            assert await store.admin.quarantined(app, another) == []
            assert not await store.admin.release(app, another, kept.id)
        assert await store.admin.quarantined(app, user) == [kept]


def _field(record: Quarantined) -> str:
    return record.field
