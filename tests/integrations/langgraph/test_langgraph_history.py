"""Threads as other callers read them: as a history, without an event loop, and by models."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from mcp import Client

import sojourn
from servers import Server
from sojourn import InvalidInput, ThreadKey
from sojourn.integrations.langgraph import CheckpointSaver
from sojourn.surfaces.mcp import Identity, RequestContext, server_of

CALL: Any = {"name": "find", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
KEY = ThreadKey.of("shop", "ada", "t1")


def answer(_: MessagesState) -> dict[str, Any]:
    found = ToolMessage("found", tool_call_id="c1")
    return {"messages": [AIMessage("", tool_calls=[CALL]), found, AIMessage("Done.")]}


async def talk(store: sojourn.Sojourn, *texts: str, thread: str = "t1") -> None:
    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    saver = CheckpointSaver(store, owner=lambda _: ("shop", "ada"))
    graph = builder.compile(checkpointer=saver)
    for text in texts:
        config: Any = {"configurable": {"thread_id": thread}}
        await graph.ainvoke({"messages": [HumanMessage(text)]}, config)


async def test_a_thread_has_a_history(url: str) -> None:
    async with sojourn.open(url, namespace="history") as store:
        assert await store.history(KEY).all() == []
        await talk(store, "Hello", "Again")
        found = await store.history(KEY).all()
        assert [(each.role, each.content) for each in found[:4]] == [
            ("user", "Hello"),
            ("assistant", ""),
            ("tool", "found"),
            ("assistant", "Done."),
        ]
        assert found[1].metadata["tool_calls"][0]["args"] == {"a": 1}
        assert [each.seq for each in found] == [*range(1, 9)]
        assert len({each.id for each in found if each.id}) >= 2
        assert await store.history(KEY).last(3) == found[-3:]
        assert await store.history(KEY).last(0) == []
        with pytest.raises(InvalidInput):
            await store.history(KEY).last(-1)


async def test_threads_without_an_event_loop(shared_server: Server) -> None:
    url = f"{shared_server.url}?namespace=sync-threads"
    async with sojourn.open(url) as store:
        await talk(store, "First", thread="t1")
        await talk(store, "Second", thread="t2")
        await talk(store, "Third", thread="t3")
    await anyio.to_thread.run_sync(check, url)


def check(url: str) -> None:
    from sojourn import sync

    with sync.open(url) as store:
        page = store.threads.list("shop", "ada", limit=2)
        assert [each.thread for each in page.threads] == ["t3", "t2"]
        assert page.threads[0].title == "Third"
        rest = store.threads.list("shop", "ada", limit=2, cursor=page.cursor)
        assert [each.thread for each in rest.threads] == ["t1"]
        assert [each.content for each in store.history(KEY).last(1)] == ["Done."]
        found = store.threads.get(KEY)
        assert found is not None
        assert store.threads.prune(KEY, keep=1) >= 1
        own = store.user("shop", "ada").threads
        assert own.delete("t1")
        assert store.threads.get(KEY) is None
        assert [each.thread for each in own.list().threads] == ["t3", "t2"]


async def test_models_read_the_threads_of_their_user() -> None:
    async with sojourn.open("memory://") as store:
        await talk(store, "Hello", "Again")
        for user, threads in (("ada", 1), ("eve", 0)):
            served = server_of(RequestContext(store.guard(), Identity("shop", user)))
            async with Client(served, mode="auto") as client:
                listed = await call(client, "thread_list")
                assert [each["title"] for each in listed["threads"]] == ["Hello"] * threads
                last = await call(client, "thread_read", thread="t1", limit=3)
                assert len(last["messages"]) == 3 * threads
                if threads:
                    before = await call(
                        client, "thread_read", thread="t1", limit=3, cursor=last["cursor"]
                    )
                    seqs = [each["seq"] for each in before["messages"] + last["messages"]]
                    assert seqs == [*range(3, 9)]
                    wrong = await client.call_tool("thread_read", {"thread": "t1", "cursor": "x"})
                    assert wrong.is_error


async def call(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    done = await client.call_tool(name, arguments)
    assert not done.is_error
    assert done.structured_content is not None
    return done.structured_content
