"""Contract of every session store."""

# ruff: noqa: ASYNC110, D102, S101, PLR2004 - cases are named by what they show, and assert
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from sojourn.client import Sojourn
from sojourn.errors import Conflict, SessionExists, SessionNotFound, StaleSession
from sojourn.ids import SessionKey
from sojourn.sessions import Event, Session
from sojourn.testing.batch import BatchContract
from sojourn.testing.damage import DamageContract
from sojourn.testing.event_ids import EventIdsContract
from sojourn.testing.labels import LabelsContract
from sojourn.testing.managing import ManagingContract
from sojourn.testing.reading import ReadingContract, logged, said
from sojourn.testing.refusals import RefusalsContract
from sojourn.testing.rotating import RotatingContract


@pytest.mark.anyio
class SessionsContract(
    ReadingContract,
    RefusalsContract,
    ManagingContract,
    RotatingContract,
    BatchContract,
    DamageContract,
    EventIdsContract,
    LabelsContract,
):
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

    async def test_events_can_be_cut_off(self, store: Sojourn, app: str) -> None:
        made = await store.sessions.create(app, "ada")
        await store.sessions.append(made.key, *[said(n) for n in range(1, 8)])
        assert await logged(store, made.key) == [1, 2, 3, 4, 5, 6, 7]
        await store.sessions.trim(made.key, drop=2, keep=3)
        left = await store.sessions.get(made.key)
        assert left is not None
        assert [event.seq for event in left.events] == [3, 4, 5]
        assert left.complete
        await store.sessions.append(made.key, said(8))
        assert await logged(store, made.key) == [3, 4, 5, 8]
        await store.sessions.trim(made.key, keep=0)
        assert await logged(store, made.key) == []
        done = await store.sessions.append(made.key, said(9))
        assert list(done.seqs) == [7]
        assert await logged(store, made.key) == [9]

    async def test_a_repeated_cut_takes_effect_once(self, store: Sojourn, app: str) -> None:
        made = await store.sessions.create(app, "ada")
        await store.sessions.append(made.key, said(1, a=1), said(2), said(3))
        first = await store.sessions.trim(made.key, drop=1, operation_id="op")
        again = await store.sessions.trim(made.key, drop=1, operation_id="op")
        assert first == again
        assert await logged(store, made.key) == [1, 2]
        with pytest.raises(StaleSession):
            await store.sessions.trim(made.key, drop=1, expected_version=first - 1)
        assert await logged(store, made.key) == [1, 2]
        found = await store.sessions.get(made.key, last=0)
        assert found is not None
        assert found.state == {"a": 1}

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

    async def test_ids_with_colons_do_not_make_two_operations_one(
        self, store: Sojourn, app: str
    ) -> None:
        short, long = [SessionKey.of(app, "ada", name) for name in ("a", "a:b")]
        for key, op in ((short, "b:c"), (long, "c")):
            await store.sessions.create(*key, operation_id=op)
        for key, op in ((short, "b:d"), (long, "d")):
            assert await store.sessions.delete(key, operation_id=op)
            assert await store.sessions.get(key) is None
        for key, op in ((short, "b:e"), (long, "e")):
            await store.sessions.save(key, operation_id=op)

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
