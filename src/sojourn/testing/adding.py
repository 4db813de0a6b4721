"""Contract of every memory store: adding only entries that do not exist yet."""

# ruff: noqa: ASYNC110, D102, PLR2004, S101 - cases are named by what they show, and assert
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sojourn.errors import InvalidInput, TooLarge
from sojourn.memory import Draft, MemoryScope


@pytest.mark.anyio
class AddContract:
    """Part of the `MemoryContract`."""

    async def test_only_what_is_not_there_is_added(self, ada: MemoryScope) -> None:
        version = await ada.put("old", "giraffe", text="giraffe")
        await ada.add(
            {
                "old": Draft(value="zebra"),
                "new": Draft(value={"a": "hidden"}, text="zebra", metadata={"m": 1}),
            }
        )
        old, new = await ada.entry("old"), await ada.entry("new")
        assert old is not None
        assert (old.value, old.text, old.version) == ("giraffe", "giraffe", version)
        assert new is not None
        assert (new.value, new.text, new.metadata) == ({"a": "hidden"}, "zebra", {"m": 1})
        assert [hit.entry.key for hit in await ada.search("zebra hidden")] == ["new"]

    async def test_what_is_no_draft_is_refused(self, ada: MemoryScope) -> None:
        wrong: Any
        for wrong in (None, "k", ["k"], {"k": 1}, {"k": {"value": 1}}):
            with pytest.raises(InvalidInput):
                await ada.add(wrong)
        assert (await ada.list()).entries == []

    async def test_what_is_replaced_may_keep_another_away(self, ada: MemoryScope) -> None:
        await ada.put("k", "old", ttl=100)
        drafts = {"k": Draft(value="new"), "l": Draft(value=2, unless="k")}
        await ada.add(drafts, replace=True, ttl=1000)
        assert [(each.key, each.value) for each in (await ada.list()).entries] == [("k", "new")]

    @pytest.mark.parametrize(
        "other",
        [
            Draft(value=2, text="b", metadata={"m": 1}),
            Draft(value=1, text="c", metadata={"m": 1}),
            Draft(value=1, metadata={"m": 1}),
            Draft(value=1, text="b", metadata={"m": 2}),
        ],
    )
    async def test_what_is_something_else_is_replaced_on_request(
        self, ada: MemoryScope, other: Draft
    ) -> None:
        await ada.add({"k": Draft(value=1, text="b", metadata={"m": 1})})
        first = await ada.entry("k")
        await ada.add({"k": Draft(value=1, text="b", metadata={"m": 1})}, replace=True)
        assert await ada.entry("k") == first
        await ada.add({"k": other}, replace=True)
        entry = await ada.entry("k")
        assert first is not None
        assert entry is not None
        assert (entry.value, entry.text, entry.metadata) == (
            other.value,
            other.text,
            other.metadata,
        )
        assert entry.version > first.version
        assert entry.created == first.created

    @pytest.mark.parametrize("replace", [False, True])
    async def test_an_entry_keeps_others_away(self, ada: MemoryScope, *, replace: bool) -> None:
        await ada.put("there", 1)
        await ada.put("guard", None, text="")
        drafts = {
            "there": Draft(value=2, unless="guard"),
            "away": Draft(value=2, unless="guard"),
            "free": Draft(value=2, unless="nobody"),
        }
        await ada.add(drafts, replace=replace)
        found = await ada.get_many(["there", "away", "free"])
        assert found == {"there": 1, "free": 2}
        await ada.delete("guard")
        await ada.add(drafts, replace=replace)
        found = await ada.get_many(["there", "away", "free"])
        assert found == {"there": 2 if replace else 1, "away": 2, "free": 2}

    async def test_what_is_added_again_lives_on(self, ada: MemoryScope) -> None:
        async def expires(key: str) -> float | None:
            entry = await ada.entry(key)
            assert entry is not None
            return entry.expires

        keys = ("k", "guard")
        await ada.put_many({"k": 1, "guard": 1}, ttl=100)
        before = [await expires(key) for key in keys]
        again = {"k": Draft(value=1), "l": Draft(value=1, unless="guard")}
        for ttl in (50, 100.5):  # shorter, or so little longer that it is not worth a write
            await ada.add(again, ttl=ttl)
            assert [await expires(key) for key in keys] == before
        await ada.add(again, ttl=1000)
        for key, old in zip(keys, before, strict=True):
            now = await expires(key)
            assert old is not None
            assert now is not None
            assert now - old > 800
        assert await ada.search("k")
        await ada.add(again, ttl=None)
        await ada.add(again, ttl=100)
        assert [await expires(key) for key in keys] == [None, None]

    async def test_a_search_hears_that_what_it_knows_lives_on(self, ada: MemoryScope) -> None:
        await ada.put("k", "giraffe", ttl=0.3)
        await ada.put("short", "giraffe", ttl=0.3)
        assert len(await ada.search("giraffe")) == 2
        await ada.add({"k": Draft(value="giraffe")}, ttl=100)
        async with asyncio.timeout(10):
            while await ada.entry("short") is not None:
                await asyncio.sleep(0.01)
        assert [hit.entry.key for hit in await ada.search("giraffe")] == ["k"]

    async def test_what_was_deleted_and_has_expired_is_added_anew(self, ada: MemoryScope) -> None:
        await ada.put("k", 1, ttl=0.05)
        async with asyncio.timeout(10):
            while await ada.entry("k") is not None:
                await asyncio.sleep(0.01)
        await ada.add({"k": Draft(value=2)})
        assert await ada.get("k") == 2
        await ada.delete("k")
        await ada.add({"k": Draft(value=3)})
        assert await ada.get("k") == 3

    async def test_a_repeated_add_takes_effect_once(self, ada: MemoryScope) -> None:
        await ada.add({"k": Draft(value=1)}, operation_id="a")
        await ada.delete("k")
        await ada.add({"k": Draft(value=1)}, operation_id="a")
        assert await ada.get("k") is None
        await ada.add({"k": Draft(value=1)}, operation_id="b")
        assert await ada.get("k") == 1

    async def test_more_than_one_step_adds(self, ada: MemoryScope) -> None:
        drafts = {f"k{n}": Draft(value=n) for n in range(1200)}
        drafts |= {f"large {n}": Draft(value="x" * 700_000, text="large") for n in range(3)}
        for _ in range(2):
            await ada.add(drafts)
        await ada.add({})
        assert len(await ada.search("large")) == 3
        for n in (0, 499, 500, 1199):
            assert await ada.get(f"k{n}") == n

    async def test_one_of_ten_who_add_at_once_is_first(self, ada: MemoryScope) -> None:
        await asyncio.gather(*(ada.add({"k": Draft(value=n)}) for n in range(10)))
        entry = await ada.entry("k")
        assert entry is not None
        for n in range(10):
            await ada.add({"k": Draft(value=n)})
        assert await ada.entry("k") == entry

    @pytest.mark.parametrize(
        "wrong",
        [
            {"key": ""},
            {"value": {1}},
            {"text": 5},
            {"metadata": [1]},
            {"unless": ""},
            {"unless": 5},
            {"ttl": 0},
            {"operation_id": ""},
        ],
    )
    async def test_an_add_that_makes_no_sense_is_refused_whole(
        self, ada: MemoryScope, wrong: dict[str, Any]
    ) -> None:
        given: dict[str, Any] = {"key": "k", "value": 1, **wrong}
        options = {name: given.pop(name) for name in ("ttl", "operation_id") if name in given}
        key = given.pop("key")
        with pytest.raises(InvalidInput):
            await ada.add({"first": Draft(value=1), key: Draft(**given)}, **options)
        huge = Draft(value="x" * (9 * 1024 * 1024))
        with pytest.raises(TooLarge):
            await ada.add({"first": Draft(value=1), "huge": huge})
        assert (await ada.list()).entries == []
