"""Contract of every session store: a refused write changes nothing."""

# ruff: noqa: D102, S101 - cases are named by what they show, and assert
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import math
from typing import Any

import pytest

from sojourn.client import Sojourn
from sojourn.errors import InvalidId, InvalidInput, InvalidValue, TooLarge
from sojourn.ids import SessionKey
from sojourn.sessions import Event, Session
from sojourn.sessions.cursor import Cursor
from sojourn.sessions.store import IndexPlace
from sojourn.testing.reading import HOSTILE, said


class RefusalsContract:
    """A part of SessionsContract."""

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
        nonsense: Any = 5
        with pytest.raises(InvalidInput):
            await store.sessions.update(key, metadata=nonsense)
        no_delta = Event(author="a", payload=1, state_delta=nonsense)
        no_events: list[Any] = [nonsense, [said(1)], {"text": "x"}, no_delta]
        for no_event in no_events:
            with pytest.raises(InvalidInput):
                await store.sessions.append(key, no_event)
        with pytest.raises(InvalidInput):
            await store.sessions.create("app", "ada", state=nonsense)
        with pytest.raises(InvalidInput):
            await store.sessions.trim(key)
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
        with pytest.raises(InvalidInput):
            await store.sessions.get(key, last=2**63)
        with pytest.raises(InvalidInput):
            await store.sessions.append(key, Event(author="a", payload=1, time=10**400))
        with pytest.raises(InvalidInput):
            await store.admin.release(key.app, key.user, "\ud800")
        forged = (Cursor(shard=-(10**9)), Cursor(session=IndexPlace(math.nan, "s")))
        for cursor in ("", "x", "AAAA", "bm9uZQ==", *(each.text() for each in forged)):
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
