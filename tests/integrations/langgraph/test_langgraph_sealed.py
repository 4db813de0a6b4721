"""Threads that are sealed and compressed: nothing of their content stands in clear."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

import sojourn
from servers import Server
from sojourn.integrations.langgraph import CheckpointSaver
from sojourn.keys import KeyRing

conformance = pytest.importorskip("langgraph.checkpoint.conformance")


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing.new()


async def test_the_suite_passes_on_sealed_threads(shared_server: Server, ring: KeyRing) -> None:
    options: Any = {"keys": ring, "namespace": "sealed", "compression": "zstd"}
    async with sojourn.open(shared_server.url, **options) as store:

        @conformance.checkpointer_test(name="sealed")
        async def saver() -> Any:
            yield CheckpointSaver(store)

        report = await conformance.validate(saver)
    assert [each.failures for each in report.results.values() if each.failures] == []
    assert sum(each.tests_passed for each in report.results.values()) == 81


async def test_no_word_stands_in_clear(shared_server: Server, ring: KeyRing) -> None:
    graph: Any = StateGraph(MessagesState)
    graph.add_node("model", lambda _: {"messages": [AIMessage("needle of the model " * 9)]})
    graph.add_edge(START, "model")
    graph.add_edge("model", END)
    thread = str(uuid.uuid4())
    where = {"configurable": {"thread_id": thread}}
    async with sojourn.open(shared_server.url, keys=ring, namespace="hidden") as store:
        compiled = graph.compile(checkpointer=CheckpointSaver(store))
        for _ in range(3):
            await compiled.ainvoke({"messages": [HumanMessage("needle of ada")]}, where)
        after = (await compiled.aget_state(where)).values["messages"]
        assert [each.content for each in after][::2] == ["needle of ada"] * 3
        page = await store.threads.list("langgraph", thread)
        assert [each.title for each in page.threads] == ["needle of ada"]
    with shared_server.client() as client:
        client.connection_pool.connection_kwargs["decode_responses"] = False
        for name in list(client.scan_iter("hidden:*thread*")):
            if client.type(name) in (b"hash", "hash"):
                stored = client.hgetall(name)
                assert b"needle" not in b" ".join(stored.values())
    async with sojourn.open(shared_server.url, namespace="hidden") as store:
        with pytest.raises(sojourn.KeyMissing):
            await CheckpointSaver(store).aget_tuple(where)
