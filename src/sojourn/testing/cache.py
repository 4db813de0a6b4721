"""Contract of every cache store."""

# ruff: noqa: ARG001, ASYNC110, D102, PLR2004, S101 - cases are named by what they show, and assert
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from sojourn.client import Sojourn
from sojourn.errors import InvalidInput


class Counted:
    """A step whose runs are counted; it gives their number, when it is let go."""

    def __init__(self) -> None:
        self.runs = 0
        self.started = asyncio.Event()
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def __call__(self) -> int:
        self.runs += 1
        self.started.set()
        await self.let_go.wait()
        return self.runs


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until something is so."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.mark.anyio
class CacheContract:
    """Derive from it and give the fixture `store`."""

    @pytest.fixture
    def name(self) -> str:
        """An entry of the test's own."""
        return f"entry-{secrets.token_hex(6)}"

    @pytest.fixture
    def step(self) -> Counted:
        return Counted()

    @pytest.mark.parametrize(
        "value", [None, 0, "", "🦊", 1.5, True, [1, [None]], {"a": {"b": 2**70}}, "x" * 100_000]
    )
    async def test_values_come_back(self, store: Sojourn, name: str, value: Any) -> None:
        missing = object()
        assert await store.cache.get(name, missing) is missing
        await store.cache.put(name, value)
        assert await store.cache.get(name, missing) == value
        assert await store.cache.delete(name)
        assert not await store.cache.delete(name)
        assert await store.cache.get(name, missing) is missing

    async def test_tenants_never_meet(self, store: Sojourn, name: str) -> None:
        await store.cache.put(name, "theirs", tenant="a", tags=["t"])
        await store.cache.put(name, "ours", tags=["t"])
        assert await store.cache.get(name, tenant="b") is None
        await store.cache.invalidate("t")
        assert await store.cache.get(name) is None
        assert await store.cache.get(name, tenant="a") == "theirs"

    async def test_names_are_in_order(self, store: Sojourn, name: str) -> None:
        names = [f"{name}-{n}" for n in "bdéca"]
        for each in names:
            await store.cache.put(each, 1, tenant=name)
        assert await store.admin.cache.names(tenant=name) == sorted(names)

    async def test_an_entry_ends_with_its_ttl(self, store: Sojourn, name: str) -> None:
        await store.cache.put(name, 1, ttl=0.05, stale=100)
        await store.cache.put(f"{name}-gone", 1, ttl=0.05)
        async with asyncio.timeout(10):
            while await store.cache.get(name) is not None:
                await asyncio.sleep(0.01)
            while await store.cache.get(f"{name}-gone", stale=True) is not None:
                await asyncio.sleep(0.01)
        assert await store.cache.get(name, stale=True) == 1

    async def test_a_repeated_write_takes_effect_once(self, store: Sojourn, name: str) -> None:
        await store.cache.put(name, "one", operation_id="a")
        await store.cache.put(name, "two")
        await store.cache.put(name, "one", operation_id="a")
        assert await store.cache.get(name) == "two"
        assert await store.cache.delete(name, operation_id="b")
        await store.cache.put(name, "three")
        assert await store.cache.delete(name, operation_id="b")
        assert await store.cache.get(name) == "three"

    async def test_an_operation_id_is_that_of_one_write_to_one_entry(
        self, store: Sojourn, name: str
    ) -> None:
        names = [f"{name}-{n}" for n in range(40)]
        for each in names:
            await store.cache.put(each, each, operation_id="1a")
        assert [await store.cache.get(each) for each in names] == names
        for each, operation_id in zip(names, ["a", "1a"] * 20, strict=True):
            assert await store.cache.delete(each, operation_id=operation_id)
            assert await store.cache.get(each) is None

    async def test_tags_forget_together(self, store: Sojourn, name: str) -> None:
        names = [f"{name}-{n}" for n in range(20)]
        for each in names:
            await store.cache.put(each, 1, tags=["odd" if each[-1] in "13579" else "even", "all"])
        await store.cache.invalidate("odd")
        left = [each for each in names if await store.cache.get(each) is not None]
        assert left == names[::2]
        await store.cache.put(names[1], 2, tags=["odd"])
        assert await store.cache.get(names[1]) == 2
        await store.cache.put(names[3], 2, tags=(tag for tag in ["odd", "all"]))  # type: ignore[arg-type]
        await store.cache.invalidate("all")
        assert await store.cache.get(names[3]) is None
        assert [await store.cache.get(each) for each in names[::2]] == [None] * 10

    # ── one computation at a time ──────────────────────────────────────────────────────────────

    async def test_many_callers_one_computation(
        self, store: Sojourn, name: str, step: Counted
    ) -> None:
        step.let_go.clear()
        calls = [asyncio.create_task(store.cache.fetch(name, step)) for _ in range(20)]
        await step.started.wait()
        await until(lambda: store.cache.stats().waits == 19)
        step.let_go.set()
        assert await asyncio.gather(*calls) == [1] * 20
        assert step.runs == 1
        assert store.cache.stats().misses == 1
        assert store.cache.stats().hit_rate == 0.95

    async def test_one_that_fails_leaves_it_to_the_next(
        self, store: Sojourn, name: str, step: Counted
    ) -> None:
        async def broken() -> int:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await store.cache.fetch(name, broken)
        assert await store.cache.fetch(name, step) == 1

    async def test_one_that_is_cancelled_leaves_it_to_the_next(
        self, store: Sojourn, name: str, step: Counted
    ) -> None:
        step.let_go.clear()
        first = asyncio.create_task(store.cache.fetch(name, step))
        await step.started.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        step.let_go.set()
        assert await store.cache.fetch(name, step) == 2

    async def test_a_long_computation_keeps_its_lease(
        self, store: Sojourn, name: str, step: Counted
    ) -> None:
        step.let_go.clear()
        first = asyncio.create_task(store.cache.fetch(name, step, lease=0.9))
        await step.started.wait()
        second = asyncio.create_task(store.cache.fetch(name, step, lease=0.9))
        await asyncio.wait([second], timeout=1.5)
        step.let_go.set()
        assert (await first, await second) == (1, 1)

    async def test_a_stale_value_is_given_while_one_computes(
        self, store: Sojourn, name: str, step: Counted
    ) -> None:
        assert await store.cache.fetch(name, step, ttl=0.05, stale=100) == 1
        await until_stale(store, name)
        step.let_go.clear()
        seen = await asyncio.gather(
            *(store.cache.fetch(name, step, ttl=100, stale=100) for _ in range(10))
        )
        assert seen == [1] * 10
        step.let_go.set()
        async with asyncio.timeout(10):
            while await store.cache.get(name) != 2:
                await asyncio.sleep(0.01)
        assert step.runs == 2

    async def test_what_is_invalidated_or_deleted_meanwhile_is_not_kept(
        self, store: Sojourn, name: str, step: Counted
    ) -> None:
        async def invalidate() -> None:
            await store.cache.invalidate("t")

        async def delete() -> None:
            await store.cache.delete(name)

        for change in (invalidate, delete):
            step.let_go.clear()
            step.started.clear()
            call = asyncio.create_task(store.cache.fetch(name, step, tags=["t"]))
            await step.started.wait()
            await change()
            step.let_go.set()
            await call
            assert await store.cache.get(name) is None

    async def test_what_is_put_meanwhile_stays(
        self, store: Sojourn, name: str, step: Counted
    ) -> None:
        step.let_go.clear()
        call = asyncio.create_task(store.cache.fetch(name, step))
        await step.started.wait()
        await store.cache.put(name, "newer")
        step.let_go.set()
        assert await call == 1
        assert await store.cache.get(name) == "newer"

    async def test_none_is_kept_by_choice(self, store: Sojourn, name: str) -> None:
        runs: list[str] = []

        async def nothing() -> None:
            runs.append("ran")

        for _ in range(2):
            assert await store.cache.fetch(name, nothing) is None
        assert len(runs) == 2
        for _ in range(2):
            assert await store.cache.fetch(name, nothing, none_ttl=60) is None
        assert len(runs) == 3

    # ── the decorator ──────────────────────────────────────────────────────────────────────────

    async def test_calls_with_equal_arguments_are_one(self, store: Sojourn, name: str) -> None:
        seen: list[Any] = []

        @store.cache.cached(tenant=name)
        async def work(x: Any, *, y: Any = 1) -> list[Any]:
            seen.append((x, y))
            return [x, y]

        values: list[Any] = [1, 1.0, True, "1", [1], {"a": 1, "b": 2}]
        for value in values:
            assert await work(value) == [value, 1]
            assert await work(x=value, y=1) == [value, 1]
        await work({"b": 2, "a": 1})
        assert len(seen) == 6
        await work(1, y=2)
        assert len(seen) == 7
        with pytest.raises(InvalidInput, match="key="):
            await work(object())

    async def test_key_tenant_and_tags_come_from_the_arguments(
        self, store: Sojourn, name: str
    ) -> None:
        seen: list[str] = []

        def tenant(user: str, _: object) -> str:
            return f"{name}-{user}"

        def tags(user: str, _: object) -> list[str]:
            return [f"of-{user}"]

        @store.cache.cached(key=lambda user, _: str(user), tenant=tenant, tags=tags)  # pyright: ignore[reportUnknownLambdaType]
        async def work(user: str, ignored: object) -> str:
            seen.append(user)
            return user.upper()

        assert [await work(user, object()) for user in ("ada", "eve", "ada")] == [
            "ADA",
            "EVE",
            "ADA",
        ]
        await store.cache.invalidate("of-ada", tenant=f"{name}-ada")
        for user in ("ada", "eve"):
            await work(user, None)
        assert seen == ["ada", "eve", "ada"]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"ttl": 0},
            {"ttl": -1},
            {"ttl": 31 * 86_400},
            {"ttl": float("nan")},
            {"tags": "text"},
            {"tags": ["a\nb"]},
            {"tags": [5]},
            {"operation_id": ""},
            {"operation_id": "\ud800"},
            {"operation_id": 7},
            {"tenant": None},
            {"value": {1, 2}},
            {"name": ""},
            {"name": "\ud800"},
            {"name": "x" * 600},
        ],
    )
    async def test_what_makes_no_sense_is_refused(
        self, store: Sojourn, name: str, wrong: dict[str, Any]
    ) -> None:
        arguments: dict[str, Any] = {"name": name, "value": 1, **wrong}
        with pytest.raises(InvalidInput):
            await store.cache.put(**arguments)


async def until_stale(store: Sojourn, name: str) -> None:
    """Wait until an entry is past its TTL."""
    async with asyncio.timeout(10):
        while await store.cache.get(name) is not None:
            await asyncio.sleep(0.01)
