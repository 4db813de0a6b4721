"""Contract of every session store: saving and loading many sessions at once."""

# ruff: noqa: D102, S101 - cases are named by what they show, and assert
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import Any

import pytest

from sojourn.client import Sojourn
from sojourn.errors import InvalidId, InvalidInput, SessionNotFound, StaleSession, TooLarge
from sojourn.ids import SessionKey
from sojourn.sessions import Appended, Event, Session
from sojourn.testing.reading import logged, said


class BatchContract:
    """A part of SessionsContract."""

    async def made(self, store: Sojourn, app: str, number: int) -> list[SessionKey]:
        """So many sessions, each of another user."""
        return [(await store.sessions.create(app, f"u{n}", "s")).key for n in range(number)]

    async def test_many_are_written_and_read_at_once(self, store: Sojourn, app: str) -> None:
        keys = await self.made(store, app, 20)
        done = await store.batch.append([(key, [said(1), said(2)]) for key in keys])
        assert done == [Appended(2, range(1, 3))] * 20
        read = await store.batch.get(keys)
        assert list(read) == keys
        assert [read[key] for key in keys] == [await store.sessions.get(key) for key in keys]
        tails = await store.batch.get(reversed(keys), last=1)
        assert [[event.seq for event in tails[key].events] for key in keys] == [[2]] * 20

    async def test_those_that_are_not_there_are_missing(
        self, store: Sojourn, app: str, session: Session[Event]
    ) -> None:
        nobody = SessionKey.of(app, "ada", "nobody")
        assert await store.batch.get([]) == {}
        assert await store.batch.get([nobody, session.key, session.key]) == {session.key: session}

    async def test_each_entry_has_its_own_outcome(
        self, store: Sojourn, app: str, session: Session[Event]
    ) -> None:
        nobody = SessionKey.of(app, "ada", "nobody")
        other = (await store.sessions.create(app, "eve")).key
        third = (await store.sessions.create(app, "eve")).key
        large = Event(author="a", payload="x" * 9_000_000)
        done = await store.batch.append(
            [(nobody, [said(1)]), (session.key, [said(1)]), (other, [said(1), large]), (third, [])]
        )
        kinds: list[type] = [SessionNotFound, Appended, TooLarge, InvalidInput]
        assert [type(each) for each in done] == kinds
        assert await logged(store, session.key) == [1]
        assert await logged(store, other) == []

    async def test_a_repeated_batch_takes_effect_once(self, store: Sojourn, app: str) -> None:
        keys = await self.made(store, app, 3)
        entries = [(key, [said(n)]) for n, key in enumerate(keys)]
        first = await store.batch.append(entries[:2], operation_id="op")
        again = await store.batch.append(entries, operation_id="op")
        assert [isinstance(each, Appended) and each.repeated for each in first] == [False] * 2
        assert [isinstance(each, Appended) and each.repeated for each in again] == [True] * 2 + [
            False
        ]
        assert [await logged(store, key) for key in keys] == [[0], [1], [2]]

    async def test_whole_sessions_are_saved_at_once(self, store: Sojourn, app: str) -> None:
        keys = [SessionKey.of(app, f"u{n % 3}", f"s{n}") for n in range(9)]
        whole = {key: {"state": {"n": n}, "labels": {"n": f"l{n}"}} for n, key in enumerate(keys)}
        for _ in range(2):
            assert await store.batch.save(whole, operation_id="op") == [1] * 9
        found = await store.batch.get(keys)
        assert [(each.state["n"], each.labels) for each in found.values()] == [
            (n, {"n": f"l{n}"}) for n in range(9)
        ]
        again = {keys[0]: {"expected_version": 1}, keys[1]: {"expected_version": 7}}
        _, stale = await store.batch.save(again)
        assert isinstance(stale, StaleSession)
        assert [each.version for each in (await store.batch.get(keys[:2])).values()] == [
            *(2, 1),
        ]
        with pytest.raises(InvalidInput, match="events"):
            await store.batch.save({keys[0]: {"histroy": []}})

    async def test_wrong_batches_write_nothing(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        key, good = session.key, (session.key, [said(1)])
        unchecked: Any = SessionKey("a", "", "")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        wrong: list[Any] = [key, "text", 5, [key], [good, good], [(key, said(1))], [(key, "text")]]
        for entries in wrong:
            with pytest.raises(InvalidInput):
                await store.batch.append(entries)
        wrong = [key, "text", 5, [5], [unchecked]]
        for keys in wrong:
            with pytest.raises(InvalidInput):
                await store.batch.get(keys)
        with pytest.raises(InvalidId):
            await store.batch.append([(unchecked, [said(1)])])
        with pytest.raises(InvalidInput):
            await store.batch.get([key], last=-1)
        assert await store.sessions.get(key) == session

    async def test_safe_batches(self, store: Sojourn, app: str, session: Session[Event]) -> None:
        nobody = SessionKey.of(app, "ada", "nobody")
        before = store.sessions.safe.failures.not_found
        safe = store.batch.safe
        done = await safe.append([(session.key, [said(1)]), (nobody, [said(1)])])
        assert (done.status, type(done.error)) == ("not_found", SessionNotFound)
        assert [type(each) for each in done.value or ()] == [Appended, SessionNotFound]
        assert (await safe.append([(session.key, [said(2)])])).status == "ok"
        assert store.sessions.safe.failures.not_found == before + 1
        read = await safe.get([session.key, nobody])
        assert list(read.unwrap()) == [session.key]
