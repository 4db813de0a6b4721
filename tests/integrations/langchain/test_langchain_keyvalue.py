"""LangChain's key-value store: its own suites with JSON and bytes, and what they do not ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from secrets import token_hex
from typing import Any

import pytest
from langchain_core.stores import BaseStore
from langchain_tests.integration_tests.base_store import BaseStoreAsyncTests, BaseStoreSyncTests

import sojourn
from proxy import Proxy
from servers import Server
from sojourn import CorruptRecord, InvalidInput, TooLarge, Unavailable
from sojourn.client import Sojourn
from sojourn.integrations.langchain import KeyValueStore

VALUES = {
    "json": ({"a": [1, None]}, "text", [True, {}]),
    "bytes": (b"", b"\x00\xff", b"{}"),
}


@pytest.fixture(params=VALUES)
def three_values(request: pytest.FixtureRequest) -> Any:
    return VALUES[request.param]


@pytest.fixture
def values(store: Sojourn) -> KeyValueStore[Any]:
    return KeyValueStore(f"name-{token_hex(4)}", store)


class TestSync(BaseStoreSyncTests[Any]):
    @pytest.fixture
    def kv_store(self, store_without_a_loop: Sojourn) -> BaseStore[str, Any]:
        return KeyValueStore("things", store_without_a_loop)

    @pytest.fixture
    def three_values(self, three_values: Any) -> Any:
        return three_values


class TestAsync(BaseStoreAsyncTests[Any]):
    @pytest.fixture
    async def kv_store(self, store: Sojourn) -> BaseStore[str, Any]:  # type: ignore[override]
        return KeyValueStore("things", store)

    @pytest.fixture
    def three_values(self, three_values: Any) -> Any:
        return three_values


class TestByUrl(BaseStoreSyncTests[Any]):
    @pytest.fixture
    def kv_store(self, server_url: str) -> Iterator[BaseStore[str, Any]]:
        store: KeyValueStore[Any] = KeyValueStore("things", server_url)
        yield store
        store.close()

    @pytest.fixture
    def three_values(self, three_values: Any) -> Any:
        return three_values


class TestAsyncByUrl(BaseStoreAsyncTests[Any]):
    @pytest.fixture
    async def kv_store(self, server_url: str) -> AsyncIterator[BaseStore[str, Any]]:  # type: ignore[override]
        store: KeyValueStore[Any] = KeyValueStore("things", server_url)
        yield store
        await store.aclose()

    @pytest.fixture
    def three_values(self, three_values: Any) -> Any:
        return three_values


@pytest.mark.parametrize(
    "value",
    [
        0,
        "",
        "🦊",
        2**70,
        1.5,
        [],
        {},
        bytes(range(256)),
        {"$bytes": "aGk="},
        {"$value": {"$bytes": "aGk="}},
        {"$bytes": "aGk=", "more": 1},
        {"$value": 1, "$bytes": 2},
        "x" * 100_000,
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_value_comes_back_as_it_was(values: KeyValueStore[Any], value: Any) -> None:
    await values.amset([("k", value)])
    (found,) = await values.amget(["k"])
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value", [(1, 2), {1: "a"}, {"a": b"x"}, object(), float("nan"), bytearray(b"x"), "\ud800"]
)
async def test_what_would_not_come_back_is_refused(values: KeyValueStore[Any], value: Any) -> None:
    with pytest.raises(InvalidInput):
        await values.amset([("fine", 1), ("k", value)])
    assert await values.amget(["fine", "k"]) == [None, None]


async def test_what_is_too_large_or_no_key_is_refused() -> None:
    async with sojourn.open("memory://", max_event_bytes=1000) as store:
        values: KeyValueStore[Any] = KeyValueStore("n", store)
        with pytest.raises(TooLarge):
            await values.amset([("k", "x" * 2000)])
        for key in ("", "x" * 513):
            with pytest.raises(InvalidInput):
                await values.amset([(key, 1)])


async def test_it_is_the_memorys_knowledge(store: Sojourn) -> None:
    values: KeyValueStore[Any] = KeyValueStore("things", store, app="shop", ttl=100)
    scope = store.memory.knowledge("things", app="shop")
    await values.amset([("a", {"x": 1}), ("b", b"hi")])
    assert await scope.get_many(["a", "b"]) == {"a": {"x": 1}, "b": {"$bytes": "aGk="}}
    entry = await scope.entry("a")
    assert entry is not None
    assert entry.expires is not None
    assert 90 < entry.expires - entry.updated <= 100
    await scope.put("c", [1])
    assert await values.amget(["c"]) == [[1]]
    assert await KeyValueStore[Any]("other", store, app="shop").amget(["a"]) == [None]


async def test_many_values(values: KeyValueStore[Any]) -> None:
    pairs = [(f"{n % 2}-{n:04}", n) for n in range(2300)]
    await values.amset(pairs)
    assert await values.amget([key for key, _ in pairs]) == list(range(2300))
    assert [key async for key in values.ayield_keys()] == sorted(key for key, _ in pairs)
    evens = [key async for key in values.ayield_keys(prefix="0-")]
    assert evens == [f"0-{n:04}" for n in range(0, 2300, 2)]
    assert await asyncio.to_thread(lambda: list(values.yield_keys(prefix="0-"))) == evens
    await values.amdelete(evens)
    assert [key async for key in values.ayield_keys(prefix="0-")] == []
    assert await values.amget(["0-0000", "1-0001"]) == [None, 1]


async def test_of_a_key_that_is_there_twice_the_last_is_set(values: KeyValueStore[Any]) -> None:
    await values.amset([("k", 1), ("k", 2)])
    assert await values.amget(["k", "k"]) == [2, 2]
    await values.amset([])
    assert await values.amget([]) == []
    await values.amdelete([])


async def test_what_is_no_base64_is_loud(store: Sojourn) -> None:
    values: KeyValueStore[Any] = KeyValueStore("things", store)
    for broken in ("no base64!", 3, None):
        await store.memory.knowledge("things").put("k", {"$bytes": broken})
        with pytest.raises(CorruptRecord):
            await values.amget(["k"])
    assert [key async for key in values.ayield_keys()] == ["k"]
    await values.amdelete(["k"])
    assert await values.amget(["k"]) == [None]


async def test_an_entry_that_cannot_be_read_is_loud_and_can_be_deleted(
    shared_server: Server, server_url: str
) -> None:
    async with sojourn.open(server_url) as store:
        values: KeyValueStore[Any] = KeyValueStore("n", store)
        await values.amset([("a", 1), ("b", 2)])
        with shared_server.client() as client:
            (entry,) = client.scan_iter(f"{server_url.partition('=')[2]}:*:entry:a")
            client.hset(entry, "value", "{oops")
        with pytest.raises(CorruptRecord):
            await values.amget(["a", "b"])
        assert [key async for key in values.ayield_keys()] == ["a", "b"]
        await values.amdelete(["a"])
        assert [key async for key in values.ayield_keys()] == ["b"]


async def test_an_outage_is_not_a_missing_value() -> None:
    values: KeyValueStore[Any] = KeyValueStore("n", "redis://127.0.0.1:1", operation_timeout=0.2)
    with pytest.raises(Unavailable):
        await values.amget(["k"])
    with pytest.raises(Unavailable):
        await values.amset([("k", 1)])
    with pytest.raises(Unavailable):
        values.mdelete(["k", "l"])
    with pytest.raises(Unavailable):
        next(values.yield_keys())
    await values.aclose()


async def test_a_lost_reply_sets_values_once(shared_server: Server, server_url: str) -> None:
    async with Proxy(shared_server.port) as proxy:
        values: KeyValueStore[Any] = KeyValueStore(
            "n", proxy.url, namespace=server_url.partition("=")[2]
        )
        await values.amset([("a", 0)])
        lost: list[bytes] = []

        def on_request(data: bytes) -> str:
            if b"lose me" not in data or lost:
                return "pass"
            lost.append(data)
            return "lose"

        proxy.on_request = on_request
        await values.amset([("a", "lose me")])
        assert lost
        entry = await values.store.memory.knowledge("n").entry("a")
        assert entry is not None
        assert (entry.value, entry.version) == ("lose me", 2)
        await values.aclose()
