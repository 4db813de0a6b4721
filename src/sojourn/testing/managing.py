"""Contract of every session store: managing whole sessions."""

# ruff: noqa: ASYNC110, D102, S101, PLR2004 - cases are named by what they show, and assert

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest

from sojourn.client import Sojourn
from sojourn.errors import Conflict, InvalidInput, SessionNotFound, StaleSession
from sojourn.ids import SessionKey
from sojourn.sessions import Event, Session
from sojourn.testing.reading import logged, said

WORDS: dict[str, Any] = {"title": "T", "status": "open", "labels": {"flow": "csv2507"}}


async def found(store: Sojourn, key: SessionKey) -> Session[Event]:
    """A session that must be there."""
    session = await store.sessions.get(key)
    assert session is not None
    return session


class ManagingContract:
    """Cases of `SessionsContract`."""

    # ── ensure ─────────────────────────────────────────────────────────────────────────────────

    async def test_ensure_creates_what_is_not_there(self, store: Sojourn, app: str) -> None:
        first: dict[str, Any] = {"n": 1, "user:u": [1], "app:a": None}
        made = await store.sessions.ensure(app, "ada", "s", state=first, metadata={"m": 1}, **WORDS)
        assert made == await found(store, made.key)
        assert made.state == first
        assert (made.version, made.length, made.metadata) == (1, 0, {"m": 1})
        assert {name: getattr(made, name) for name in WORDS} == WORDS

    @pytest.mark.parametrize("last", [None, 0, 2])
    async def test_ensure_gets_what_is_there_and_changes_nothing(
        self, store: Sojourn, session: Session[Event], last: int | None
    ) -> None:
        await store.sessions.append(session.key, said(1), said(2), said(3))
        same = await store.sessions.ensure(
            *session.key, last=last, title="other", state={"n": 2, "user:u": 2, "app:a": 2}
        )
        assert same == await store.sessions.get(session.key, last=last)
        assert (same.title, same.state, same.version) == ("", {}, 2)
        assert len(same.events) == (3 if last is None else last)

    async def test_of_many_that_ensure_one_creates(self, store: Sojourn, app: str) -> None:
        ensured = await asyncio.gather(
            *(
                store.sessions.ensure(app, "ada", "s", last=0, title=f"{n}", state={"n": n})
                for n in range(20)
            )
        )
        assert len({(each.incarnation, each.title, each.state["n"]) for each in ensured}) == 1
        assert ensured[0].title == f"{ensured[0].state['n']}"

    async def test_ensure_knows_the_user(self, store: Sojourn, session: Session[Event]) -> None:
        app, _, name = session.key
        other = await store.sessions.ensure(app, "bob", name)
        assert other.incarnation != session.incarnation

    async def test_a_repeated_ensure_revives_nothing(self, store: Sojourn, app: str) -> None:
        made = await store.sessions.ensure(app, "ada", "s", operation_id="op")
        await store.sessions.delete(made.key)
        with pytest.raises(Conflict):
            await store.sessions.ensure(app, "ada", "s", operation_id="op")
        assert await store.sessions.get(made.key) is None

    async def test_begin_appends_and_makes_what_is_not_there(
        self, store: Sojourn, app: str
    ) -> None:
        key = SessionKey.of(app, "ada", "s")
        event = Event(author="a", payload=1, state_delta={"n": 1, "user:n": 2, "app:n": 3})
        made = await store.adapters.begin(key, event, ttl=60, operation_id="op")
        assert (made.version, list(made.seqs), made.repeated) == (2, [1], False)
        session = await found(store, key)
        assert session.state == event.state_delta
        assert session.ttl == 60
        assert [each.key for each in (await store.sessions.list(app)).sessions] == [key]
        again = await store.adapters.begin(key, event, ttl=60, operation_id="op")
        assert (again.version, again.repeated) == (2, True)
        more = await store.adapters.begin(key, said(2), said(3), ttl=None)
        assert (more.version, list(more.seqs)) == (3, [2, 3])
        assert (await found(store, key)).ttl == 60

    async def test_a_begin_repeated_after_a_delete_or_a_rotation_revives_nothing(
        self, store: Sojourn, app: str
    ) -> None:
        for end in (store.sessions.delete, store.sessions.rotate):
            key = SessionKey.of(app, "ada", f"s-{end.__name__}")
            event = Event(author="user", payload=1)
            assert not (await store.adapters.begin(key, event, operation_id="op")).repeated
            assert (await store.adapters.begin(key, event, operation_id="op")).repeated
            await end(key)
            with pytest.raises(Conflict):
                await store.adapters.begin(key, event, operation_id="op")
            assert await store.sessions.get(key) is None
            await store.adapters.begin(key, event, operation_id="another")

    async def test_many_that_begin_one_lose_nothing(self, store: Sojourn, app: str) -> None:
        key = SessionKey.of(app, "ada", "s")
        await asyncio.gather(*(store.adapters.begin(key, said(n)) for n in range(20)))
        assert sorted(await logged(store, key)) == list(range(20))

    async def test_begin_without_an_event_makes_nothing(self, store: Sojourn, app: str) -> None:
        key = SessionKey.of(app, "ada", "s")
        with pytest.raises(InvalidInput):
            await store.adapters.begin(key)
        assert await store.sessions.get(key) is None

    # ── whole sessions ─────────────────────────────────────────────────────────────────────────

    async def test_what_is_saved_is_loaded(self, store: Sojourn, app: str) -> None:
        key = SessionKey.of(app, "ada", "whole")
        state: dict[str, Any] = {"step": 3, "nested": {"a": [1, {}]}}
        events = [said(n) for n in range(100)]
        saved = await store.sessions.save(
            key, events=events, state=state, metadata={"m": 1}, expected_version=0, **WORDS
        )
        loaded = await found(store, key)
        assert (saved, loaded.version, loaded.state, loaded.metadata) == (1, 1, state, {"m": 1})
        assert {name: getattr(loaded, name) for name in WORDS} == WORDS
        numbered = [msgspec.structs.replace(event, seq=n) for n, event in enumerate(events, 1)]
        assert loaded.events == numbered
        assert [each.key for each in (await store.sessions.list(app, "ada")).sessions] == [key]

    async def test_a_save_takes_the_place_of_all_that_was(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        key, first = session.key, {"old": 1, "user:u": 1, "app:a": 2}
        await store.sessions.append(key, Event(author="a", payload=1, state_delta=first), said(2))
        before = await found(store, key)
        saved = await store.sessions.save(
            key, events=[said(7)], state={"n": 1}, expected_version=before.version
        )
        after = await found(store, key)
        assert saved == after.version == before.version + 1
        assert after.state == {"n": 1, "user:u": 1, "app:a": 2}
        assert await logged(store, key) == [7]
        assert (after.length, after.title, after.metadata) == (1, "", {})
        kept = ("incarnation", "created", "ttl")
        assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
        await store.sessions.append(key, said(8))
        assert await logged(store, key) == [7, 8]

    async def test_an_empty_save_empties(self, store: Sojourn, session: Session[Event]) -> None:
        await store.sessions.append(session.key, said(1))
        await store.sessions.save(session.key)
        assert await logged(store, session.key) == []
        await store.sessions.append(session.key, said(2))
        assert [event.seq for event in (await found(store, session.key)).events] == [1]

    async def test_a_save_of_another_version_is_refused(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        await store.sessions.append(session.key, said(1))
        for version in (0, 1, 3):
            with pytest.raises(StaleSession) as caught:
                await store.sessions.save(session.key, expected_version=version)
            assert (caught.value.expected, caught.value.actual) == (version, 2)
        assert await logged(store, session.key) == [1]

    async def test_of_two_that_save_the_same_version_one_wins(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        saves = (
            store.sessions.save(session.key, state={"n": n}, expected_version=1) for n in range(10)
        )
        results = await asyncio.gather(*saves, return_exceptions=True)
        assert results.count(2) == 1
        assert sum(isinstance(each, StaleSession) for each in results) == 9
        assert (await found(store, session.key)).state == {"n": results.index(2)}

    async def test_a_save_of_what_has_gone_revives_nothing(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        await store.sessions.delete(session.key)
        unlike: list[dict[str, Any]] = [
            {"expected_version": 1},
            {"incarnation": session.incarnation},
        ]
        for options in unlike:
            with pytest.raises(SessionNotFound):
                await store.sessions.save(session.key, **options)
        await store.sessions.save(session.key, operation_id="op")
        await store.sessions.delete(session.key)
        with pytest.raises(Conflict):
            await store.sessions.save(session.key, operation_id="op")

    async def test_a_save_repeated_after_a_delete_revives_nothing(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        await store.sessions.save(session.key, title="old", operation_id="op")
        await store.sessions.delete(session.key)
        with pytest.raises(Conflict):
            await store.sessions.save(session.key, title="old", operation_id="op")
        assert await store.sessions.get(session.key) is None
        await store.sessions.create(*session.key, title="new")
        with pytest.raises(Conflict):
            await store.sessions.save(session.key, title="old", operation_id="op")
        assert (await found(store, session.key)).title == "new"

    async def test_no_incarnation_comes_again(self, store: Sojourn, app: str) -> None:
        saved, made = (SessionKey.of(app, "ada", name) for name in ("saved", "made"))
        await store.sessions.save(saved, operation_id="op")
        await store.sessions.create(*made, operation_id="op")
        await store.sessions.delete(saved)
        await store.sessions.delete(made)
        with pytest.raises(Conflict):
            await store.sessions.create(*saved, operation_id="op")
        with pytest.raises(Conflict):
            await store.sessions.save(made, operation_id="op")

    async def test_a_repeated_save_takes_effect_once(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        for _ in range(2):
            assert await store.sessions.save(session.key, state={"n": 1}, operation_id="op") == 2
        await store.sessions.append(session.key, said(1))
        assert await store.sessions.save(session.key, operation_id="op") == 2
        assert await logged(store, session.key) == [1]

    async def test_shared_state_is_not_saved(self, store: Sojourn, app: str) -> None:
        for name in ("user:u", "app:a"):
            with pytest.raises(InvalidInput, match="append"):
                await store.sessions.save(SessionKey.of(app, "ada", "s"), state={name: 1})
        assert (await store.sessions.list(app, "ada")).sessions == []

    async def test_words_are_updated_one_by_one(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        for name, word in WORDS.items():
            one: dict[str, Any] = {name: word}
            await store.sessions.update(session.key, **one)
        after = await found(store, session.key)
        assert {name: getattr(after, name) for name in WORDS} == WORDS

    # ── lifetimes ──────────────────────────────────────────────────────────────────────────────

    async def test_no_change_lengthens_a_life_beyond_its_end(
        self, store: Sojourn, app: str
    ) -> None:
        made = await store.sessions.create(app, "ada", ttl=100, max_age=60)
        assert made.expires == made.until
        assert made.until == pytest.approx(made.created + 60, abs=5)
        await store.sessions.append(made.key, said(1))
        await store.sessions.touch(made.key)
        await store.sessions.update(made.key, title="T", ttl=1000)
        await store.sessions.trim(made.key, keep=0)
        after = await found(store, made.key)
        assert (after.until, after.expires, after.ttl) == (made.until, made.until, 1000)

    async def test_the_earliest_end_counts(self, store: Sojourn, app: str) -> None:
        soon = time.time() + 50
        made = await store.sessions.create(app, "ada", ttl=None, max_age=100, until=soon)
        assert made.expires == pytest.approx(soon, abs=0.002)
        sliding = await store.sessions.create(app, "ada", ttl=10, max_age=100)
        assert sliding.expires is not None
        assert sliding.expires < made.created + 15
        await store.sessions.update(made.key, until=None)
        assert (await found(store, made.key)).expires is None

    async def test_an_end_in_milliseconds_is_refused(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        far = time.time() * 1000
        with pytest.raises(InvalidInput, match="milliseconds"):
            await store.sessions.create(session.key.app, "ada", until=far)
        with pytest.raises(InvalidInput, match="milliseconds"):
            await store.sessions.update(session.key, until=far)
        with pytest.raises(InvalidInput, match="milliseconds"):
            await store.sessions.save(session.key, until=far)
        await store.sessions.update(session.key, until=10.0**11)
        assert (await found(store, session.key)).until == 10.0**11

    @pytest.mark.parametrize("end", ["max_age", "until"])
    async def test_a_session_ends_though_it_is_used(
        self, store: Sojourn, app: str, end: str
    ) -> None:
        await store.ping()  # a server that has yet to start would take longer
        ends: dict[str, Any] = {end: 0.5 if end == "max_age" else time.time() + 0.5}
        made = await store.sessions.create(app, "ada", "s", ttl=None, **ends)
        async with asyncio.timeout(5):
            while await store.sessions.get(made.key) is not None:
                try:
                    await store.sessions.append(made.key, said(1))
                except SessionNotFound:
                    break
        assert (await store.sessions.list(app, "ada")).sessions == []
        await store.sessions.create(app, "ada", "s")
        assert await logged(store, made.key) == []

    # ── filters ────────────────────────────────────────────────────────────────────────────────

    async def test_lists_are_filtered(self, store: Sojourn, app: str) -> None:
        for n in range(12):
            await store.sessions.create(
                app,
                f"u{n % 3}",
                f"order-{n}" if n % 2 else f"call-{n}",
                status="open" if n < 6 else "closed",
                labels={
                    **({"flow": "f"} if n == 3 else {}),
                    **({"a/b:c": "ü %"} if n in (3, 5) else {}),
                },
            )
        async with asyncio.timeout(10):  # the index of the app is written while nobody waits
            while len((await store.admin.recent(app)).sessions) < 12:
                await asyncio.sleep(0.01)
        expected: list[tuple[dict[str, Any], set[int]]] = [
            ({"pattern": "order-*"}, {1, 3, 5, 7, 9, 11}),
            ({"pattern": "order-?", "status": "open"}, {1, 3, 5}),
            ({"status": "closed", "user": "u0"}, {6, 9}),
            ({"labels": {"flow": "f"}}, {3}),
            ({"labels": {"a/b:c": "ü %"}}, {3, 5}),
            ({"labels": {"a/b:c": "ü %", "flow": "f"}}, {3}),
            ({"labels": {"a/b:c": "ü %"}, "pattern": "*-5", "user": "u2"}, {5}),
            ({"labels": {"flow": "F"}}, set()),
            ({"labels": {"flo": "f"}, "user": "u0"}, set()),
            ({"pattern": "ORDER-*"}, set()),
            ({"status": ""}, set()),
        ]
        for filters, numbers in expected:
            for limit in (1, 2, 100):
                names: list[str] = []
                cursor = None
                while True:
                    page = await store.sessions.list(app, limit=limit, cursor=cursor, **filters)
                    assert len(page.sessions) <= limit
                    names += [each.key.session for each in page.sessions]
                    if (cursor := page.cursor) is None:
                        break
                assert sorted(int(name.split("-")[1]) for name in names) == sorted(numbers), filters

    async def test_a_list_that_lets_few_through_ends(self, store: Sojourn, app: str) -> None:
        for n in range(40):
            await store.sessions.create(app, "ada", f"s{n:02}")
        names: list[str] = []
        pages, cursor = 0, None
        while pages == 0 or cursor is not None:
            page = await store.sessions.list(app, "ada", pattern="s39", limit=1, cursor=cursor)
            names += [each.key.session for each in page.sessions]
            pages, cursor = pages + 1, page.cursor
        assert names == ["s39"]
        assert pages > 1
