"""LangChain's cache of model calls: its own suites, and what they do not ask."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core.caches import BaseCache
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    Generation,
    GenerationChunk,
)
from langchain_kit import AI, COMMON, everything
from langchain_tests.integration_tests.cache import AsyncCacheTestSuite, SyncCacheTestSuite

import sojourn
from servers import Server
from sojourn import InvalidInput, Unavailable
from sojourn.client import Sojourn
from sojourn.integrations.langchain import LLMCache


class TestSync(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, store_without_a_loop: Sojourn) -> BaseCache:
        return LLMCache(store_without_a_loop)


class TestAsync(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, store: Sojourn) -> BaseCache:  # type: ignore[override]
        return LLMCache(store)


class TestByUrl(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, server_url: str) -> Iterator[BaseCache]:
        cache = LLMCache(server_url)
        yield cache
        cache.close()


class TestAsyncByUrl(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, server_url: str) -> AsyncIterator[BaseCache]:  # type: ignore[override]
        cache = LLMCache(server_url)
        yield cache
        await cache.aclose()


ANSWERS: list[Generation] = [
    Generation(text="plain", generation_info={"finish_reason": "stop", "logprobs": None}),
    GenerationChunk(text="piece"),
    ChatGeneration(message=AIMessage(**COMMON, **AI), generation_info={"a": [1.5]}),
    ChatGenerationChunk(message=AIMessageChunk("x", id="1")),
    *(ChatGeneration(message=message) for message in everything()),
]


async def test_every_answer_comes_back_as_it_was(store: Sojourn) -> None:
    cache = LLMCache(store)
    await cache.aupdate("p", "m", ANSWERS)
    found = await cache.alookup("p", "m")
    assert found == ANSWERS
    assert [type(each) for each in found] == [type(each) for each in ANSWERS]
    assert await asyncio.to_thread(cache.lookup, "p", "m") == ANSWERS


async def test_a_model_answers_from_the_cache(store: Sojourn) -> None:
    calls = {"name": "f", "args": {"x": 1}, "id": "c", "type": "tool_call"}
    said = AIMessage("hi", tool_calls=[calls], usage_metadata=AI["usage_metadata"])
    for _ in range(2):
        model = GenericFakeChatModel(messages=iter([said]), cache=LLMCache(store))
        answer = await model.ainvoke("hello")
        assert (answer.content, answer.tool_calls) == ("hi", [calls])
    broke = GenericFakeChatModel(messages=iter([]), cache=LLMCache(store))
    assert (await broke.ainvoke("hello")).tool_calls == [calls]


async def test_prompts_models_and_tenants_are_kept_apart(store: Sojourn) -> None:
    cache = LLMCache(store, tenant="a")
    await cache.aupdate("p", "m", [Generation(text="x")])
    assert await cache.alookup("pm", "") is None
    assert await cache.alookup("p", "n") is None
    assert await LLMCache(store, tenant="b").alookup("p", "m") is None
    assert await LLMCache(store).alookup("p", "m") is None
    assert await LLMCache(store, tenant="a").alookup("p", "m") is not None


async def test_clearing_forgets_this_tenants_answers_alone(store: Sojourn) -> None:
    ours, theirs = LLMCache(store, tenant="a"), LLMCache(store, tenant="b")
    for cache in (ours, theirs):
        await cache.aupdate("p", "m", [Generation(text="x")])
    await store.cache.put("another", 1, tenant="a")
    with pytest.raises(InvalidInput):
        await ours.aclear(llm_string="m")
    assert await ours.alookup("p", "m")
    await ours.aclear()
    assert await ours.alookup("p", "m") is None
    assert await theirs.alookup("p", "m")
    assert await store.cache.get("another", tenant="a") == 1


async def test_an_answer_goes_with_its_ttl(server_url: str, shared_server: Server) -> None:
    async with sojourn.open(server_url) as store:
        await LLMCache(store, ttl=100).aupdate("p", "m", [Generation(text="x")])
        with shared_server.client() as client:
            (key,) = client.scan_iter(f"{server_url.partition('=')[2]}:*llm*")
            assert 90 < client.ttl(key) <= 100
        with pytest.raises(InvalidInput):
            await LLMCache(store, ttl=-1).aupdate("p", "m", [Generation(text="x")])


@pytest.mark.parametrize(
    "kept",
    [
        3,
        ["x"],
        {"class": "Generation"},
        [{"class": "os.system", "text": "x"}],
        [{"class": "Generation", "text": 3}],
        [{"class": "Generation", "text": "x", "generation_info": 1}],
        [{"class": "ChatGeneration", "text": "x"}],
        [{"class": "ChatGeneration", "text": "x", "message": {"type": "os.system"}}],
        [{"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {}}],
    ],
)
async def test_an_entry_that_cannot_be_read_is_a_miss(store: Sojourn, kept: Any) -> None:
    cache = LLMCache(store)
    await cache.aupdate("p", "m", [Generation(text="x")])
    name = await _only_name(store)
    await store.cache.put(name, kept)
    assert await cache.alookup("p", "m") is None
    assert (cache.stats().unreadable, cache.stats().misses) == (1, 1)
    await cache.aupdate("p", "m", [Generation(text="x")])
    assert await cache.alookup("p", "m") == [Generation(text="x")]


async def _only_name(store: Sojourn) -> str:
    name = await LLMCache(store)._name("p", "m")
    assert await store.cache.get(name) is not None
    return name


async def test_an_entry_that_is_no_json_is_a_miss(server_url: str, shared_server: Server) -> None:
    async with sojourn.open(server_url) as store:
        cache = LLMCache(store)
        await cache.aupdate("p", "m", [Generation(text="x")])
        with shared_server.client() as client:
            (key,) = client.scan_iter(f"{server_url.partition('=')[2]}:*llm*")
            (field,) = [
                name for name, value in client.hgetall(key).items() if value.startswith("[")
            ]
            assert json.loads(client.hget(key, field))[0]["text"] == "x"
            client.hset(key, field, "{oops")
        assert await cache.alookup("p", "m") is None
        assert cache.stats().unreadable == 1


async def test_an_answer_that_json_cannot_hold_is_not_kept(
    store: Sojourn, caplog: pytest.LogCaptureFixture
) -> None:
    class Loud(Generation):
        pass

    cache = LLMCache(store)
    unfit = [
        Generation(text="x", generation_info={"a": object()}),
        Generation(text="x", generation_info={"a": (1,)}),
        Loud(text="x"),
        ChatGeneration(message=AIMessage("x", additional_kwargs={"parsed": Document("x")})),
    ]
    with caplog.at_level(logging.WARNING, "sojourn.langchain"):
        for each in unfit:
            await cache.aupdate("p", "m", [each])
    assert await cache.alookup("p", "m") is None
    assert cache.stats().refused == len(caplog.records) == len(unfit)


async def test_an_answer_over_the_cap_is_not_kept() -> None:
    async with sojourn.open("memory://", max_event_bytes=1000) as store:
        cache = LLMCache(store)
        await cache.aupdate("p", "m", [Generation(text="x" * 2000)])
        assert await cache.alookup("p", "m") is None
        assert cache.stats() == (0, 1, 0, 0, 1)


async def test_without_a_server_models_answer_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with sojourn.open("redis://127.0.0.1:1", operation_timeout=0.2) as store:
        cache = LLMCache(store)
        model = GenericFakeChatModel(messages=iter([AIMessage("hi")]), cache=cache)
        with caplog.at_level(logging.WARNING, "sojourn.langchain"):
            assert (await model.ainvoke("hello")).content == "hi"
        assert len([each for each in caplog.records if each.name == "sojourn.langchain"]) == 2
        assert cache.stats().unavailable == 2
        with pytest.raises(Unavailable):
            await cache.aclear()


async def test_a_server_that_refuses_us_is_no_reason_to_fail(server: Server) -> None:
    with server.client() as client:
        client.acl_setuser("ada", enabled=True, passwords=["+secret"], commands=["+ping", "+hello"])
    url = server.url.replace("redis://", "redis://ada:secret@")
    async with sojourn.open(url) as store:
        cache = LLMCache(store)
        assert await cache.alookup("p", "m") is None
        await cache.aupdate("p", "m", [Generation(text="x")])
        assert cache.stats().unavailable == 2


def test_a_cache_is_shared_by_url(server_url: str) -> None:
    one, two = LLMCache(server_url), LLMCache(server_url)
    one.update("p", "m", [Generation(text="x")])
    one.close()
    assert two.lookup("p", "m") == [Generation(text="x")]
    two.clear()
    assert two.lookup("p", "m") is None
    two.close()
