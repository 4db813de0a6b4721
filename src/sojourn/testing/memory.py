"""Contract of every memory store."""

# ruff: noqa: ASYNC110, D102, PLR2004, S101 - cases are named by what they show, and assert
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from sojourn.client import Sojourn
from sojourn.errors import InvalidInput, SessionNotFound, StaleEntry, TooLarge
from sojourn.memory import MemoryScope
from sojourn.sessions import Event
from sojourn.testing.adding import AddContract
from sojourn.testing.searching import SearchContract


@pytest.mark.anyio
class MemoryContract(AddContract, SearchContract):
    """Derive from it and give the fixture `store`."""

    @pytest.fixture
    def app(self) -> str:
        """An application of the test's own."""
        return f"app-{secrets.token_hex(6)}"

    @pytest.fixture
    def ada(self, store: Sojourn, app: str) -> MemoryScope:
        return store.memory.user("ada", app=app)

    # ── entries ────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize(
        "value",
        [None, 0, "", "🦊", 1.5, True, [], {}, [1, [None]], {"a": {"b": 2**70}}, "x" * 100_000],
    )
    async def test_values_come_back(self, ada: MemoryScope, value: Any) -> None:
        missing = object()
        assert await ada.get("k", missing) is missing
        await ada.put("k", value, metadata={"m": [1]})
        assert await ada.get("k", missing) == value
        entry = await ada.entry("k")
        assert entry is not None
        assert (entry.value, entry.metadata, entry.text) == (value, {"m": [1]}, None)
        assert await ada.delete("k")
        assert not await ada.delete("k")
        assert await ada.get("k", missing) is missing
        assert await ada.entry("k") is None

    @pytest.mark.parametrize(
        "key", ["a b", "a:b", "{x}", "*", "é", "💡", "\x00", "a\nb", "%41", "A"]
    )
    async def test_any_text_is_a_key_of_its_own(self, ada: MemoryScope, key: str) -> None:
        await ada.put(key, key)
        await ada.put(f"{key} ", "another")
        assert await ada.get(key) == key
        assert [entry.key for entry in (await ada.list()).entries] == [key, f"{key} "]
        assert await ada.delete(key)
        assert [entry.key for entry in (await ada.list()).entries] == [f"{key} "]

    async def test_scopes_never_meet(self, store: Sojourn, app: str) -> None:
        memory = store.memory
        scopes = [
            memory.user("a", app=app),
            memory.user("", app=app),
            memory.user("a:b", app=app),
            memory.user("a", app=f"{app}:a"),
            memory.agent("a", app=app),
            memory.knowledge("a", app=app),
            memory.sessions("a", app=app),
            memory.events("a", app=app),
        ]
        for number, scope in enumerate(scopes):
            await scope.put("k", number, text="word")
        assert [await scope.get("k") for scope in scopes] == list(range(len(scopes)))
        for number, scope in enumerate(scopes):
            assert [hit.entry.value for hit in await scope.search("word")] == [number]
        await scopes[0].clear()
        assert [await scope.get("k") for scope in scopes[1:]] == list(range(1, len(scopes)))

    async def test_versions_grow_and_never_come_again(self, ada: MemoryScope) -> None:
        first = await ada.put("k", 1)
        second = await ada.put("k", 2)
        assert await ada.delete("k")
        third = await ada.put("k", 3)
        assert first < second < third
        entry = await ada.entry("k")
        assert entry is not None
        assert entry.version == third

    async def test_created_stays_and_updated_does_not(self, ada: MemoryScope) -> None:
        await ada.put("k", 1)
        old = await ada.entry("k")
        await ada.put("k", 2)
        new = await ada.entry("k")
        assert old is not None
        assert new is not None
        assert new.created == old.created
        assert new.updated > old.updated
        assert new.expires is not None
        assert old.expires is not None
        assert new.expires >= old.expires

    async def test_what_is_not_given_again_is_gone(self, ada: MemoryScope) -> None:
        await ada.put("k", 1, text="giraffe", metadata={"a": 1})
        await ada.put("k", 2)
        entry = await ada.entry("k")
        assert entry is not None
        assert (entry.text, entry.metadata) == (None, {})
        assert not await ada.search("giraffe")

    async def test_many_at_once(self, ada: MemoryScope) -> None:
        versions = await ada.put_many({f"k{n}": n for n in range(1000)}, metadata={"many": True})
        assert list(versions) == [f"k{n}" for n in range(1000)]
        entry = await ada.entry("k7")
        assert entry is not None
        assert (entry.version, entry.metadata) == (versions["k7"], {"many": True})
        wanted = ["k999", "none", "k3", "k3"]
        assert await ada.get_many(wanted) == {"k999": 999, "k3": 3}
        assert await ada.get_many([]) == {}
        assert await ada.put_many({}) == {}
        with pytest.raises(InvalidInput, match="too many"):
            await ada.put_many({f"k{n}": n for n in range(1001)})

    async def test_many_are_all_or_none(self, ada: MemoryScope) -> None:
        with pytest.raises(InvalidInput):
            await ada.put_many({"a": 1, "b": {1, 2}})
        assert (await ada.list()).entries == []

    # ── conflicts ──────────────────────────────────────────────────────────────────────────────

    async def test_an_expected_version(self, ada: MemoryScope) -> None:
        version = await ada.put("k", 1, expected_version=0)
        for wrong in (0, version + 1):
            with pytest.raises(StaleEntry) as caught:
                await ada.put("k", 2, expected_version=wrong)
            assert (caught.value.expected, caught.value.actual) == (wrong, version)
            with pytest.raises(StaleEntry):
                await ada.delete("k", expected_version=wrong)
        assert await ada.get("k") == 1
        newer = await ada.put("k", 2, expected_version=version)
        assert await ada.delete("k", expected_version=newer)
        assert not await ada.delete("k", expected_version=newer)
        with pytest.raises(StaleEntry) as caught:
            await ada.put("k", 3, expected_version=newer)
        assert caught.value.actual == 0

    async def test_one_of_ten_wins(self, ada: MemoryScope) -> None:
        version = await ada.put("k", "old")
        tries = [ada.put("k", n, expected_version=version) for n in range(10)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        won = [n for n, result in enumerate(results) if isinstance(result, int)]
        assert len(won) == 1
        assert sum(isinstance(result, StaleEntry) for result in results) == 9
        assert await ada.get("k") == won[0]

    async def test_concurrent_merges_lose_nothing(self, ada: MemoryScope) -> None:
        await asyncio.gather(*(ada.merge("k", {f"m{n}": n, "last": n}) for n in range(12)))
        found = await ada.get("k")
        assert found.pop("last") in range(12)
        assert found == {f"m{n}": n for n in range(12)}

    async def test_a_merge_leaves_the_rest(self, ada: MemoryScope) -> None:
        await ada.put("k", {"a": {"x": 1}, "b": []}, text="words", metadata={"m": 1})
        version = await ada.merge("k", {"a": {"y": 2}, "c": None})
        entry = await ada.entry("k")
        assert entry is not None
        assert entry.value == {"a": {"y": 2}, "b": [], "c": None}
        assert (entry.text, entry.metadata, entry.version) == ("words", {"m": 1}, version)
        await ada.put("list", [1])
        with pytest.raises(InvalidInput, match="no object"):
            await ada.merge("list", {"a": 1})

    async def test_a_repeated_write_takes_effect_once(self, ada: MemoryScope) -> None:
        one = await ada.put("k", "one", operation_id="a")
        await ada.put("k", "two")
        assert await ada.put("k", "one", operation_id="a") == one
        assert await ada.get("k") == "two"
        merged = await ada.merge("m", {"n": 1}, operation_id="a")
        await ada.merge("m", {"n": 2})
        assert await ada.merge("m", {"n": 1}, operation_id="a") == merged
        assert await ada.get("m") == {"n": 2}
        many = await ada.put_many({"x": 1, "y": 1}, operation_id="a")
        await ada.put("x", 2)
        assert await ada.put_many({"x": 1, "y": 1}, operation_id="a") == many
        assert await ada.get_many(["x", "y"]) == {"x": 2, "y": 1}
        assert await ada.delete("k", operation_id="a")
        await ada.put("k", "three")
        assert await ada.delete("k", operation_id="a")
        assert await ada.get("k") == "three"
        assert not await ada.delete("none", operation_id="b")
        await ada.put("none", 1)
        assert not await ada.delete("none", operation_id="b")
        assert await ada.get("none") == 1

    async def test_an_operation_id_is_that_of_one_write_to_one_entry(
        self, ada: MemoryScope
    ) -> None:
        names = [f"k{n}" for n in range(20)]
        for name in names:
            await ada.put(name, name, operation_id="1a")
        assert list((await ada.get_many(names)).values()) == names
        for name, operation_id in zip(names, ["a", "1a"] * 10, strict=True):
            assert await ada.delete(name, operation_id=operation_id)
        assert await ada.get_many(names) == {}

    # ── lifetimes ──────────────────────────────────────────────────────────────────────────────

    async def test_each_entry_has_its_own_lifetime(self, store: Sojourn, app: str) -> None:
        memory = store.memory
        lives = [
            (memory.user("u", app=app), 72),
            (memory.agent("a", app=app), 72),
            (memory.knowledge("c", app=app), 168),
            (memory.sessions("u", app=app), 720),
            (memory.events("u", app=app), 720),
        ]
        for scope, hours in lives:
            await scope.put("k", 1)
            entry = await scope.entry("k")
            assert entry is not None
            assert entry.expires is not None
            assert abs(entry.expires - entry.updated - hours * 3600) < 1
            await scope.put("k", 1, ttl=None)
            entry = await scope.entry("k")
            assert entry is not None
            assert entry.expires is None

    async def test_what_has_expired_is_nowhere(
        self, store: Sojourn, ada: MemoryScope, app: str
    ) -> None:
        await ada.put("k", "giraffe", ttl=0.3)
        await ada.put("stays", "giraffe")
        assert await ada.search("giraffe")  # now it is known, and when it ends
        await gone(ada, "k")
        assert [hit.entry.key for hit in await ada.search("giraffe")] == ["stays"]
        assert [entry.key for entry in (await ada.list()).entries] == ["stays"]
        assert await ada.get_many(["k", "stays"]) == {"stays": "giraffe"}
        assert not await ada.delete("k")
        assert await ada.put("k", 1, expected_version=0)
        eve = store.memory.user("eve", app=app)
        await eve.put("k", 1, ttl=0.05)
        await gone(eve, "k")
        assert (await store.admin.memory.scopes("user", app=app)).names == ["ada"]

    async def test_a_put_renews_and_a_shorter_life_is_one(self, ada: MemoryScope) -> None:
        await ada.put("long", "giraffe", ttl=0.05)
        await ada.put("long", "giraffe", ttl=100)
        await ada.put("short", "giraffe", ttl=100)
        assert len(await ada.search("giraffe")) == 2
        await ada.put("short", "zebra", ttl=0.05)
        await gone(ada, "short")
        await ada.put("other", 1)  # a write takes out what has expired
        assert [hit.entry.key for hit in await ada.search("giraffe zebra")] == ["long"]

    # ── lists ──────────────────────────────────────────────────────────────────────────────────

    async def test_pages(self, ada: MemoryScope) -> None:
        names = sorted(["b", "a", "é", "ab", "a/1", "a/2", "🦊", "z"])
        for name in reversed(names):
            await ada.put(name, 1)
        seen: list[str] = []
        cursor = None
        while True:
            page = await ada.list(limit=3, cursor=cursor)
            seen += [entry.key for entry in page.entries]
            cursor = page.cursor
            if cursor is None:
                break
            await ada.put("0 comes too late", 1)
        assert seen == names
        for prefix in ("a", "a/", "é", "x"):
            page = await ada.list(prefix=prefix, limit=1)
            found = [entry.key for entry in page.entries]
            while page.cursor is not None:
                page = await ada.list(prefix=prefix, limit=1, cursor=page.cursor)
                found += [entry.key for entry in page.entries]
            assert found == [name for name in names if name.startswith(prefix)]

    async def test_who_has_entries(self, store: Sojourn, app: str) -> None:
        names = [f"user {n}" for n in range(30)] + ["", "a:b"]
        for name in names:
            await store.memory.user(name, app=app).put("k", 1)
        await store.memory.knowledge("returns", app=app).put("k", 1)
        await store.memory.user("user 7", app=app).delete("k")
        found: list[str] = []
        cursor = None
        while True:
            page = await store.admin.memory.scopes("user", app=app, limit=4, cursor=cursor)
            assert len(page.names) <= 4
            found += page.names
            cursor = page.cursor
            if cursor is None:
                break
        assert sorted(found) == sorted(set(names) - {"user 7"})
        assert (await store.admin.memory.scopes("knowledge", app=app)).names == ["returns"]
        assert (await store.admin.memory.scopes("agent", app=app)).names == []

    async def test_the_latest_are_those_changed_last(self, ada: MemoryScope) -> None:
        assert (await ada.latest()).entries == []
        for key in ("b", "a", "d", "c"):
            await ada.put(key, key)
        await ada.put("a", "again")
        await ada.delete("d")
        page = await ada.latest()
        assert [entry.value for entry in page.entries] == ["again", "c", "b"]
        assert (page.cursor, page.corrupt) == (None, [])
        assert [entry.key for entry in (await ada.latest(limit=2)).entries] == ["a", "c"]
        for limit in (0, 1001):
            with pytest.raises(InvalidInput):
                await ada.latest(limit=limit)

    async def test_entries_come_newest_first_when_asked(self, ada: MemoryScope) -> None:
        for key in ("b", "a", "x", "d", "c"):
            await ada.put(key, key)
        await ada.put("a", "again")
        await ada.delete("d")
        for limit in (1, 2, 4, 100):
            found: list[str] = []
            cursor = None
            while True:
                page = await ada.list(limit=limit, cursor=cursor, newest_first=True)
                found += [entry.key for entry in page.entries]
                cursor = page.cursor
                if cursor is None:
                    break
            assert found == ["a", "c", "x", "b"]
        first = await ada.list(limit=2, newest_first=True)
        await ada.put("b", "changed meanwhile")
        rest = await ada.list(cursor=first.cursor, newest_first=True)
        assert [entry.key for entry in rest.entries] == ["x"]
        narrowed = await ada.list(prefix="b", newest_first=True)
        assert [entry.key for entry in narrowed.entries] == ["b"]
        with pytest.raises(InvalidInput):
            await ada.list(cursor=first.cursor)
        with pytest.raises(InvalidInput):
            await ada.list(cursor=(await ada.list(limit=1)).cursor, newest_first=True)

    async def test_clear(self, ada: MemoryScope) -> None:
        await ada.put_many({f"k{n}": f"word {n}" for n in range(700)})
        assert len(await ada.search("word", limit=1000)) == 700
        await ada.clear()
        await ada.clear()
        assert (await ada.list()).entries == []
        assert await ada.get("k7") is None
        assert await ada.search("word") == []
        await ada.put("k7", "word")
        assert len(await ada.search("word")) == 1

    # ── sessions ───────────────────────────────────────────────────────────────────────────────

    async def test_a_session_is_remembered_beyond_its_life(self, store: Sojourn, app: str) -> None:
        state = {"cart": ["tea"], "user:name": "Ada", "app:open": True}
        made = await store.sessions.create(app, "ada", state=state, title="Orders")
        history = store.history(made.key)
        for n in range(10):
            await history.append("user", f"message {n} about parcels")
        await store.sessions.append(
            made.key,
            Event(author="bot", kind="adk", payload={"content": {"parts": [{"text": "giraffes"}]}}),
            Event(author="bot", payload={"n": 1}),
        )
        past = store.memory.sessions("ada", app=app)
        for _ in range(2):
            await store.remember(made.key)
        (entry,) = (await past.list()).entries
        value = entry.value
        assert entry.key == made.key.session
        assert (value["title"], value["status"], value["events"]) == ("Orders", "active", 12)
        assert value["state"] == {"cart": ["tea"]}
        assert value["created"] == made.created
        assert [message["text"] for message in value["messages"]] == [
            *(f"message {n} about parcels" for n in range(6, 10)),
            "giraffes",
        ]
        assert await past.search("giraffe")
        await store.remember(made.key, summary="A chat on zoology.", end=True)
        await store.sessions.delete(made.key)
        (hit,) = await past.search("zoology")
        assert (hit.entry.value["summary"], hit.entry.value["status"]) == (
            "A chat on zoology.",
            "ended",
        )
        assert "messages" not in hit.entry.value
        assert not await past.search("giraffe")
        for end in (False, True):
            with pytest.raises(SessionNotFound):
                await store.remember(made.key, end=end)

    # ── refusals ───────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize(
        "wrong",
        [
            {"key": ""},
            {"key": "\ud800"},
            {"key": "x" * 600},
            {"key": 5},
            {"value": {1, 2}},
            {"value": float("nan")},
            {"text": 5},
            {"text": "\ud800"},
            {"metadata": [1]},
            {"ttl": 0},
            {"ttl": -1},
            {"ttl": float("nan")},
            {"ttl": "1"},
            {"expected_version": -1},
            {"expected_version": "1"},
            {"operation_id": ""},
            {"operation_id": 7},
        ],
    )
    async def test_what_makes_no_sense_is_refused(
        self, ada: MemoryScope, wrong: dict[str, Any]
    ) -> None:
        arguments: dict[str, Any] = {"key": "k", "value": 1, **wrong}
        with pytest.raises(InvalidInput):
            await ada.put(**arguments)
        assert (await ada.list()).entries == []

    async def test_scopes_and_pages_that_make_no_sense(
        self, store: Sojourn, ada: MemoryScope, app: str
    ) -> None:
        for make in (store.memory.agent, store.memory.knowledge):
            with pytest.raises(InvalidInput):
                make("", app=app)
        with pytest.raises(InvalidInput):
            store.memory.user("ada", app="")
        with pytest.raises(InvalidInput):
            await store.admin.memory.scopes("users", app=app)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        for limit in (0, 1001, "5"):
            with pytest.raises(InvalidInput):
                await ada.list(limit=limit)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            with pytest.raises(InvalidInput):
                await ada.search("a", limit=limit)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(InvalidInput):
            await ada.list(cursor="nonsense")
        with pytest.raises(InvalidInput):
            await ada.search("\ud800")

    async def test_an_entry_over_its_cap(self, ada: MemoryScope) -> None:
        half = "x" * (5 * 1024 * 1024)
        with pytest.raises(TooLarge):
            await ada.put("k", half, text=half)
        await ada.put("k", {"a": half})
        with pytest.raises(TooLarge):
            await ada.merge("k", {"b": half})
        assert await ada.get("k") == {"a": half}


async def gone(scope: MemoryScope, key: str) -> None:
    """Wait until an entry has expired."""
    async with asyncio.timeout(10):
        while await scope.entry(key) is not None:
            await asyncio.sleep(0.01)
