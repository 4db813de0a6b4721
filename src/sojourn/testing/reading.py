"""Contract of every session store: reads return state, events and lists as written."""

# ruff: noqa: D102, S101 - cases are named by what they show, and assert
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sojourn.client import Sojourn
from sojourn.ids import SessionKey
from sojourn.sessions import Event, Session

HOSTILE = [
    "a:b",
    "{x}",
    "}{",
    "*",
    "?[a-z]",
    "%3A",
    "a/b",
    "nul\x00nul",
    "line\nline\r\x1b[31m",
    "🦊",
    " ",
    "state",
    "s:events",
    "é" * 200,
]


def said(number: int, **delta: Any) -> Event:
    """An event that says a number."""
    return Event(author="user", payload={"say": number}, state_delta=delta)


async def logged(store: Sojourn, key: SessionKey) -> list[int]:
    """What was said in a session, in order."""
    session = await store.sessions.get(key)
    assert session is not None
    assert session.complete
    assert [event.seq for event in session.events] == list(
        range(session.length - len(session.events) + 1, session.length + 1)
    )
    return [event.payload["say"] for event in session.events]


class ReadingContract:
    """A part of SessionsContract."""

    # ── state ──────────────────────────────────────────────────────────────────────────────────

    async def test_scopes(self, store: Sojourn, app: str) -> None:
        mine = await store.sessions.create(app, "ada", state={"s": 1, "user:u": 1, "temp:t": 1})
        other = await store.sessions.create(app, "ada")
        bobs = await store.sessions.create(app, "bob")
        await store.sessions.append(mine.key, said(1, **{"app:a": 1, "temp:t": 1, "user:v": None}))
        states: list[dict[str, Any]] = []
        for key in (mine.key, other.key, bobs.key):
            read = await store.sessions.get(key)
            assert read is not None
            states.append(read.state)
        assert states[0] == {"s": 1, "user:u": 1, "user:v": None, "app:a": 1}
        assert states[1] == {"user:u": 1, "user:v": None, "app:a": 1}
        assert states[2] == {"app:a": 1}
        assert await store.sessions.user_state(app, "ada") == {"u": 1, "v": None}
        read = await store.sessions.get(mine.key)
        assert read is not None
        assert "temp:t" not in read.events[0].state_delta

    async def test_values_replace_and_never_merge(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        await store.sessions.append(session.key, said(1, d={"a": 1}, e=[], f={}))
        await store.sessions.append(session.key, said(2, d={"b": None}))
        read = await store.sessions.get(session.key)
        assert read is not None
        assert read.state == {"d": {"b": None}, "e": [], "f": {}}

    async def test_hostile_state_keys(self, store: Sojourn, session: Session[Event]) -> None:
        state = dict.fromkeys([*HOSTILE, "", "version", "incarnation", "state:x", "bytes"], 1)
        await store.sessions.append(session.key, said(1, **state))
        read = await store.sessions.get(session.key)
        assert read is not None
        assert read.state == state
        assert read.incarnation == session.incarnation

    async def test_thousands_of_state_keys_at_once(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        state = {f"k{n}": n for n in range(9000)}
        await store.sessions.append(session.key, Event(author="a", payload=0, state_delta=state))
        read = await store.sessions.get(session.key)
        assert read is not None
        assert read.state == state

    async def test_what_is_returned_is_the_callers_own(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        await store.sessions.append(session.key, said(1, d={"a": 1}))
        read = await store.sessions.get(session.key)
        assert read is not None
        read.state["d"]["a"] = 2
        read.events[0].payload["say"] = 2
        read.events.clear()
        again = await store.sessions.get(session.key)
        assert again is not None
        assert again.state == {"d": {"a": 1}}
        assert [event.payload for event in again.events] == [{"say": 1}]

    # ── reading ────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("fresh", [True, False], ids=["cold", "warm"])
    async def test_filters(self, store: Sojourn, session: Session[Event], fresh: bool) -> None:
        for n in range(1, 301):
            event = Event(author="a", payload={"say": n}, time=1000.0 + n)
            await store.sessions.append(session.key, event)
        if not fresh:
            await store.sessions.get(session.key)

        async def numbers(**filters: Any) -> list[int]:
            read = await store.sessions.get(session.key, **filters)
            assert read is not None
            assert read.complete
            return [event.payload["say"] for event in read.events]

        everything = list(range(1, 301))
        assert await numbers(last=0) == []
        assert await numbers(last=3) == [298, 299, 300]
        assert await numbers(last=300) == everything
        assert await numbers(last=1000) == everything
        assert await numbers(after=298) == [299, 300]
        assert await numbers(after=0) == everything
        assert await numbers(after=300) == []
        assert await numbers(after=999) == []
        assert await numbers(since=1299.0) == [299, 300]
        assert await numbers(since=1011.0) == everything[10:]
        assert await numbers(since=0.0) == everything
        assert await numbers(since=9999.0) == []
        assert await numbers(last=2, since=1100.0) == [299, 300]
        assert await numbers(last=200, since=1299.0) == [299, 300]
        assert await numbers() == everything

    async def test_since_cuts_behind_the_last_older_event(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        for when in (5.0, 1.0, 7.0, 3.0, 8.0):
            await store.sessions.append(session.key, Event(author="a", payload=when, time=when))
        read = await store.sessions.get(session.key, since=5.0)
        assert read is not None
        assert [event.payload for event in read.events] == [8.0]

    async def test_a_read_sees_what_came_since_the_last_one(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        for n in range(20):
            await store.sessions.append(session.key, said(n))
            assert await logged(store, session.key) == list(range(n + 1))
            read = await store.sessions.get(session.key, last=5)
            assert read is not None
            assert [e.payload["say"] for e in read.events] == list(range(n + 1))[-5:]

    async def test_reads_under_writes_are_whole(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        """State and log are of one instant: the state's `n` is what the last event said."""
        writing = True

        async def write() -> None:
            for n in range(150):
                await store.sessions.append(session.key, said(n, n=n))
            nonlocal writing
            writing = False

        async def read(last: int | None) -> None:
            while writing:
                seen = await store.sessions.get(session.key, last=last)
                assert seen is not None
                assert seen.complete
                if seen.length:
                    assert seen.events[-1].payload["say"] == seen.state["n"] == seen.length - 1

        await asyncio.gather(write(), read(None), read(3), read(1))

    async def test_what_is_not_there_is_none(self, store: Sojourn, app: str) -> None:
        assert await store.sessions.get(SessionKey.of(app, "ada", "none")) is None
        assert await store.sessions.get(SessionKey.of(app, "ada", "none"), since=1.0) is None
        assert not await store.sessions.delete(SessionKey.of(app, "ada", "none"))

    # ── lists ──────────────────────────────────────────────────────────────────────────────────

    async def test_a_users_sessions_oldest_update_first(self, store: Sojourn, app: str) -> None:
        keys = [(await store.sessions.create(app, "ada", f"s{n}")).key for n in range(5)]
        await store.sessions.append(keys[0], said(1, n=1))
        await store.sessions.create(app, "bob", "bobs")
        page = await store.sessions.list(app, "ada")
        assert [s.key.session for s in page.sessions] == ["s1", "s2", "s3", "s4", "s0"]
        assert page.cursor is None
        assert all(s.events == [] for s in page.sessions)
        assert page.sessions[-1].state == {"n": 1}
        assert page.sessions[-1].length == 1

    async def test_pages_miss_nothing_and_repeat_nothing(self, store: Sojourn, app: str) -> None:
        made: set[SessionKey] = set()
        for user in ("ada", "bob", "cyd", ""):
            for n in range(7):
                session = await store.sessions.create(app, user, f"s{n}", created=float(n // 3))
                made.add(session.key)

        async def walk(user: str | None, limit: int) -> list[SessionKey]:
            keys: list[SessionKey] = []
            cursor = None
            while True:
                page = await store.sessions.list(app, user, limit=limit, cursor=cursor)
                assert len(page.sessions) <= limit
                keys += [session.key for session in page.sessions]
                cursor = page.cursor
                if cursor is None:
                    return keys

        for limit in (1, 2, 3, 5, 7, 100):
            everyone = await walk(None, limit)
            assert len(everyone) == len(made)
            assert set(everyone) == made
            assert await walk("ada", limit) == [key for key in everyone if key.user == "ada"]

    async def test_an_older_event_hides_no_session_from_a_listing(
        self, store: Sojourn, app: str
    ) -> None:
        keys = [
            (await store.sessions.create(app, "ada", f"s{n}", created=10.0 + n)).key
            for n in range(4)
        ]
        page = await store.sessions.list(app, "ada", limit=2)
        await store.sessions.append(keys[3], Event(author="a", payload=1, time=1.0))
        rest = await store.sessions.list(app, "ada", cursor=page.cursor)
        assert {s.key for s in (*page.sessions, *rest.sessions)} == set(keys)

    async def test_the_empty_user_is_not_everyone(self, store: Sojourn, app: str) -> None:
        await store.sessions.create(app, "ada")
        assert (await store.sessions.list(app, "")).sessions == []
        nobody = await store.sessions.create(app, "")
        assert [s.key for s in (await store.sessions.list(app, "")).sessions] == [nobody.key]

    async def test_apps_and_users(self, store: Sojourn, app: str) -> None:
        for user in ("ada", "bob", "🦊", ""):
            await store.sessions.create(app, user)
        users: list[str] = []
        cursor = None
        while True:
            page = await store.admin.users(app, limit=2, cursor=cursor)
            users += page.names
            cursor = page.cursor
            if cursor is None:
                break
        assert sorted(users) == sorted(["ada", "bob", "🦊", ""])
        apps: list[str] = []
        while True:
            page = await store.admin.apps(limit=3, cursor=cursor)
            apps += page.names
            cursor = page.cursor
            if cursor is None:
                break
        assert apps.count(app) == 1

    async def test_unknown_apps_and_users_have_nothing(self, store: Sojourn, app: str) -> None:
        assert (await store.sessions.list(app)).sessions == []
        assert (await store.sessions.list(app, "nobody")).sessions == []
        assert (await store.admin.users(app)).names == []
