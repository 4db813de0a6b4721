"""Contract of every session store: labels."""

# ruff: noqa: ASYNC110, D102, S101, PLR2004 - cases are named by what they show, and assert

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from sojourn.client import Sojourn
from sojourn.errors import InvalidInput, InvalidValue, TooManyLabels
from sojourn.ids import SessionKey
from sojourn.sessions import Event, Session
from sojourn.testing.reading import said

ODD = {'a:b/c\\{}"': "é %*?\n\x7f", "ü" * 32: "x" * 256}
"""Labels with whatever could stand for something else in a key, in JSON, or in Lua."""


async def labels_of(store: Sojourn, key: SessionKey) -> dict[str, str]:
    """The labels of a session that must be there."""
    session = await store.sessions.get(key, last=0)
    assert session is not None
    return session.labels


async def listed(
    store: Sojourn, app: str, user: str | None = None, *, limit: int = 2, **filters: Any
) -> list[str]:
    """The ids in all pages of a list."""
    names: list[str] = []
    cursor = None
    while True:
        page = await store.sessions.list(app, user, limit=limit, cursor=cursor, **filters)
        assert len(page.sessions) <= limit
        names += [each.key.session for each in page.sessions]
        cursor = page.cursor
        if cursor is None:
            return names


async def recent(
    store: Sojourn, app: str, labels: Mapping[str, str] | None = None, *, limit: int = 2
) -> list[str]:
    """The ids in all pages of an app's sessions by last change."""
    names: list[str] = []
    cursor = None
    while True:
        page = await store.admin.recent(app, labels=labels, limit=limit, cursor=cursor)
        assert len(page.sessions) <= limit
        names += [each.key.session for each in page.sessions]
        cursor = page.cursor
        if cursor is None:
            return names


async def comes_to(store: Sojourn, app: str, expected: list[str], **wanted: Any) -> None:
    """What nobody waits for is there soon."""
    found: list[str] = []
    async with asyncio.timeout(10):
        while found != expected:
            await asyncio.sleep(0.01)
            found = await recent(store, app, **wanted)


class LabelsContract:
    """Cases of `SessionsContract`."""

    async def test_every_way_to_make_a_session_labels_it(self, store: Sojourn, app: str) -> None:
        made = await store.sessions.create(app, "ada", "made", labels=ODD)
        ensured = await store.sessions.ensure(app, "ada", "ensured", labels=ODD)
        begun, saved = (SessionKey.of(app, "ada", name) for name in ("begun", "saved"))
        await store.adapters.begin(begun, said(1), labels=ODD)
        await store.sessions.save(saved, labels=ODD)
        assert made.labels == ensured.labels == ODD
        assert await labels_of(store, begun) == await labels_of(store, saved) == ODD
        for label in ODD.items():
            found = await listed(store, app, "ada", labels=dict([label]))
            assert sorted(found) == ["begun", "ensured", "made", "saved"]

    async def test_update_sets_and_removes_the_labels_that_it_names(
        self, store: Sojourn, app: str
    ) -> None:
        key = (await store.sessions.create(app, "ada", "s", labels={"a": "1", "b": "1"})).key
        await store.sessions.update(key, labels={"b": None, "c": "1", "a": "2", "gone": None})
        assert await labels_of(store, key) == {"a": "2", "c": "1"}
        for label, there in (
            (("a", "1"), ()),
            (("a", "2"), "s"),
            (("b", "1"), ()),
            (("c", "1"), "s"),
        ):
            assert await listed(store, app, "ada", labels=dict([label])) == list(there)
        await store.sessions.update(key, title="T")
        assert await labels_of(store, key) == {"a": "2", "c": "1"}
        await store.sessions.update(key, labels={"a": None, "c": None})
        assert await labels_of(store, key) == {}
        assert await listed(store, app, "ada", labels={"a": "2"}) == []
        await store.sessions.append(key, said(1))
        assert await listed(store, app, "ada") == ["s"]

    async def test_save_replaces_all_labels(self, store: Sojourn, app: str) -> None:
        key = (await store.sessions.create(app, "ada", "s", labels={"a": "1", "b": "1"})).key
        await store.sessions.save(key, labels={"b": "2"})
        assert await labels_of(store, key) == {"b": "2"}
        assert await listed(store, app, "ada", labels={"a": "1"}) == []
        assert await listed(store, app, "ada", labels={"b": "2"}) == ["s"]
        await store.sessions.save(key)
        assert await labels_of(store, key) == {}
        assert await listed(store, app, "ada", labels={"b": "2"}) == []

    async def test_a_repeated_update_takes_effect_once(self, store: Sojourn, app: str) -> None:
        key = (await store.sessions.create(app, "ada", "s")).key
        await store.sessions.update(key, labels={"a": "1"}, operation_id="op")
        await store.sessions.update(key, labels={"a": "2"})
        await store.sessions.update(key, labels={"a": "1"}, operation_id="op")
        assert await labels_of(store, key) == {"a": "2"}

    async def test_writers_of_different_labels_lose_neither(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        await asyncio.gather(
            *(store.sessions.update(session.key, labels={f"l{n}": f"{n}"}) for n in range(16))
        )
        assert await labels_of(store, session.key) == {f"l{n}": f"{n}" for n in range(16)}

    async def test_of_writers_at_once_none_goes_over_the_cap(
        self, store: Sojourn, session: Session[Event]
    ) -> None:
        outcomes = await asyncio.gather(
            *(store.sessions.update(session.key, labels={f"l{n}": "x"}) for n in range(20)),
            return_exceptions=True,
        )
        refused = [each for each in outcomes if isinstance(each, TooManyLabels)]
        assert len(refused) == 4
        assert "17" in str(refused[0])
        read = await store.sessions.get(session.key)
        assert read is not None
        assert (len(read.labels), read.version) == (16, 17)
        spare = next(iter(read.labels))
        await store.sessions.update(session.key, labels={spare: None, "new": "x"})
        assert len(await labels_of(store, session.key)) == 16

    @pytest.mark.parametrize(
        "labels",
        [
            {"": "x"},
            {"x": ""},
            {"é" * 33: "x"},
            {"x": "é" * 129},
            {"x": 1},
            {1: "x"},
            {"x": "\ud800"},
            ["x"],
            {f"l{n}": "x" for n in range(17)},
        ],
    )
    async def test_what_is_no_label_is_refused_before_it_is_sent(
        self, store: Sojourn, app: str, labels: Any
    ) -> None:
        key = (await store.sessions.create(app, "ada", "s")).key
        for call in (
            store.sessions.create(app, "ada", "t", labels=labels),
            store.sessions.ensure(app, "ada", "t", labels=labels),
            store.adapters.begin(SessionKey.of(app, "ada", "t"), said(1), labels=labels),
            store.sessions.save(key, labels=labels),
            store.sessions.update(key, labels=labels),
            store.sessions.list(app, "ada", labels=labels),
            store.admin.recent(app, labels=labels),
        ):
            with pytest.raises(InvalidInput):
                await call
        with pytest.raises(InvalidValue):
            await store.sessions.create(app, "ada", "t", labels={"x": None})
        read = await store.sessions.get(key)
        assert read is not None
        assert (read.version, read.labels) == (1, {})
        assert await listed(store, app, "ada") == ["s"]

    async def test_all_of_several_labels_must_match(self, store: Sojourn, app: str) -> None:
        for n in range(12):
            labels = {"two": f"{n % 2}", "three": f"{n % 3}"}
            await store.sessions.create(app, "ada", f"s{n:02}", labels=labels)
        for both in ({"two": "1", "three": "2"}, {"three": "2", "two": "1"}):
            assert await listed(store, app, "ada", labels=both) == ["s05", "s11"]
        found = await listed(store, app, "ada", labels={"two": "1"}, pattern="s0*")
        assert found == ["s01", "s03", "s05", "s07", "s09"]
        assert await listed(store, app, "bob", labels={"two": "1"}) == []

    async def test_lists_by_label_are_in_the_order_of_changes(
        self, store: Sojourn, app: str
    ) -> None:
        keys = [
            (await store.sessions.create(app, "ada", f"s{n}", labels={"a": "1"}, created=n)).key
            for n in range(4)
        ]
        await store.sessions.append(keys[0], Event(author="a", payload=1, time=10.0))
        assert await listed(store, app, "ada", labels={"a": "1"}) == ["s1", "s2", "s3", "s0"]
        await store.sessions.trim(keys[1], keep=0)
        assert await listed(store, app, "ada", labels={"a": "1"}) == ["s2", "s3", "s0", "s1"]
        assert await listed(store, app, "ada") == ["s2", "s3", "s0", "s1"]

    async def test_what_is_gone_is_in_no_list(self, store: Sojourn, app: str) -> None:
        keys = [
            (await store.sessions.create(app, "ada", f"s{n}", labels={"a": "1"})).key
            for n in range(3)
        ]
        await store.sessions.delete(keys[0])
        turned = await store.sessions.rotate(keys[1])
        found = await listed(store, app, "ada", labels={"a": "1"})
        assert sorted(found) == sorted(["s2", turned.key.session])
        assert await labels_of(store, turned.key) == {"a": "1"}
        await store.sessions.create(app, "ada", "s0")
        assert "s0" not in await listed(store, app, "ada", labels={"a": "1"})

    # ── of an app ──────────────────────────────────────────────────────────────────────────────

    async def test_an_app_lists_the_newest_change_first(self, store: Sojourn, app: str) -> None:
        for n in range(7):
            labels = {"odd": "yes"} if n % 2 else {}
            await store.sessions.create(app, f"u{n % 3}", f"s{n}", labels=labels, created=n)
        newest = [f"s{n}" for n in reversed(range(7))]
        await comes_to(store, app, newest)
        assert await recent(store, app, limit=100) == newest
        await comes_to(store, app, ["s5", "s3", "s1"], labels={"odd": "yes"})
        assert await listed(store, app, labels={"odd": "yes"}) == ["s5", "s3", "s1"]
        assert await listed(store, app, labels={"odd": "yes"}, pattern="*3") == ["s3"]
        assert await recent(store, f"{app}-other") == []

    async def test_an_app_is_told_of_labels_and_ends_at_once(
        self, store: Sojourn, app: str
    ) -> None:
        keys = [
            (await store.sessions.create(app, f"u{n}", f"s{n}", labels={"a": "1"}, created=n)).key
            for n in range(4)
        ]
        await comes_to(store, app, ["s3", "s2", "s1", "s0"], labels={"a": "1"})
        await store.sessions.update(keys[0], labels={"a": "2"})
        await store.sessions.delete(keys[1])
        turned = (await store.sessions.rotate(keys[2])).key.session
        await comes_to(store, app, [turned, "s3"], labels={"a": "1"})
        await comes_to(store, app, ["s0"], labels={"a": "2"})
        await comes_to(store, app, [turned, "s0", "s3"])

    async def test_pages_of_an_app_with_equal_times_miss_none(
        self, store: Sojourn, app: str
    ) -> None:
        names = {f"s{n:02}" for n in range(20)}
        await asyncio.gather(
            *(store.sessions.create(app, f"u{n[1:]}"[:2], n, created=1.0) for n in names)
        )
        async with asyncio.timeout(10):
            while set(await recent(store, app, limit=100)) != names:
                await asyncio.sleep(0.01)
        found = await recent(store, app, limit=3)
        assert (len(found), set(found)) == (20, names)
