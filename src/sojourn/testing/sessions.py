"""What every store of sessions owes its users, case by case."""

# ruff: noqa: ASYNC110, D102, S101, PLR2004 - cases are named by what they show, and assert
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import math
import secrets
from typing import Any

import pytest

from sojourn.client import Sojourn
from sojourn.errors import (
    Conflict,
    InvalidId,
    InvalidInput,
    InvalidValue,
    SessionExists,
    SessionNotFound,
    StaleSession,
    TooLarge,
)
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


@pytest.mark.anyio
class SessionsContract:
    """Derive from it and give the fixture `store`."""

    @pytest.fixture
    def app(self) -> str:
        """An app of the test's own."""
        return f"app-{secrets.token_hex(6)}"

    @pytest.fixture
    async def session(self, store: Sojourn, app: str) -> Session[Event]:
        """A new session of ada's."""
        return await store.sessions.create(app, "ada")

    # ── create ─────────────────────────────────────────────────────────────────────────────────

    async def test_what_is_created_can_be_read(self, store: Sojourn, app: str) -> None:
        made = await store.sessions.create(
            app, "ada", "s1", state={"n": 1}, title="T", status="open", metadata={"m": [1, {}]}
        )
        read = await store.sessions.get(made.key)
        assert read == made
        assert (made.title, made.status, made.metadata) == ("T", "open", {"m": [1, {}]})
        assert (made.version, made.length, made.events) == (1, 0, [])

    async def test_ids_are_made_when_none_is_given(self, store: Sojourn, app: str) -> None:
        one, two = [await store.sessions.create(app, "ada") for _ in range(2)]
        assert one.key != two.key
        assert len(one.key.session) >= 32

    async def test_a_taken_id_is_refused_and_touches_nothing(
        self, store: Sojourn, app: str
    ) -> None:
        first = {"n": 1, "user:u": 1, "app:a": 1}
        made = await store.sessions.create(app, "ada", "s", state=first)
        with pytest.raises(SessionExists):
            await store.sessions.create(
                app, "ada", "s", state={"n": 2, "user:u": 2, "app:a": 2, "user:v": 2}
            )
        assert await store.sessions.get(made.key) == made

    async def test_a_create_repeated_by_its_operation_takes_effect_once(
        self, store: Sojourn, app: str
    ) -> None:
        made = await store.sessions.create(app, "ada", "s", operation_id="op")
        await store.sessions.append(made.key, said(1))
        again = await store.sessions.create(app, "ada", "s", operation_id="op")
        assert again.incarnation == made.incarnation
        assert await logged(store, made.key) == [1]

    async def test_a_create_repeated_after_the_delete_revives_nothing(
        self, store: Sojourn, app: str
    ) -> None:
        made = await store.sessions.create(app, "ada", "s", operation_id="op")
        await store.sessions.delete(made.key)
        with pytest.raises(Conflict):
            await store.sessions.create(app, "ada", "s", operation_id="op")
        assert await store.sessions.get(made.key) is None

    async def test_a_new_session_of_an_old_id_starts_empty(self, store: Sojourn, app: str) -> None:
        old = await store.sessions.create(app, "ada", "s", state={"n": 1})
        await store.sessions.append(old.key, said(1))
        await store.sessions.delete(old.key)
        new = await store.sessions.create(app, "ada", "s")
        assert (new.state, new.length) == ({}, 0)
        assert new.incarnation != old.incarnation
        assert await logged(store, new.key) == []

    # ── append ─────────────────────────────────────────────────────────────────────────────────

    async def test_events_come_back_as_they_were(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        payload: dict[str, Any] = {
            "": [],
            "{}": {},
            "n": [0, -1, 2**70, 1.5, True, None],
            "t": 'é🦊\n\x00\\"',
        }
        event = Event(author="agent ü", payload=payload, kind="k", id="i", time=12.5)
        await store.sessions.append(session.key, event)
        read = await store.sessions.get(session.key)
        assert read is not None
        assert [
            (e.author, e.payload, e.kind, e.id, e.time, e.seq, dict(e.state_delta))
            for e in read.events
        ] == [("agent ü", payload, "k", "i", 12.5, 1, {})]
        assert read.updated == 12.5

    @pytest.mark.parametrize("payload", [None, True, 0, "", [], {}, "text", 1.5])
    async def test_any_json_is_a_payload(
        self, store: Sojourn, session: Session[Event], payload: Any
    ) -> None:
        await store.sessions.append(session.key, Event(author="a", payload=payload))
        read = await store.sessions.get(session.key)
        assert read is not None
        assert read.events[0].payload == payload
        assert type(read.events[0].payload) is type(payload)

    async def test_many_are_appended_together_and_in_order(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        done = await store.sessions.append(session.key, *(said(n) for n in range(10)))
        assert (done.seqs, done.version) == (range(1, 11), 2)
        done = await store.sessions.append(session.key, said(10))
        assert done.seqs == range(11, 12)
        assert await logged(store, session.key) == list(range(11))

    async def test_a_repeated_operation_takes_effect_once(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        first = await store.sessions.append(session.key, said(1, n=1), operation_id="op")
        await store.sessions.append(session.key, said(2, n=2))
        again = await store.sessions.append(session.key, said(1, n=1), operation_id="op")
        assert (first.repeated, again.repeated) == (False, True)
        assert again.version == first.version
        read = await store.sessions.get(session.key)
        assert read is not None
        assert read.state == {"n": 2}
        assert await logged(store, session.key) == [1, 2]

    async def test_operations_are_remembered_for_a_thousand_writes(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        await store.sessions.append(session.key, said(0), operation_id="op")
        for n in range(999):
            await store.sessions.append(session.key, said(n))
        again = await store.sessions.append(session.key, said(0), operation_id="op")
        assert again.repeated

    async def test_concurrent_writers_lose_nothing(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        async def write(writer: int) -> None:
            for n in range(5):
                delta = {f"w{writer}-{n}": n, f"user:w{writer}-{n}": n, f"app:w{writer}-{n}": n}
                await store.sessions.append(session.key, said(writer * 5 + n, **delta))

        await asyncio.gather(*(write(writer) for writer in range(40)))
        said_numbers = await logged(store, session.key)
        assert sorted(said_numbers) == list(range(200))
        for writer in range(40):
            mine = [n for n in said_numbers if n // 5 == writer]
            assert mine == sorted(mine)
        read = await store.sessions.get(session.key)
        assert read is not None
        assert len(read.state) == 600

    async def test_an_expected_version_guards_a_write(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        done = await store.sessions.append(session.key, said(1), expected_version=session.version)
        with pytest.raises(StaleSession) as caught:
            await store.sessions.append(session.key, said(2), expected_version=session.version)
        assert (caught.value.expected, caught.value.actual) == (session.version, done.version)
        await store.sessions.append(session.key, said(3), expected_version=done.version)
        assert await logged(store, session.key) == [1, 3]

    async def test_what_was_deleted_is_not_revived(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        await store.sessions.delete(session.key)
        with pytest.raises(SessionNotFound):
            await store.sessions.append(session.key, said(1, **{"user:u": 1, "app:a": 1}))
        with pytest.raises(SessionNotFound):
            await store.sessions.update(session.key, title="T")
        assert not await store.sessions.touch(session.key)
        assert await store.sessions.get(session.key) is None
        assert await store.sessions.user_state(session.key.app, "ada") == {}

    async def test_a_write_for_a_predecessor_does_not_reach_its_successor(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        await store.sessions.delete(session.key)
        await store.sessions.create(*session.key)
        with pytest.raises(SessionNotFound):
            await store.sessions.append(session.key, said(1), incarnation=session.incarnation)
        assert not await store.sessions.delete(session.key, incarnation=session.incarnation)
        assert await logged(store, session.key) == []

    async def test_an_operation_id_names_one_write(self, store: Sojourn, app: str) -> None:
        """The same id on another session, or for another kind of write, is another operation."""
        one, two = [await store.sessions.create(app, "ada", f"s{n}") for n in range(2)]
        for session in (one, two):
            assert await store.sessions.delete(session.key, operation_id="op")
            assert await store.sessions.get(session.key) is None
        three = await store.sessions.create(app, "ada", "s3", operation_id="op")
        await store.sessions.append(three.key, said(1), operation_id="op")
        await store.sessions.update(three.key, title="T", operation_id="op")
        read = await store.sessions.get(three.key)
        assert read is not None
        assert (read.title, read.length) == ("T", 1)
        assert await store.sessions.delete(three.key, operation_id="op")
        assert await store.sessions.get(three.key) is None

    async def test_a_delete_that_found_nothing_says_so_again(
        self, store: Sojourn, app: str
    ) -> None:
        key = SessionKey.of(app, "ada", "s")
        assert not await store.sessions.delete(key, operation_id="op")
        await store.sessions.create(*key)
        assert not await store.sessions.delete(key, operation_id="op")
        assert await store.sessions.get(key) is not None

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

    # ── update, delete, lifetimes ──────────────────────────────────────────────────────────────

    async def test_update_sets_what_is_given(self, store: Sojourn, app: str) -> None:
        made = await store.sessions.create(app, "ada", title="T", metadata={"a": 1})
        version = await store.sessions.update(made.key, status="closed")
        await store.sessions.update(
            made.key, title="", metadata={}, expected_version=version, operation_id="op"
        )
        await store.sessions.update(made.key, title="again", operation_id="op")
        read = await store.sessions.get(made.key)
        assert read is not None
        assert (read.title, read.status, read.metadata) == ("", "closed", {})
        assert read.version == version + 1
        assert read.updated >= made.updated
        with pytest.raises(StaleSession):
            await store.sessions.update(made.key, title="x", expected_version=1)

    async def test_a_repeated_delete_spares_the_successor(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        assert await store.sessions.delete(session.key, operation_id="op")
        await store.sessions.create(*session.key)
        await store.sessions.delete(session.key, operation_id="op")
        assert await logged(store, session.key) == []

    async def test_shared_state_outlives_a_session(self, store: Sojourn, app: str) -> None:
        made = await store.sessions.create(app, "ada", state={"user:u": 1, "app:a": 2, "s": 3})
        await store.sessions.delete(made.key)
        new = await store.sessions.create(app, "ada")
        assert new.state == {"user:u": 1, "app:a": 2}

    async def test_a_session_expires_and_takes_nothing_with_it(
        self, store: Sojourn, app: str
    ) -> None:
        made = await store.sessions.create(app, "ada", "s", ttl=0.05, state={"user:u": 1})
        await store.sessions.append(made.key, said(1))
        async with asyncio.timeout(5):
            while await store.sessions.get(made.key) is not None:
                await asyncio.sleep(0.01)
        with pytest.raises(SessionNotFound):
            await store.sessions.append(made.key, said(2))
        assert (await store.sessions.list(app, "ada")).sessions == []
        new = await store.sessions.create(app, "ada", "s")
        assert new.state == {"user:u": 1}
        assert await logged(store, new.key) == []

    async def test_changes_lengthen_a_life(self, store: Sojourn, app: str) -> None:
        made = await store.sessions.create(app, "ada", ttl=100)
        assert made.expires is not None
        await store.sessions.append(made.key, said(1))
        longer = await store.sessions.get(made.key)
        assert longer is not None
        assert longer.expires is not None
        assert longer.expires >= made.expires
        await store.sessions.update(made.key, ttl=1000)
        later = await store.sessions.get(made.key)
        assert later is not None
        assert later.ttl == 1000
        assert later.expires is not None
        assert later.expires > longer.expires + 800
        await store.sessions.update(made.key, ttl=None)
        ever = await store.sessions.get(made.key)
        assert ever is not None
        assert (ever.ttl, ever.expires) == (None, None)
        assert await store.sessions.touch(made.key)

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
            page = await store.sessions.users(app, limit=2, cursor=cursor)
            users += page.names
            cursor = page.cursor
            if cursor is None:
                break
        assert sorted(users) == sorted(["ada", "bob", "🦊", ""])
        apps: list[str] = []
        while True:
            page = await store.sessions.apps(limit=3, cursor=cursor)
            apps += page.names
            cursor = page.cursor
            if cursor is None:
                break
        assert apps.count(app) == 1

    async def test_unknown_apps_and_users_have_nothing(self, store: Sojourn, app: str) -> None:
        assert (await store.sessions.list(app)).sessions == []
        assert (await store.sessions.list(app, "nobody")).sessions == []
        assert (await store.sessions.users(app)).names == []

    # ── bad input ──────────────────────────────────────────────────────────────────────────────

    async def test_no_two_identities_share_a_session(self, store: Sojourn, app: str) -> None:
        keys = [
            SessionKey.of(f"{app}{one}", two, three)
            for one in ["", *HOSTILE]
            for two in HOSTILE[:6]
            for three in HOSTILE[:6]
        ]
        for n, key in enumerate(keys):
            await store.sessions.create(*key, state={"n": n, "user:n": n})
        assert len(set(keys)) == len(keys)
        for n, key in enumerate(keys):
            read = await store.sessions.get(key)
            assert read is not None
            assert (read.key, read.state["n"]) == (key, n)
        for one in ["", *HOSTILE]:
            found = (await store.sessions.list(f"{app}{one}", limit=1000)).sessions
            assert {s.key for s in found} == {key for key in keys if key.app == f"{app}{one}"}

    @pytest.mark.parametrize(
        ("app", "user", "session"),
        [
            ("", "u", "s"),
            ("a", "u", ""),
            ("a" * 1_000_000, "u", "s"),
            ("a", "\ud800", "s"),
            ("a", "u", 5),
            (None, "u", "s"),
        ],
    )
    async def test_ids_that_cannot_be(
        self, store: Sojourn, app: Any, user: Any, session: Any
    ) -> None:
        with pytest.raises(InvalidId):
            await store.sessions.create(app, user, session)
        with pytest.raises(InvalidId):
            SessionKey.of(app, user, session)

    @pytest.mark.parametrize("value", [object(), b"x", {1, 2}, math.nan, math.inf, "\ud800"])
    async def test_values_that_json_cannot_hold(
        self, store: Sojourn, session: Session[Event], value: Any
    ) -> None:
        for event in (
            Event(author="a", payload=value),
            Event(author="a", payload={"deep": [value]}),
            Event(author="a", payload=1, state_delta={"k": value}),
        ):
            with pytest.raises(InvalidValue):
                await store.sessions.append(session.key, said(1), event)
        with pytest.raises(InvalidValue):
            await store.sessions.update(session.key, metadata={"m": value})
        assert await store.sessions.get(session.key) == session

    async def test_wrong_arguments(self, store: Sojourn, session: Session[Event]) -> None:
        key = session.key
        with pytest.raises(InvalidInput):
            await store.sessions.get(key, last=-1)
        with pytest.raises(InvalidInput):
            await store.sessions.get(key, after=-1)
        with pytest.raises(InvalidInput):
            await store.sessions.get(key, since=math.nan)
        for ttl in (0, -1, math.nan, math.inf):
            with pytest.raises(InvalidInput):
                await store.sessions.update(key, ttl=ttl)
        with pytest.raises(InvalidInput):
            await store.sessions.append(key)
        with pytest.raises(InvalidInput):
            await store.sessions.update(key)
        with pytest.raises(InvalidInput):
            await store.sessions.append(key, said(1), operation_id="")
        with pytest.raises(InvalidInput):
            await store.sessions.append(key, Event(author="a", payload=1, time=math.inf))
        wrong: Any = "1"
        with pytest.raises(InvalidInput):
            await store.sessions.append(key, Event(author="a", payload=1, time=wrong))
        with pytest.raises(InvalidInput):
            await store.sessions.append(key, Event(author="a", payload=1, state_delta={wrong: {1}}))
        with pytest.raises(InvalidInput):
            await store.sessions.get(key, last=wrong)
        with pytest.raises(InvalidInput):
            await store.sessions.list(key.app, limit=10**20)
        for cursor in ("", "x", "AAAA", "bm9uZQ=="):
            with pytest.raises(InvalidInput):
                await store.sessions.list(key.app, cursor=cursor)
        with pytest.raises(InvalidInput):
            await store.sessions.list(key.app, limit=0)
        assert await store.sessions.get(key) == session

    async def test_an_event_over_the_cap_is_refused_whole(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        big = Event(author="a", payload="x" * (8 * 1024 * 1024))
        with pytest.raises(TooLarge) as caught:
            await store.sessions.append(session.key, said(1), big)
        assert caught.value.size > caught.value.limit == 8 * 1024 * 1024
        assert await store.sessions.get(session.key) == session

    async def test_an_event_just_under_the_cap_is_stored(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        text = "x" * (8 * 1024 * 1024 - 500)
        await store.sessions.append(session.key, Event(author="a", payload=text))
        read = await store.sessions.get(session.key)
        assert read is not None
        assert read.events[0].payload == text

    @pytest.mark.parametrize("scope", ["", "user:"])
    async def test_a_state_over_the_cap_is_refused_whole(
        self, store: Sojourn, session: Session[Event], scope: str
    ) -> None:
        half = {f"{scope}big{n}": "x" * (3 * 1024 * 1024) for n in range(2)}
        await store.sessions.append(session.key, Event(author="a", payload=1, state_delta=half))
        before = await store.sessions.get(session.key)
        with pytest.raises(TooLarge):
            await store.sessions.append(
                session.key, said(1, **{f"{scope}more": "x" * (3 * 1024 * 1024)})
            )
        assert await store.sessions.get(session.key) == before
        smaller = dict.fromkeys(half, "")
        await store.sessions.append(session.key, Event(author="a", payload=1, state_delta=smaller))
        await store.sessions.append(session.key, said(1, **{f"{scope}more": "x" * 3_000_000}))
