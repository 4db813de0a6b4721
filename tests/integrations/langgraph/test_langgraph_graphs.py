"""Graphs as people run them, over the checkpointer."""

from __future__ import annotations

import asyncio
import operator
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

import sojourn
from servers import Server
from sojourn.checkpoints import ThreadKey
from sojourn.integrations.langgraph import CheckpointSaver


@pytest.fixture
async def store(shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(shared_server.url, namespace="graphs") as store:
        yield store


@pytest.fixture
def saver(store: sojourn.Sojourn) -> CheckpointSaver:
    return CheckpointSaver(store)


@pytest.fixture
def blocking(shared_server: Server) -> Iterator[CheckpointSaver]:
    saver = CheckpointSaver(shared_server.url, namespace="graphs")
    yield saver
    saver.close()


def config(**more: Any) -> Any:
    return {"configurable": {"thread_id": str(uuid.uuid4()), **more}}


def chat(saver: Any, **options: Any) -> Any:
    def model(state: MessagesState) -> Any:
        return {"messages": [AIMessage(f"answer {len(state['messages'])}")]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", model)
    graph.add_edge(START, "model")
    graph.add_edge("model", END)
    return graph.compile(checkpointer=saver, **options)


def texts(state: Any) -> list[str]:
    return [message.content for message in state["messages"]]


async def test_a_thread_remembers(saver: CheckpointSaver) -> None:
    graph, where = chat(saver), config()
    await graph.ainvoke({"messages": [HumanMessage("one")]}, where)
    after = await graph.ainvoke({"messages": [HumanMessage("two")]}, where)
    assert texts(after) == ["one", "answer 1", "two", "answer 3"]
    assert (await graph.aget_state(config())).values == {}


async def test_histories_are_as_in_memory(saver: CheckpointSaver) -> None:
    found = []
    for each in (saver, InMemorySaver()):
        graph, where = chat(each), config()
        for turn in range(12):
            await graph.ainvoke({"messages": [HumanMessage(f"turn {turn}", id=f"h{turn}")]}, where)
        history = [state async for state in graph.aget_state_history(where)]
        found.append(
            [
                (texts(state.values), state.next, state.metadata["step"], len(state.tasks))
                for state in history
                if state.values
            ]
        )
    assert found[0] == found[1]
    assert len(found[0]) == 36


def test_it_works_without_an_event_loop(blocking: CheckpointSaver) -> None:
    graph, where = chat(blocking), config()
    graph.invoke({"messages": [HumanMessage("one")]}, where)
    assert texts(graph.invoke({"messages": [("user", "two")]}, where))[2:] == ["two", "answer 3"]
    assert len(list(graph.get_state_history(where, limit=3))) == 3
    assert [list(chunk) for chunk in graph.stream({"messages": []}, where)] == [["model"]]
    blocking.delete_thread(where["configurable"]["thread_id"])
    assert graph.get_state(where).values == {}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_each_durability_stores_the_same(saver: CheckpointSaver, durability: Any) -> None:
    graph, where = chat(saver), config()
    for text in ("one", "two"):
        await graph.ainvoke({"messages": [HumanMessage(text)]}, where, durability=durability)
    state = await graph.aget_state(where)
    assert texts(state.values) == ["one", "answer 1", "two", "answer 3"]


async def test_an_interrupt_waits_and_resumes(saver: CheckpointSaver) -> None:
    def ask(_: MessagesState) -> Any:
        return {"messages": [AIMessage(f"said {interrupt('really?')}")]}

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    compiled = graph.compile(checkpointer=saver)
    where = config()
    first = await compiled.ainvoke({"messages": [HumanMessage("go")]}, where)
    assert first["__interrupt__"][0].value == "really?"
    waiting = await compiled.aget_state(where)
    assert waiting.next == ("ask",)
    assert waiting.tasks[0].interrupts[0].value == "really?"
    assert texts(await compiled.ainvoke(Command(resume="yes"), where)) == ["go", "said yes"]


class Sums(TypedDict):
    numbers: Annotated[list[int], operator.add]
    total: int


async def test_a_hundred_sends_arrive_once_and_in_order(saver: CheckpointSaver) -> None:
    graph = StateGraph(Sums)
    graph.add_node("one", lambda each: {"numbers": [each["n"]]})
    graph.add_node("sum", lambda state: {"total": sum(state["numbers"])})
    graph.add_conditional_edges(START, lambda _: [Send("one", {"n": n}) for n in range(100)])
    graph.add_edge("one", "sum")
    where = config()
    compiled = graph.compile(checkpointer=saver)
    after = await compiled.ainvoke({"numbers": []}, where)
    assert after == {"numbers": list(range(100)), "total": 4950}
    assert (await compiled.aget_state(where)).values == after


async def test_subgraphs_have_namespaces_of_their_own(saver: CheckpointSaver) -> None:
    def inner(state: Sums) -> Any:
        return {"numbers": [interrupt("how many?")]}

    child = StateGraph(Sums)
    child.add_node("inner", inner)
    child.add_edge(START, "inner")
    parent = StateGraph(Sums)
    parent.add_node("child", child.compile())
    parent.add_node("after", lambda state: {"total": len(state["numbers"])})
    parent.add_edge(START, "child")
    parent.add_edge("child", "after")
    graph, where = parent.compile(checkpointer=saver), config()
    await graph.ainvoke({"numbers": [1]}, where)
    state = await graph.aget_state(where, subgraphs=True)
    assert state.tasks[0].state.values["numbers"] == [1]
    assert (await graph.ainvoke(Command(resume=7), where))["total"] == 3
    everywhere = [each async for each in saver.alist(where)]
    assert len({each.config["configurable"]["checkpoint_ns"] for each in everywhere}) == 2


async def test_time_travel_and_forks(saver: CheckpointSaver) -> None:
    graph, where = chat(saver), config()
    for text in ("one", "two"):
        await graph.ainvoke({"messages": [HumanMessage(text)]}, where)
    history = [state async for state in graph.aget_state_history(where)]
    loops = [state for state in history if state.metadata["source"] == "loop"]
    old = next(state for state in loops if texts(state.values) == ["one", "answer 1"])
    fork = await graph.aupdate_state(old.config, {"messages": [HumanMessage("other")]})
    assert texts((await graph.aget_state(fork)).values) == ["one", "answer 1", "other"]
    assert texts(await graph.ainvoke(None, fork))[-1] == "other"
    assert texts((await graph.aget_state(history[0].config)).values)[-1] == "answer 3"
    await graph.ainvoke({"messages": [HumanMessage("three")]}, fork)
    assert texts((await graph.aget_state(where)).values)[2:4] == ["other", "three"]


async def test_the_functional_api(saver: CheckpointSaver) -> None:
    @task
    async def double(n: int) -> int:
        return 2 * n

    @entrypoint(checkpointer=saver)
    async def flow(n: int, *, previous: int | None = None) -> int:
        return await double(n) + (previous or 0)

    where = config()
    assert [await flow.ainvoke(n, where) for n in (1, 2, 3)] == [2, 6, 12]


async def test_messages_that_are_changed_and_removed(saver: CheckpointSaver) -> None:
    graph, where = chat(saver), config()
    messages = [HumanMessage(f"long text number {n} " * 9, id=str(n)) for n in range(40)]
    await graph.ainvoke({"messages": messages}, where)
    await graph.aupdate_state(where, {"messages": [HumanMessage("changed", id="3")]})
    await graph.aupdate_state(where, {"messages": [RemoveMessage("0"), RemoveMessage("39")]})
    found = (await graph.aget_state(where)).values["messages"]
    assert [message.id for message in found][:-1] == [str(n) for n in range(1, 39)]
    assert found[2].content == "changed"


VALUES: list[Any] = [
    None,
    True,
    -1,
    2**63,
    0.5,
    float("inf"),
    "text\x00 ü 🦊",
    b"\x00\xff",
    [],
    [[], [[1]]],
    {},
    {"a": {"b": [1, None]}, "long": "x" * 1000},
    {"$ref": 0},
    {"a": {"$ref": 7}, "b": "x" * 500},
    {1: "one", "two": 2},
    {1, 2},
    Decimal("12.50"),
    uuid.UUID(int=5),
    [Decimal("0.1"), {"nested": Decimal("0.2")}],
    [HumanMessage("hi", id="1")],
    {"messages": [HumanMessage("hi"), AIMessage("ho", id="x:y z")], "n": 1},
    AIMessage(
        "calls",
        tool_calls=[{"name": "f", "args": {"a": [1]}, "id": "c1", "type": "tool_call"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"model": "m"},
    ),
    ToolMessage("result", tool_call_id="c1", artifact={"raw": Decimal(1)}, status="error"),
    [["user", "x" * 200], ["assistant", "y" * 200]],
    [Send("node", {"n": 1}), Send("node", {"n": Decimal(2)})],
    ["x" * 100] * 3,
    ["@name", "*", "!msgpack\n", "\n", ""],
]


@pytest.mark.parametrize("value", VALUES, ids=[str(n) for n in range(len(VALUES))])
async def test_values_come_back_as_from_langgraphs_own(saver: CheckpointSaver, value: Any) -> None:
    """In a channel, in a write, in metadata, and as a member of the checkpoint."""
    found = []
    for each in (saver, InMemorySaver()):
        where: Any = config(checkpoint_ns="")
        checkpoint: Any = {
            "v": 4,
            "id": "1",
            "ts": "now",
            "versions_seen": {},
            "updated_channels": None,
            "channel_values": {"@c": value},
            "channel_versions": {"@c": 1},
            "pending_sends": [value],
        }
        stored = await each.aput(where, checkpoint, {"source": "loop", "x": value}, {"@c": 1})
        await each.aput_writes(stored, [("a b", value)], "task one")
        got = await each.aget_tuple(stored)
        assert got is not None
        found.append((got.checkpoint, got.metadata, got.pending_writes))
    assert found[0] == found[1]
    assert repr(found[0][0]["channel_values"]) == repr(found[1][0]["channel_values"])


class Unlisted:
    """A class that nobody has allowed."""

    made = 0

    def __init__(self, **_: Any) -> None:
        Unlisted.made += 1

    def model_dump(self) -> dict[str, Any]:
        return {"x": 1}


async def test_nothing_read_is_called_unless_it_was_allowed(saver: CheckpointSaver) -> None:
    where: Any = config(checkpoint_ns="")
    checkpoint: Any = {
        "v": 4,
        "id": "1",
        "ts": "now",
        "versions_seen": {},
        "channel_versions": {"c": 1},
        "channel_values": {"c": Unlisted()},
    }
    stored = await saver.aput(where, checkpoint, {}, {"c": 1})
    before = Unlisted.made
    got = await saver.aget_tuple(stored)
    assert got is not None
    assert got.checkpoint["channel_values"]["c"] == {"x": 1}
    assert Unlisted.made == before
    allowed = saver.with_allowlist([(Unlisted.__module__, "Unlisted")])
    assert allowed is not saver
    again = await allowed.aget_tuple(stored)
    assert again is not None
    assert isinstance(again.checkpoint["channel_values"]["c"], Unlisted)


async def test_owners_do_not_see_each_other(store: sojourn.Sojourn) -> None:
    saver = CheckpointSaver(store, app="owned", owner="user_id")
    graph, thread = chat(saver), str(uuid.uuid4())
    for user in ("ada", "bob:x"):
        where = {"configurable": {"thread_id": thread, "user_id": user}}
        await graph.ainvoke({"messages": [HumanMessage(f"I am {user}")]}, where)
    for user in ("ada", "bob:x"):
        state = await graph.aget_state({"configurable": {"thread_id": thread, "user_id": user}})
        assert texts(state.values)[0] == f"I am {user}"
        page = await store.threads.list("owned", user)
        assert [(each.thread, each.title) for each in page.threads] == [(thread, f"I am {user}")]
    with pytest.raises(sojourn.InvalidInput):
        await graph.aget_state({"configurable": {"thread_id": thread}})
    await saver.adelete_thread(thread)
    for user in ("ada", "bob:x"):
        assert (await store.threads.list("owned", user)).threads == []


async def test_ids_with_separators_are_ids_of_their_own(saver: CheckpointSaver) -> None:
    graph, stem = chat(saver), str(uuid.uuid4())
    ids = [stem, f"{stem}:x", f"{stem}:", f"{stem}%3Ax", f"{stem}*"]
    for each in ids:
        await graph.ainvoke({"messages": [each]}, {"configurable": {"thread_id": each}})
    await saver.adelete_thread(stem)
    found = [(await graph.aget_state({"configurable": {"thread_id": each}})).values for each in ids]
    assert [texts(values)[0] if values else None for values in found] == [None, *ids[1:]]


async def test_several_loops_and_threads_share_a_saver(blocking: CheckpointSaver) -> None:
    graph = chat(blocking)

    def one(number: int) -> list[str]:
        where = config()
        asyncio.run(graph.ainvoke({"messages": [f"in {number}"]}, where))
        return texts(graph.invoke({"messages": ["again"]}, where))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(16)))
    assert [each[0] for each in found] == [f"in {number}" for number in range(16)]
    assert threading.active_count() < 40


async def test_keep_prunes_but_not_what_waits(store: sojourn.Sojourn) -> None:
    saver = CheckpointSaver(store, keep=3)
    graph, where = chat(saver), config()
    for turn in range(6):
        await graph.ainvoke({"messages": [f"turn {turn}"]}, where)
    assert len([each async for each in saver.alist(where)]) == 3
    assert len(texts((await graph.aget_state(where)).values)) == 12


async def test_a_message_is_stored_once(store: sojourn.Sojourn, shared_server: Server) -> None:
    saver = CheckpointSaver(store)
    graph, where = chat(saver), config()
    await graph.ainvoke({"messages": [HumanMessage("needle in the haystack")]}, where)
    for turn in range(30):
        await graph.ainvoke({"messages": [f"turn {turn}"]}, where)
    thread = where["configurable"]["thread_id"]
    key = ThreadKey.of("langgraph", thread, thread)
    with shared_server.client() as client:
        names = list(client.scan_iter(f"graphs:thread:*{thread}*"))
        assert names
        hashes = [name for name in names if client.type(name) == "hash"]
        everything = "".join("".join(client.hvals(name)) for name in hashes)
        assert [name for name in names if client.pttl(name) < 0] == []
    assert everything.count("needle in the haystack") == 2  # the title is the other
    assert await store.threads.delete(key)
