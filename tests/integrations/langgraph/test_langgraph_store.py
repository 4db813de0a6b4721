"""LangGraph's store and cache over the memory and the cache, beside LangGraph's own in memory."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.graph import START, StateGraph
from langgraph.store.base import GetOp, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore
from langgraph.types import CachePolicy
from typing_extensions import TypedDict

import sojourn
from servers import Server
from sojourn.integrations.langgraph import Cache, Store


@pytest.fixture
async def store(shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(shared_server.url, namespace="lgstore") as store:
        yield store


@pytest.fixture
def ours(store: sojourn.Sojourn) -> Store:
    return Store(store, name=secrets.token_hex(6))


ITEMS = [
    (("users", "ada"), "a:/b", {"likes": "tea", "n": 1, "deep": {"x": [1, None]}}),
    (("users", "ada"), "two", {"likes": "coffee", "n": 2}),
    (("users", "bob", "notes"), "one", {"likes": "tea in the morning", "n": 3}),
    (("users/ada",), "one", {"likes": "nothing", "n": 4}),
    (("docs",), "one", {"n": "no number"}),
]


async def test_it_answers_as_the_store_in_memory(ours: Store) -> None:
    answers: list[Any] = []
    for store in (ours, InMemoryStore()):
        for namespace, key, value in ITEMS:
            await store.aput(namespace, key, value)
        await store.aput(("users", "ada"), "two", {"likes": "cocoa", "n": 2})
        found: list[Any] = [await store.aget(*item[:2]) for item in ITEMS]
        answers.append(
            [
                [(each.namespace, each.key, each.value) for each in found],
                await store.alist_namespaces(),
                await store.alist_namespaces(prefix=("users", "*"), max_depth=2),
                await store.alist_namespaces(suffix=("notes",)),
                await store.alist_namespaces(limit=2, offset=1),
                *[
                    sorted(
                        (each.namespace, each.key) for each in await store.asearch(*call, **more)
                    )
                    for call, more in (
                        ((("users",),), {}),
                        (((),), {"limit": 100}),
                        ((("users", "ada"),), {"filter": {"n": 2}}),
                        ((("users",),), {"filter": {"n": {"$gte": 2}}}),
                        ((("users",),), {"filter": {"deep": {"x": [1, None]}}}),
                        ((("nobody",),), {}),
                    )
                ],
            ]
        )
        await store.adelete(("users", "ada"), "two")
        await store.adelete(("users", "ada"), "not there")
        assert await store.aget(("users", "ada"), "two") is None
    assert answers[0] == answers[1]


async def test_a_batch_reads_before_it_puts(ours: Store) -> None:
    ops = [
        PutOp(("a",), "k", {"n": 1}),
        GetOp(("a",), "k"),
        PutOp(("a",), "k", {"n": 2}),
        SearchOp(("a",)),
    ]
    assert await ours.abatch(ops) == [None, None, None, []]
    (item,) = await ours.abatch([GetOp(("a",), "k")])
    assert item.value == {"n": 2}


async def test_words_and_meaning_find_items(store: sojourn.Sojourn) -> None:
    def embed(texts: list[str]) -> list[list[float]]:
        return [[float("cat" in text or "kitten" in text), 1.0, 0.0] for text in texts]

    index = {"dims": 3, "embed": embed, "fields": ["about"]}
    ours = Store(store, owner=f"user {secrets.token_hex(4)}", index=index)
    await ours.aput(("pets",), "1", {"about": "a small kitten", "secret": "dog"})
    await ours.aput(("pets",), "2", {"about": "a brown dog"})
    await ours.aput(("pets",), "3", {"about": "a parrot"}, index=False)
    found = await ours.asearch(("pets",), query="cat")
    assert found[0].key == "1"
    assert (found[0].score or 0) > 0
    assert (await ours.asearch(("pets",), query="dog"))[0].key == "2"


async def test_minutes_are_seconds_and_reading_lets_live_on(
    store: sojourn.Sojourn, shared_server: Server
) -> None:
    name = secrets.token_hex(6)
    ours = Store(store, name=name, ttl={"default_ttl": 2, "refresh_on_read": True})
    await ours.aput(("a",), "kept", {"n": 1}, ttl=1)
    await ours.aput(("a",), "default", {"n": 1})
    with shared_server.client() as client:
        (key,) = client.scan_iter(f"lgstore:memory:{{langgraph:knowledge:{name}}}:entry:*kept")
        (other,) = client.scan_iter(f"lgstore:memory:{{langgraph:knowledge:{name}}}:entry:*default")
        assert 55 <= client.ttl(key) <= 61
        assert 115 <= client.ttl(other) <= 122
        client.hset(key, "expires", client.hget(key, "expires")[:-5] + "00000")
        client.expire(key, 20)
        assert await ours.aget(("a",), "kept", refresh_ttl=False) is not None
        assert client.ttl(key) <= 20


def test_without_an_event_loop(shared_server: Server) -> None:
    ours = Store(shared_server.url, namespace="lgstore", name=secrets.token_hex(6))
    ours.put(("a",), "k", {"n": 1})
    found = ours.get(("a",), "k")
    assert found is not None
    assert [each.key for each in ours.search(("a",))] == ["k"]
    ours.close()


class Numbers(TypedDict):
    n: int


async def test_a_cached_task_runs_once(store: sojourn.Sojourn) -> None:
    ran: list[int] = []

    def double(state: Numbers) -> Any:
        ran.append(state["n"])
        return {"n": 2 * state["n"]}

    builder = StateGraph(Numbers)
    builder.add_node("double", double, cache_policy=CachePolicy(ttl=60))
    builder.add_edge(START, "double")
    for cache in (Cache(store, tenant=secrets.token_hex(6)), InMemoryCache()):
        ran.clear()
        graph = builder.compile(cache=cache)
        assert [(await graph.ainvoke({"n": n}))["n"] for n in (1, 1, 2)] == [2, 2, 4]
        assert ran == [1, 2]
        await graph.aclear_cache()
        await graph.ainvoke({"n": 1})
        assert ran == [1, 2, 1]


async def test_a_cache_keeps_any_value_and_fails_no_task(
    store: sojourn.Sojourn, server: Server
) -> None:
    cache = Cache(store, tenant=secrets.token_hex(6))
    values = {(("a", "b"), f"k{n}"): each for n, each in enumerate([None, Decimal("1.5"), b"\xff"])}
    await cache.aset({key: (value, None) for key, value in values.items()})
    assert await cache.aget([*values, (("a",), "k0")]) == values
    await cache.aclear([("a",)])
    assert await cache.aget([*values]) == values
    await cache.aclear([("a", "b")])
    assert await cache.aget([*values]) == {}
    async with sojourn.open(server.url, operation_timeout=0.2, connect_timeout=0.2) as away:
        server.close()
        lost = Cache(away)
        await lost.aset({(("a",), "k"): (1, 5)})
        assert await lost.aget([(("a",), "k")]) == {}
        with pytest.raises(sojourn.Unavailable):
            await lost.aclear()
