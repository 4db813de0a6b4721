"""Contract of every store: change notices."""

# ruff: noqa: ASYNC110, D102, PLR2004, S101 - cases are named by what they show, and assert
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from sojourn.client import Sojourn
from sojourn.errors import InvalidInput, SessionExists, StaleSession
from sojourn.ids import SessionKey
from sojourn.notices import Notice
from sojourn.sessions import Event


def said(n: int = 1) -> Event:
    """An event."""
    return Event(author="user", payload=n)


async def take(notices: AsyncGenerator[Notice, None], number: int) -> list[Notice]:
    """So many notices; it waits until they have come."""
    async with asyncio.timeout(20):
        return [await anext(notices) for _ in range(number)]


def what(notices: list[Notice]) -> list[tuple[str, str, int]]:
    """Kind, session and version of each."""
    return [(each.kind, each.session, each.version) for each in notices]


@pytest.mark.anyio
class NoticesContract:
    """Derive from it and give the fixture `store`, opened with `notices=True`."""

    @pytest.fixture
    def app(self) -> str:
        """An app of the test's own."""
        return f"app-{secrets.token_hex(6)}"

    async def test_every_change_is_told_once_and_in_order(self, store: Sojourn, app: str) -> None:
        key = (await store.sessions.create(app, "ada", "s")).key
        await store.sessions.append(key, said(1), said(2))
        await store.sessions.update(key, title="T")
        await store.sessions.update(key, ttl=60, status="x", metadata={"a": 1})
        await store.sessions.update(key, ttl=90)
        await store.sessions.trim(key, keep=1)
        await store.sessions.delete(key)
        told = await store.notices.read(app, "ada")
        assert what(told) == [
            ("created", "s", 1),
            ("appended", "s", 2),
            ("updated", "s", 3),
            ("updated", "s", 4),
            ("updated", "s", 5),
            ("trimmed", "s", 6),
            ("deleted", "s", 6),
        ]
        times = [each.time for each in told]
        assert times == sorted(times)
        assert len({each.id for each in told}) == len(told)
        newest = await store.notices.read(app, "ada", newest_first=True, limit=3)
        assert newest == told[:-4:-1]
        rest = await store.notices.read(app, "ada", newest_first=True, after=newest[-1].id)
        assert rest == told[-4::-1]

    async def test_a_rotation_is_told_as_an_end_and_a_beginning(
        self, store: Sojourn, app: str
    ) -> None:
        key = (await store.sessions.create(app, "ada", "s")).key
        await store.sessions.append(key, said())
        done = await store.sessions.rotate(key, operation_id="r")
        await store.sessions.rotate(key, operation_id="r")
        told = what(await store.notices.read(app, "ada"))
        assert told[2:] == [("deleted", "s", 2), ("created", done.key.session, 2)]

    async def test_what_changes_nothing_is_not_told(self, store: Sojourn, app: str) -> None:
        key = (await store.sessions.create(app, "ada", "s", operation_id="c")).key
        await store.sessions.append(key, said(), operation_id="a")
        await store.sessions.update(key, title="T", operation_id="u")
        await store.sessions.trim(key, keep=0, operation_id="t")
        before = await store.notices.read(app, "ada")
        await store.sessions.create(app, "ada", "s", operation_id="c")
        await store.sessions.append(key, said(), operation_id="a")
        await store.sessions.update(key, title="T", operation_id="u")
        await store.sessions.trim(key, keep=0, operation_id="t")
        await store.sessions.touch(key)
        await store.sessions.get(key)
        await store.sessions.delete(SessionKey.of(app, "ada", "nobody"))
        with pytest.raises(StaleSession):
            await store.sessions.append(key, said(), expected_version=1)
        with pytest.raises(SessionExists):
            await store.sessions.create(app, "ada", "s")
        assert await store.notices.read(app, "ada") == before
        await store.sessions.delete(key, operation_id="d")
        await store.sessions.delete(key, operation_id="d")
        assert len(await store.notices.read(app, "ada")) == len(before) + 1

    async def test_users_are_told_of_their_own(self, store: Sojourn, app: str) -> None:
        for user in ("ada", "eve", ""):
            await store.sessions.create(app, user, f"of-{user}")
        for user in ("ada", "eve", ""):
            assert what(await store.notices.read(app, user)) == [("created", f"of-{user}", 1)]
        assert await store.notices.read(app, "nobody") == []

    async def test_a_subscriber_is_told_as_it_happens(self, store: Sojourn, app: str) -> None:
        key = (await store.sessions.create(app, "ada", "s")).key
        after = await store.notices.latest(app, "ada")
        async with aclosing(store.notices.subscribe(app, "ada", after=after)) as notices:
            for version in range(2, 30):
                first = asyncio.ensure_future(anext(notices))
                await store.sessions.append(key, said())
                assert what([await first]) == [("appended", "s", version)]
            for _ in range(250):
                await store.sessions.append(key, said())
            assert [each.version for each in await take(notices, 250)] == [*range(30, 280)]

    async def test_where_a_subscription_begins(self, store: Sojourn, app: str) -> None:
        key = (await store.sessions.create(app, "ada", "s")).key
        await store.sessions.append(key, said())
        async with (
            aclosing(store.notices.subscribe(app, "ada")) as now,
            aclosing(store.notices.subscribe(app, "ada", after="0")) as oldest,
        ):
            first = asyncio.ensure_future(anext(now))
            told = await take(oldest, 2)
            assert [each.kind for each in told] == ["created", "appended"]
            while not first.done():  # until it has begun
                await store.sessions.append(key, said())
                await asyncio.sleep(0)
            assert (await first).version > 2
        async with aclosing(store.notices.subscribe(app, "ada", after=told[0].id)) as resumed:
            assert await take(resumed, 1) == told[1:]

    async def test_a_user_of_whom_nothing_is_known_yet(self, store: Sojourn, app: str) -> None:
        after = await store.notices.latest(app, "ada")
        async with aclosing(store.notices.subscribe(app, "ada", after=after)) as notices:
            first = asyncio.ensure_future(anext(notices))
            await store.sessions.create(app, "ada", "s")
            await store.sessions.create(app, "ada", "t")
            assert what([await first, *await take(notices, 1)]) == [
                ("created", "s", 1),
                ("created", "t", 1),
            ]

    async def test_what_is_not_remembered_is_said_to_be_missed(
        self, store: Sojourn, app: str
    ) -> None:
        key = (await store.sessions.create(app, "ada", "s")).key
        cursor = await store.notices.latest(app, "ada")
        for _ in range(12):
            appends = (store.batch.append([(key, [said()])]) for _ in range(100))
            await asyncio.gather(*appends)
        told = await store.notices.read(app, "ada", after=cursor)
        assert (told[0].kind, told[0].session) == ("missed", "")
        assert told[1].kind == "appended"
        assert told[1].version > 2
        async with aclosing(store.notices.subscribe(app, "ada", after=cursor)) as notices:
            assert await take(notices, 50) == told[:50]
        again = await store.notices.read(app, "ada", after=told[0].id)
        assert again == told[1:] + again[len(told) - 1 :]
        versions = [each.version for each in await store.notices.read(app, "ada", limit=1000)]
        assert versions == [*range(versions[0], versions[0] + len(versions))]
        assert len(versions) == 1000

    async def test_an_expired_session_is_told_when_it_is_noticed(
        self, store: Sojourn, app: str
    ) -> None:
        key = (await store.sessions.create(app, "ada", "s", ttl=0.05)).key
        async with asyncio.timeout(20):
            while len(told := await store.notices.read(app, "ada")) < 2:
                await store.sessions.list(app, "ada")
                await asyncio.sleep(0.01)
        assert what(told) == [("created", "s", 1), ("expired", "s", 0)]
        assert await store.sessions.get(key) is None

    async def test_an_id_whose_session_has_expired_is_used_again(
        self, store: Sojourn, app: str
    ) -> None:
        key = (await store.sessions.create(app, "ada", "s", ttl=0.05)).key
        async with asyncio.timeout(20):
            while await store.sessions.get(key) is not None:
                await asyncio.sleep(0.01)
        await store.sessions.create(app, "ada", "s")
        kinds = [each.kind for each in await store.notices.read(app, "ada")]
        assert kinds == ["created", "expired", "created"]

    async def test_a_cancelled_subscriber_leaves_nothing_behind(
        self, store: Sojourn, app: str
    ) -> None:
        notices = store.notices.subscribe(app, "ada")
        waiting = asyncio.ensure_future(anext(notices))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await notices.aclose()
        await store.sessions.create(app, "ada")
        assert len(await store.notices.read(app, "ada")) == 1

    @pytest.mark.parametrize("after", ["", "x", "5", "1-", "-1-1", 5, "1" * 30 + "-1", "²-1"])
    async def test_cursors_that_are_none(self, store: Sojourn, app: str, after: Any) -> None:
        with pytest.raises(InvalidInput):
            store.notices.subscribe(app, "ada", after=after)
        with pytest.raises(InvalidInput):
            await store.notices.read(app, "ada", after=after)

    async def test_other_wrong_arguments(self, store: Sojourn, app: str) -> None:
        nonsense: Any = None
        for limit in (0, -1, 1001, nonsense):
            with pytest.raises(InvalidInput):
                await store.notices.read(app, "ada", limit=limit)
        for ids in (("", "ada"), ("app", nonsense)):
            with pytest.raises(InvalidInput):
                store.notices.subscribe(*ids)
            with pytest.raises(InvalidInput):
                await store.notices.latest(*ids)
