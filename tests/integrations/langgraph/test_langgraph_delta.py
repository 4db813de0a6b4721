"""Delta channels: their value is in the checkpoints before, which pruning must keep."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

import sojourn
from servers import Server
from sojourn.integrations.langgraph import CheckpointSaver

delta = pytest.importorskip("langgraph.channels.delta")
delta_snapshot = pytest.importorskip("langgraph.checkpoint.serde.types")._DeltaSnapshot


def joined(state: list[str], writes: list[list[str]]) -> list[str]:
    return [*state, *(each for write in writes for each in write)]


class Log(TypedDict):
    lines: Annotated[list[str], delta.DeltaChannel(joined, snapshot_frequency=5)]
    turn: int


def log(saver: Any) -> Any:
    graph = StateGraph(Log)
    graph.add_node("one", lambda state: {"lines": [f"one {state['turn']}"]})
    graph.add_node("two", lambda state: {"lines": [f"two {state['turn']}"]})
    graph.add_edge(START, "one")
    graph.add_edge(START, "two")
    return graph.compile(checkpointer=saver)


async def turns(graph: Any, where: Any, first: int, last: int) -> None:
    for turn in range(first, last):
        await graph.ainvoke({"lines": [f"in {turn}"], "turn": turn}, where)


def config() -> Any:
    return {"configurable": {"thread_id": str(uuid.uuid4())}}


def expected(last: int) -> list[str]:
    return [f"{who} {turn}" for turn in range(last) for who in ("in", "one", "two")]


@pytest.fixture
async def store(shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(shared_server.url, namespace="delta") as store:
        yield store


@pytest.mark.parametrize("keep", [None, 1, 3])
async def test_a_channel_is_rebuilt_whatever_is_kept(
    store: sojourn.Sojourn, keep: int | None
) -> None:
    saver = CheckpointSaver(store, keep=keep)
    graph, where = log(saver), config()
    for last in range(1, 9):
        await turns(graph, where, last - 1, last)
        state = await graph.aget_state(where)
        assert sorted(state.values["lines"]) == sorted(expected(last))
    if keep is not None:
        assert len([each async for each in saver.alist(where)]) < 24


async def test_histories_are_as_from_langgraphs_own(store: sojourn.Sojourn) -> None:
    found = []
    for saver in (CheckpointSaver(store), InMemorySaver()):
        graph, where = log(saver), config()
        await turns(graph, where, 0, 7)
        states = [state async for state in graph.aget_state_history(where)]
        histories = [
            await saver.aget_delta_channel_history(config=state.config, channels=["lines"])
            for state in states
        ]
        found.append(
            (
                [state.values.get("lines") for state in states],
                [
                    (
                        [(channel, value) for _, channel, value in each["lines"]["writes"]],
                        each["lines"].get("seed"),
                    )
                    for each in histories
                ],
            )
        )
    assert found[0] == found[1]


async def test_pruning_and_copies_keep_what_a_channel_needs(store: sojourn.Sojourn) -> None:
    saver = CheckpointSaver(store)
    graph, where, there = log(saver), config(), config()
    await turns(graph, where, 0, 6)
    before = (await graph.aget_state(where)).values
    await saver.aprune([where["configurable"]["thread_id"]])
    assert (await graph.aget_state(where)).values == before
    ids = [each["configurable"]["thread_id"] for each in (where, there)]
    await saver.acopy_thread(*ids)
    assert (await graph.aget_state(there)).values == before
    await turns(graph, there, 6, 7)
    after = (await graph.aget_state(there)).values["lines"]
    assert sorted(after) == sorted(expected(7))


# What LangGraph's own tests of its savers ask of a walk, put in our words.


async def chain(saver: Any, steps: int, values: dict[int, Any], bumped: set[int]) -> list[Any]:
    """Checkpoints with a write each; some with a value, some with nothing but a version."""
    places: list[Any] = []
    parent: Any = {"configurable": {"thread_id": str(uuid.uuid4()), "checkpoint_ns": ""}}
    for step in range(steps):
        checkpoint = empty_checkpoint()
        checkpoint["id"] = f"{step:08}"
        checkpoint["channel_versions"]["lines"] = step
        if step in values:
            checkpoint["channel_values"]["lines"] = values[step]
        versions: Any = {"lines": step} if step in values or step in bumped else {}
        parent = await saver.aput(parent, checkpoint, {"source": "loop", "step": step}, versions)
        await saver.aput_writes(parent, [("lines", f"w{step}")], str(uuid.uuid4()))
        places.append(parent)
    return places


SEEDS: list[tuple[dict[int, Any], set[int], int, list[str]]] = [
    ({1: [10, 20]}, set(), 3, ["w1", "w2"]),
    ({1: delta_snapshot([10, 20])}, set(), 3, ["w1", "w2"]),
    ({0: [10, 20]}, {1, 2}, 3, ["w0", "w1", "w2"]),
    ({1: [10, 20], 5: ["newer"]}, set(), 4, ["w1", "w2", "w3"]),
    ({}, {1}, 3, ["w0", "w1", "w2"]),
    ({}, set(), 0, []),
    ({0: [10, 20]}, set(), 40, [f"w{n}" for n in range(40)]),
]


@pytest.mark.parametrize("number", range(len(SEEDS)))
async def test_a_walk_ends_at_the_nearest_value(
    store: sojourn.Sojourn, shared_server: Server, number: int
) -> None:
    values, bumped, target, writes = SEEDS[number]
    saver = CheckpointSaver(store)
    places = await chain(saver, max(target + 3, 6), values, bumped)
    asked = {"config": places[target], "channels": ["lines", "others"]}
    found = await saver.aget_delta_channel_history(**asked)
    blocking = CheckpointSaver(shared_server.url, namespace="delta")
    assert blocking.get_delta_channel_history(**asked) == found
    blocking.close()
    theirs = InMemorySaver()
    there = (await chain(theirs, max(target + 3, 6), values, bumped))[target]
    wanted = await theirs.aget_delta_channel_history(config=there, channels=["lines", "others"])
    assert [each[2] for each in found["lines"]["writes"]] == writes
    assert found["lines"].get("seed") == wanted["lines"].get("seed")
    assert [each[1:] for each in found["lines"]["writes"]] == [
        each[1:] for each in wanted["lines"]["writes"]
    ]
    assert found["others"] == wanted["others"] == {"writes": []}
