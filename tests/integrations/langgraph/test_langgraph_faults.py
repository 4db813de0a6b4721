"""Lost replies, killed clients, failing primaries while a graph runs: nothing is lost or half."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

import sojourn
from checkpoints.stored_threads import check
from extent import FULL
from proxy import Proxy
from sentinel import SentinelSet
from servers import Server, any_binary
from sojourn.integrations.langgraph import CheckpointSaver

TURNS = 3


def chat(saver: CheckpointSaver) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node(
        "model", lambda state: {"messages": [AIMessage(f"answer {len(state['messages'])}" * 9)]}
    )
    graph.add_edge(START, "model")
    return graph.compile(checkpointer=saver)


async def run(graph: Any, where: Any, turns: int = TURNS) -> None:
    for turn in range(turns):
        await graph.ainvoke({"messages": [HumanMessage(f"turn {turn}" * 9)]}, where)


async def is_whole(graph: Any, where: Any, turns: int = TURNS) -> None:
    history = [state async for state in graph.aget_state_history(where)]
    assert [state.metadata["step"] for state in history] == list(range(3 * turns - 2, -2, -1))
    messages = history[0].values["messages"]
    assert [each.type for each in messages] == ["human", "ai"] * turns
    assert len({each.content for each in messages}) == 2 * turns


@pytest.fixture
async def proxy(shared_server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(shared_server.port) as proxy:
        yield proxy


@pytest.mark.parametrize("what", ["lose", "drop", "trim"])
@pytest.mark.parametrize("nth", range(1, 14) if FULL else (1, 5, 12))
async def test_whatever_is_lost_each_checkpoint_is_there_once(
    proxy: Proxy, shared_server: Server, what: str, nth: int
) -> None:
    namespace, requests = f"f{secrets.token_hex(6)}", [0]

    def on_request(data: bytes) -> str:
        requests[0] += b"EVALSHA" in data
        return what if requests[0] == nth and b"EVALSHA" in data else "pass"

    proxy.on_request = on_request
    where = {"configurable": {"thread_id": "t"}}
    async with sojourn.open(proxy.url, namespace=namespace) as store:
        graph = chat(CheckpointSaver(store))
        await run(graph, where)
        assert requests[0] >= nth
        await is_whole(graph, where)
    with redis.Redis.from_url(shared_server.url) as client:
        check(client, namespace)


CLIENT = """
import sys
sys.path[:0] = sys.argv[3:]
from test_langgraph_faults import CheckpointSaver, HumanMessage, chat
graph = chat(CheckpointSaver(sys.argv[1], namespace=sys.argv[2]))
where = {"configurable": {"thread_id": "t"}}
for turn in range(10_000):
    graph.invoke({"messages": [HumanMessage(f"turn {turn}")]}, where, durability="sync")
    print(turn, flush=True)
"""


@pytest.mark.skipif(not FULL, reason="a process for each")
@pytest.mark.parametrize("turns", [1, 2, 5, 9, 14, 20])
async def test_a_killed_client_leaves_no_half_checkpoint(shared_server: Server, turns: int) -> None:
    namespace = f"k{secrets.token_hex(6)}"
    here = Path(__file__)
    folders = str(here.parent), str(here.parents[2])
    words = [sys.executable, "-c", CLIENT, shared_server.url, namespace, *folders]
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    acknowledged = [int(await process.stdout.readline()) for _ in range(turns)][-1]
    await asyncio.sleep(secrets.randbelow(10) / 1000)
    process.kill()
    await process.wait()
    async with sojourn.open(shared_server.url, namespace=namespace) as store:
        graph, where = chat(CheckpointSaver(store)), {"configurable": {"thread_id": "t"}}
        history = [state async for state in graph.aget_state_history(where)]
        texts = [each.content for each in history[0].values["messages"]]
        assert f"turn {acknowledged}" in texts
        assert len(texts) == len(set(texts))
        after = await graph.ainvoke({"messages": [HumanMessage("again")]}, where)
        assert after["messages"][-2].content == "again"
    with redis.Redis.from_url(shared_server.url) as client:
        check(client, namespace)


@pytest.mark.skipif(not FULL, reason="servers of its own")
async def test_a_failover_under_a_running_graph(tmp_path: Path) -> None:
    servers = SentinelSet(tmp_path, any_binary()).start()
    try:
        options: Any = {"operation_timeout": 20, "durability": "replicas"}
        async with sojourn.open(servers.url, **options) as store:
            graph, where = chat(CheckpointSaver(store)), {"configurable": {"thread_id": "t"}}
            running = asyncio.create_task(run(graph, where, 30))
            await asyncio.to_thread(servers.failover)
            await running
            await is_whole(graph, where, 30)
    finally:
        servers.close()
