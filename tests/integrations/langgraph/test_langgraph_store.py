"""LangGraph's store and cache over the memory and the cache, beside LangGraph's own in memory."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.graph import START, StateGraph
from langgraph.store.base import (
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)
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


async def test_an_item_without_minutes_lives_for_ever(
    store: sojourn.Sojourn, shared_server: Server
) -> None:
    name = secrets.token_hex(6)
    ours = Store(store, name=name)
    await ours.aput(("a",), "kept", {"n": 1}, ttl=1)
    await ours.aput(("a",), "kept", {"n": 2})  # an earlier end is taken back
    with shared_server.client() as client:
        (key,) = client.scan_iter(f"lgstore:memory:{{langgraph:knowledge:{name}}}:entry:*kept")
        assert client.ttl(key) == -1


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


# What LangGraph's own tests of its stores ask for, put in our words.


async def test_a_batch_answers_each_in_its_place(ours: Store) -> None:
    await ours.aput(("t", "a"), "1", {"tag": "x"})
    await ours.aput(("t", "b"), "2", {"tag": "y"})
    found = await ours.abatch(
        [
            SearchOp(("t",), limit=1),
            GetOp(("t", "b"), "2"),
            PutOp(("t",), "3", {"tag": "x"}),
            PutOp(("t", "a"), "1", None),
            ListNamespacesOp(match_conditions=(MatchCondition("prefix", ("t", "*")),)),
            GetOp(("t",), "3"),
            SearchOp(("t",), filter={"tag": "y"}),
            GetOp(("t", "a"), "1"),
        ]
    )
    assert [type(each) for each in found[:4]] == [list, Item, type(None), type(None)]
    assert [len(found[0]), found[1].key, found[4]] == [1, "2", [("t", "a"), ("t", "b")]]
    assert [found[5], [each.key for each in found[6]], found[7].value] == [
        None,
        ["2"],
        {"tag": "x"},
    ]
    assert await ours.aget(("t", "a"), "1") is None
    assert await ours.aget(("t",), "3") is not None


async def test_an_item_that_is_put_again_keeps_its_birth(ours: Store) -> None:
    await ours.aput(("t",), "k", {"n": 1})
    first = await ours.aget(("t",), "k")
    await ours.aput(("t",), "k", {"m": 2})
    again = await ours.aget(("t",), "k")
    assert first is not None
    assert again is not None
    assert (again.value, again.created_at) == ({"m": 2}, first.created_at)
    assert again.updated_at > first.updated_at
    assert await ours.aget(("u",), "k") is None


async def test_pages_of_a_search_make_the_whole(ours: Store) -> None:
    for n in range(7):
        await ours.aput(("t",), str(n), {"n": n, "text": f"document number {n}"})
    for query in (None, "document"):
        pages = [
            [each.key for each in await ours.asearch(("t",), query=query, limit=3, offset=offset)]
            for offset in (0, 3, 6, 9)
        ]
        assert [len(page) for page in pages] == [3, 3, 1, 0]
        assert sorted(key for page in pages for key in page) == list("0123456")
    assert len(await ours.asearch(("t",), query="")) == 7


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        ({"n": {"$gte": 10}}, "cd"),
        ({"n": {"$gt": 9}}, "cde"),
        ({"n": {"$lt": 10}}, "abe"),
        ({"n": {"$lte": 9, "$ne": 2}}, "b"),
        ({"n": {"$gt": "9.5"}}, "cd"),
        ({"name": {"$gt": "apple"}}, "g"),
        ({"name": {"$lte": "apple"}}, "f"),
        ({"name": {"$eq": "apple"}, "more": {"a": 1}}, "f"),
        ({"more": {"a": {"$gt": 0}, "b": None}}, "f"),
        ({"none": {"$ne": 1}, "name": "banana"}, "g"),
    ],
)
async def test_filters_compare_numbers_as_numbers_and_texts_as_texts(
    ours: Store, wanted: dict[str, Any], keys: str
) -> None:
    for key, n in (("a", 2), ("b", 9), ("c", 10), ("d", 11), ("e", 9.5)):
        await ours.aput(("t",), key, {"n": n})
    await ours.aput(("t",), "f", {"name": "apple", "more": {"a": 1, "c": 3}})
    await ours.aput(("t",), "g", {"name": "banana"})
    found = await ours.asearch(("t",), filter=wanted, limit=20)
    assert sorted(each.key for each in found) == list(keys)


async def test_an_unknown_operator_is_refused(ours: Store) -> None:
    await ours.aput(("t",), "k", {"n": 1})
    with pytest.raises(sojourn.InvalidInput, match="gte"):
        await ours.asearch(("t",), filter={"n": {"$like": 1}})


async def test_namespaces_with_points_are_their_own(ours: Store) -> None:
    with pytest.raises(ValueError, match="Namespace"):
        await ours.aput((), "k", {})
    await ours.abatch([PutOp(("a.b",), "k", {"n": 1}), PutOp(("a", "b"), "k", {"n": 2})])
    found = await ours.abatch([GetOp(("a.b",), "k"), GetOp(("a", "b"), "k")])
    assert [each.value["n"] for each in found] == [1, 2]
    assert await ours.alist_namespaces(prefix=("a",)) == [("a", "b")]


LANGUAGES = ["这是中文", "これは日本語です", "이건 한국어야", "Это русский", "यह हिन्दी है", "größer"]


async def test_every_language_is_found(ours: Store) -> None:
    for n, text in enumerate(LANGUAGES):
        await ours.aput(("user", "memories"), str(n), {"text": text})
    for n, text in enumerate(LANGUAGES):
        assert (await ours.asearch(("user", "memories"), query=text))[0].key == str(n)


async def test_fields_of_a_put_are_those_that_are_found(ours: Store) -> None:
    await ours.aput(("t",), "1", {"a": "ant", "b": "bee", "c": {"d": ["cow", "dog"]}})
    await ours.aput(("t",), "2", {"a": "eel", "b": "bee"}, index=["b"])
    await ours.aput(("t",), "3", {"a": "ant"}, index=False)
    await ours.aput(("t",), "4", {"a": "ant", "c": {"d": ["cow", "dog"]}}, index=["c.d[*]"])

    async def keys(query: str) -> str:
        return "".join(sorted(each.key for each in await ours.asearch(("t",), query=query)))

    assert [await keys(word) for word in ("ant", "bee", "eel", "dog")] == ["1", "12", "", "14"]
    await ours.aput(("t",), "1", {"a": "fox"})
    assert [await keys(word) for word in ("ant", "fox", "bee")] == ["", "1", "2"]
    assert all(each.score is None for each in await ours.asearch(("t",)))


async def test_meaning_and_filters_go_together(store: sojourn.Sojourn) -> None:
    def embed(texts: list[str]) -> list[list[float]]:
        return [
            [float(text.count(each)) + 0.01 for each in "abcdefghijklmnopqrstuvwxyz"]
            for text in texts
        ]

    index = {"dims": 26, "embed": embed, "fields": ["text"]}
    ours = Store(store, owner=f"user {secrets.token_hex(4)}", index=index)
    for key, text, score in (("1", "zzz", 4.5), ("2", "yyy", 3.0), ("3", "zzy", 4.0)):
        await ours.aput(("t",), key, {"text": text, "score": score})
    found = await ours.asearch(("t",), query="zz", filter={"score": {"$lt": 4.2}})
    assert found[0].key == "3"
    before = next(each.score for each in await ours.asearch(("t",), query="zz") if each.key == "1")
    await ours.aput(("t",), "1", {"text": "yyy", "score": 4.5})
    after = [each for each in await ours.asearch(("t",), query="zz") if each.key == "1"]
    assert not after or (after[0].score or 0) < (before or 0)
