"""Contract of every session store: giving a session a new id."""

# ruff: noqa: D102, S101, PLR2004 - cases are named by what they show, and assert

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import msgspec
import pytest

from sojourn.client import Sojourn
from sojourn.errors import Conflict, InvalidInput, SessionNotFound, SessionRotated
from sojourn.ids import SessionKey
from sojourn.sessions import Event, Rotated, Session
from sojourn.testing.managing import found
from sojourn.testing.reading import logged, said


class RotatingContract:
    """Cases of `SessionsContract`."""

    async def test_a_rotation_keeps_all_but_the_id_and_the_incarnation(
        self, store: Sojourn, app: str
    ) -> None:
        first: dict[str, Any] = {"n": 1, "user:u": [1], "app:a": None}
        made = await store.sessions.create(
            app, "ada", "old", state=first, title="T", metadata={"m": 1}, ttl=500, max_age=400
        )
        await store.sessions.append(made.key, said(1), said(2))
        await store.sessions.append(made.key, said(3), operation_id="op")
        before = await found(store, made.key)
        done = await store.sessions.rotate(made.key)
        after = await found(store, done.key)
        assert not done.repeated
        assert (after.key, after.incarnation) == (done.key, done.incarnation)
        assert done.key.owner == made.key.owner
        assert len({made.key, done.key, made.incarnation, done.incarnation}) == 4
        assert after == msgspec.structs.replace(before, key=done.key, incarnation=done.incarnation)
        assert (await store.sessions.append(done.key, said(3), operation_id="op")).repeated
        assert (await store.sessions.append(done.key, said(4))).seqs == range(4, 5)
        assert await logged(store, done.key) == [1, 2, 3, 4]
        listed = (await store.sessions.list(app, "ada")).sessions
        assert [each.key for each in listed] == [done.key]
        assert await store.sessions.count(app, "ada") == 1

    async def test_a_session_without_events_is_rotated(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        done = await store.sessions.rotate(session.key, incarnation=session.incarnation)
        assert (await found(store, done.key)).length == 0
        again = await store.sessions.rotate(done.key, incarnation=done.incarnation)
        assert len({session.key, done.key, again.key}) == 3
        assert await store.sessions.get(done.key) is None
        await store.sessions.append(again.key, said(1))
        assert await logged(store, again.key) == [1]

    async def test_under_the_old_id_there_is_nothing_any_more(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        key = session.key
        await store.sessions.append(key, said(1))
        assert await logged(store, key) == [1]  # it is in the near-cache
        done = await store.sessions.rotate(key)
        assert await store.sessions.get(key) is None
        assert await store.batch.get([key]) == {}
        assert not await store.sessions.touch(key)
        assert not await store.sessions.delete(key)
        for write in (
            store.sessions.append(key, said(2)),
            store.sessions.append(key, said(2), incarnation=session.incarnation),
            store.sessions.append(key, said(2), incarnation=done.incarnation),
            store.sessions.update(key, title="T"),
            store.sessions.trim(key, keep=0),
            store.sessions.save(key, incarnation=session.incarnation),
            store.sessions.rotate(key),
        ):
            with pytest.raises(SessionNotFound):
                await write
        assert await logged(store, done.key) == [1]

    async def test_who_holds_the_incarnation_is_told_of_a_rotation(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        key, held = session.key, session.incarnation
        done = await store.sessions.rotate(key)

        def writes(incarnation: str) -> list[Awaitable[object]]:
            return [
                store.sessions.append(key, said(1), incarnation=incarnation),
                store.sessions.trim(key, keep=0, incarnation=incarnation),
                store.sessions.save(key, incarnation=incarnation),
                store.sessions.rotate(key, incarnation=incarnation),
            ]

        for write in writes(held):
            with pytest.raises(SessionRotated) as caught:
                await write
            for secret in (done.key.session, done.incarnation):
                assert secret not in f"{caught.value} {caught.value.__dict__}"
        for other in ("another", done.incarnation):
            for write in writes(other):
                with pytest.raises(SessionNotFound) as missed:
                    await write
                assert type(missed.value) is SessionNotFound
        successor = await store.sessions.create(*key)
        with pytest.raises(SessionRotated):
            await store.sessions.append(key, said(1), incarnation=held)
        await store.sessions.append(key, said(1), incarnation=successor.incarnation)

    async def test_who_holds_the_incarnation_of_a_deleted_session_is_told_no_rotation(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        done = await store.sessions.rotate(session.key)
        await store.sessions.delete(done.key)
        with pytest.raises(SessionNotFound) as caught:
            await store.sessions.append(done.key, said(1), incarnation=done.incarnation)
        assert type(caught.value) is SessionNotFound

    async def test_what_is_not_there_is_not_rotated(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        with pytest.raises(SessionNotFound):
            await store.sessions.rotate(session.key._replace(session="none"))  # type: ignore[arg-type]
        with pytest.raises(SessionNotFound):
            await store.sessions.rotate(session.key, incarnation="another")
        with pytest.raises(InvalidInput):
            await store.sessions.rotate(tuple(session.key))  # type: ignore[arg-type]
        assert await found(store, session.key) == session

    async def test_of_many_that_rotate_one_wins(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        results = await asyncio.gather(
            *(store.sessions.rotate(session.key) for _ in range(10)), return_exceptions=True
        )
        (won,) = [each for each in results if isinstance(each, Rotated)]
        assert sum(isinstance(each, SessionNotFound) for each in results) == 9
        listed = (await store.sessions.list(*session.key[:2])).sessions
        assert [each.key for each in listed] == [won.key]

    async def test_a_repeated_rotation_gives_the_same_answer(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        key = session.key
        results = await asyncio.gather(
            *(store.sessions.rotate(key, operation_id="op") for _ in range(5))
        )
        assert len({(each.key, each.incarnation) for each in results}) == 1
        assert sum(not each.repeated for each in results) == 1
        done = results[0]
        with pytest.raises(SessionNotFound):
            await store.sessions.rotate(key, operation_id="another")
        successor = await store.sessions.create(*key)
        await store.sessions.delete(done.key)
        again = await store.sessions.rotate(key, operation_id="op")
        assert (again.key, again.incarnation, again.repeated) == (
            done.key,
            done.incarnation,
            True,
        )
        assert await found(store, key) == successor

    async def test_operations_of_other_sessions_are_other_operations(
        self, store: Sojourn, app: str
    ) -> None:
        keys = [SessionKey.of(app, "ada", name) for name in ("a", "a:b", "1:a", "a:1:b")]
        for key in keys:
            await store.sessions.create(*key)
        done = [
            await store.sessions.rotate(key, operation_id=op)
            for key, op in zip(keys, ("b:c", "c", "a:b:c", "c"), strict=True)
        ]
        assert not any(each.repeated for each in done)
        assert len({each.key for each in done}) == len(keys)

    async def test_a_new_id_owes_nothing_to_the_operation_id(
        self, store: Sojourn, app: str
    ) -> None:
        ids: set[str] = set()
        for user in ("ada", "bob"):
            await store.sessions.create(app, user, "s", operation_id="op")
            key = SessionKey.of(app, user, "s")
            ids.add((await store.sessions.rotate(key, operation_id="op")).key.session)
        assert len(ids) == 2
        assert all(len(bytes.fromhex(each)) == 16 for each in ids)

    async def test_a_create_repeated_after_the_rotation_revives_nothing(
        self, store: Sojourn, app: str
    ) -> None:
        made = await store.sessions.create(app, "ada", "s", operation_id="c")
        await store.sessions.save(made.key, operation_id="s")
        done = await store.sessions.rotate(made.key)
        with pytest.raises(Conflict):
            await store.sessions.create(app, "ada", "s", operation_id="c")
        with pytest.raises(Conflict):
            await store.sessions.save(made.key, operation_id="s")
        listed = (await store.sessions.list(app, "ada")).sessions
        assert [each.key for each in listed] == [done.key]

    async def test_artifacts_follow_a_rotation(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        for n in range(3):
            await store.artifacts.save(session.key, "a", b"%d" % n)
        await store.artifacts.save(session.key, "b", b"b", operation_id="op")
        await store.artifacts.save(session.key.owner, "mine", b"m")
        done = await store.rotate(session.key, operation_id="r")
        assert await store.artifacts.names(session.key) == []
        assert await store.artifacts.load(session.key, "a") is None
        assert await store.artifacts.names(done.key) == ["a", "b"]
        versions = [each.version for each in await store.artifacts.versions(done.key, "a")]
        loaded = await store.artifacts.load(done.key, "a", version=1)
        assert versions == [0, 1, 2]
        assert loaded is not None
        assert loaded.data == b"1"
        assert await store.artifacts.names(session.key.owner) == ["mine"]
        again = await store.rotate(session.key, operation_id="r")
        assert again == Rotated(done.key, done.incarnation, repeated=True)

    async def test_a_rotation_that_was_cut_off_is_finished_when_it_is_repeated(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        await store.artifacts.save(session.key, "a", b"1")
        done = await store.sessions.rotate(session.key, operation_id="r")
        assert await store.artifacts.names(done.key) == []
        assert (await store.rotate(session.key, operation_id="r")).key == done.key
        assert await store.artifacts.names(done.key) == ["a"]
