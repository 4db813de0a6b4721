"""Ways to run a graph over the checkpointer: agents, streams, and by a server that loads it."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

import sojourn
from servers import Server
from sojourn.integrations.langgraph import CheckpointSaver

GUIDE = Path(__file__).parents[3] / "docs/guides/langgraph.md"


@pytest.fixture
async def saver(shared_server: Server) -> AsyncIterator[CheckpointSaver]:
    async with sojourn.open(shared_server.url, namespace="ways") as store:
        yield CheckpointSaver(store)


def config() -> Any:
    return {"configurable": {"thread_id": str(uuid.uuid4())}}


class Scripted(BaseChatModel):
    """Calls a tool when it is asked for a sum, and says what the tool said."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self

    def _answer(self, messages: list[Any]) -> AIMessage:
        last = messages[-1]
        if last.type == "human" and (numbers := re.findall(r"\d+", last.content)):
            call = {"name": "add", "args": {"numbers": [int(n) for n in numbers]}, "id": last.id}
            return AIMessage("", tool_calls=[call])
        asked = [each.content for each in messages if each.type == "human"]
        return AIMessage(f"{last.content} after {len(asked)} questions")

    def _generate(self, messages: list[Any], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages))])

    def _stream(self, messages: list[Any], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        whole = self._answer(messages)
        if whole.tool_calls:
            calls = [{**call, "args": json.dumps(call["args"])} for call in whole.tool_calls]
            chunk = AIMessageChunk("", tool_call_chunks=[{**each, "index": 0} for each in calls])
            yield ChatGenerationChunk(message=chunk)
        for word in re.findall(r"\S+\s*", whole.text):
            yield ChatGenerationChunk(message=AIMessageChunk(word))


def add(numbers: list[int]) -> int:
    """Add numbers."""
    return sum(numbers)


async def test_an_agent_remembers_and_waits_for_approval(saver: CheckpointSaver) -> None:
    agents = pytest.importorskip("langchain.agents")
    middleware = pytest.importorskip("langchain.agents.middleware")
    asking = middleware.HumanInTheLoopMiddleware(interrupt_on={"add": True})
    agent = agents.create_agent(Scripted(), [add], checkpointer=saver, middleware=[asking])
    where = config()
    waiting = await agent.ainvoke({"messages": [("user", "What is 17 and 4?")]}, where)
    assert waiting["__interrupt__"]
    answer = Command(resume={"decisions": [{"type": "approve"}]})
    after = await agent.ainvoke(answer, where)
    assert [each.type for each in after["messages"]] == ["human", "ai", "tool", "ai"]
    assert after["messages"][-1].content == "21 after 1 questions"
    after = await agent.ainvoke({"messages": [("user", "Thanks!")]}, where)
    assert after["messages"][-1].content == "Thanks! after 2 questions"
    assert after["messages"][1].tool_calls[0]["args"] == {"numbers": [17, 4]}


@pytest.mark.parametrize("durability", ["async", "sync", "exit"])
async def test_what_is_streamed_is_what_is_stored(saver: CheckpointSaver, durability: Any) -> None:
    def talk(state: MessagesState) -> Any:
        return {"messages": [Scripted().invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("talk", talk)
    graph.add_edge(START, "talk")
    compiled, where = graph.compile(checkpointer=saver), config()
    seen: dict[str, list[Any]] = {}
    modes: Any = ["messages", "values", "updates", "checkpoints"]
    stream = compiled.astream(
        {"messages": [HumanMessage("Hello there")]}, where, stream_mode=modes, durability=durability
    )
    async for mode, chunk in stream:
        seen.setdefault(mode, []).append(chunk)
    assert (
        "".join(chunk.content for chunk, _ in seen["messages"]) == "Hello there after 1 questions"
    )
    state = await compiled.aget_state(where)
    assert state.values == seen["values"][-1]
    told = [each["config"]["configurable"]["checkpoint_id"] for each in seen["checkpoints"]]
    there = [each.config["configurable"]["checkpoint_id"] async for each in saver.alist(where)]
    assert told[-1] == there[0]
    assert durability == "exit" or told == there[::-1]

    async for _ in compiled.astream({"messages": [HumanMessage("And")]}, where):
        break  # the reader goes away: what was stored before stays whole
    messages = (await compiled.aget_state(where)).values["messages"]
    assert messages[:2] == state.values["messages"]


async def test_a_workflow_asks_and_goes_on_where_it_was(saver: CheckpointSaver) -> None:
    ran: list[str] = []

    @task
    async def draft(topic: str) -> str:
        ran.append(topic)
        return f"on {topic}"

    @entrypoint(checkpointer=saver)
    async def flow(topic: str) -> str:
        text = await draft(topic)
        return f"{text}: {interrupt(text)}"

    where = config()
    parts = [each async for each in flow.astream("tea", where)]
    assert parts[-1]["__interrupt__"][0].value == "on tea"
    assert await flow.ainvoke(Command(resume="good"), where) == "on tea: good"
    assert ran == ["tea"]


async def loaded(folder: Path, stack: AsyncExitStack) -> BaseCheckpointSaver[Any]:
    """The checkpointer that `langgraph.json` names, found as LangGraph's server finds it."""
    named = json.loads((folder / "langgraph.json").read_text())["checkpointer"]["path"]
    path, name = named.rsplit(":", 1)
    spec = importlib.util.spec_from_file_location(f"named_{uuid.uuid4().hex}", folder / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    value = getattr(module, name)
    while not isinstance(value, BaseCheckpointSaver):
        if isinstance(value, AbstractAsyncContextManager):
            value = await stack.enter_async_context(value)
        else:
            value = await value if inspect.isawaitable(value) else value()
    return value


KINDS = {
    "object": "saver = CheckpointSaver({url!r}, namespace='ways')",
    "function": "def saver(): return CheckpointSaver({url!r}, namespace='ways')",
    "coroutine": "async def saver(): return CheckpointSaver({url!r}, namespace='ways')",
    "context": (
        "from contextlib import asynccontextmanager\n"
        "import sojourn\n"
        "@asynccontextmanager\n"
        "async def saver():\n"
        "    async with sojourn.open({url!r}, namespace='ways') as store:\n"
        "        yield CheckpointSaver(store)\n"
    ),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_langgraph_dev_finds_it_and_calls_all_it_needs(
    shared_server: Server, tmp_path: Path, kind: str
) -> None:
    """It wraps the saver, makes versions that are text, and has names of its own for strategies."""
    (shown,) = re.findall(r"```json\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "langgraph.json").write_text(shown)
    code = "from sojourn.integrations.langgraph import CheckpointSaver\n" + KINDS[kind]
    (tmp_path / "checkpoints.py").write_text(code.format(url=shared_server.url))
    async with AsyncExitStack() as stack:
        saver = await loaded(tmp_path, stack)
        for name in ("adelete_thread", "adelete_for_runs", "acopy_thread", "aprune"):
            assert getattr(type(saver), name) is not getattr(BaseCheckpointSaver, name, None)
        await serves(saver)


async def serves(saver: Any) -> None:
    saver = saver.with_allowlist([]) if hasattr(BaseCheckpointSaver, "with_allowlist") else saver
    saver.get_next_version = lambda now, _: f"{int(str(now or 0).split('.')[0]) + 1:032}.{0.5:.16f}"
    graph = StateGraph(MessagesState)
    graph.add_node("talk", lambda state: {"messages": [AIMessage(f"{len(state['messages'])}")]})
    graph.add_edge(START, "talk")
    compiled, where, there = graph.compile(checkpointer=saver), config(), config()
    for text in ("one", "two"):
        after = await compiled.ainvoke({"messages": [text]}, where)
    assert [each.content for each in after["messages"]] == ["one", "1", "two", "3"]
    one, other = (each["configurable"]["thread_id"] for each in (where, there))
    await saver.acopy_thread(one, other)
    await saver.aprune([one], strategy="keep_latest")
    assert len([each async for each in saver.alist(where)]) == 1
    await saver.aprune([one], strategy="delete_all")
    assert await saver.aget_tuple(where) is None
    assert len((await compiled.aget_state(there)).values["messages"]) == 4
    del saver.get_next_version
    after = await compiled.ainvoke({"messages": ["three"]}, there)  # text goes on as text
    assert [each.content for each in after["messages"]][-2:] == ["three", "5"]
