"""A graph that writes down what its checkpointer acknowledged, and a checker of what is stored.

As `python -m faults.graphs` it is `faults.mortal` with a life that runs a graph.
"""

from __future__ import annotations

import json
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

import sojourn
from faults import mortal
from sojourn.integrations.langgraph import CheckpointSaver

TURNS = 2
APP = "graphs"


class Noted(NamedTuple):
    """A line of a ledger.

    Attributes:
        done: it was acknowledged; else it was about to be sent.
        thread: of which thread.
        checkpoint: its id.
        task: whose writes they are; empty for the checkpoint itself.
        values: the values in words, by channel; of writes with their number before it.
    """

    done: bool
    thread: str
    checkpoint: str
    task: str
    values: Mapping[str, str]


class Ledger:
    """What a client was about to store, and what was acknowledged; in a file, if it may die."""

    def __init__(self, path: Path | None = None, told: Callable[[], None] = lambda: None) -> None:
        self.lines: list[Noted] = []
        self.path = path
        self._told = told

    @classmethod
    def read(cls, path: Path) -> Ledger:
        ledger = cls()
        if path.exists():
            ledger.lines = [Noted(*json.loads(line)) for line in path.read_text().splitlines()]
        return ledger

    def note(self, noted: Noted) -> None:
        self.lines.append(noted)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(noted) + "\n")
        if noted.done:
            self._told()

    @property
    def done(self) -> int:
        return sum(line.done for line in self.lines)


def in_words(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: repr(value) for name, value in values.items()}


def numbered(writes: Sequence[tuple[str, Any]]) -> dict[str, str]:
    return in_words(
        {f"{number} {channel}": value for number, (channel, value) in enumerate(writes)}
    )


class WatchedSaver(CheckpointSaver):
    """Writes into a ledger before and after each write."""

    ledger: Ledger

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: Mapping[str, str | int | float],
    ) -> RunnableConfig:
        values = in_words(checkpoint["channel_values"])
        thread = config["configurable"]["thread_id"]
        noted = Noted(False, thread, checkpoint["id"], "", values)  # noqa: FBT003
        self.ledger.note(noted)
        made = await super().aput(config, checkpoint, metadata, new_versions)
        self.ledger.note(noted._replace(done=True))
        return made

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        named = config["configurable"]
        noted = Noted(False, named["thread_id"], named["checkpoint_id"], task_id, numbered(writes))  # noqa: FBT003
        self.ledger.note(noted)
        await super().aput_writes(config, writes, task_id, task_path)
        self.ledger.note(noted._replace(done=True))


class Told(TypedDict):
    """A chat; and a log in which nothing is put twice unnoticed."""

    messages: Annotated[list[AnyMessage], add_messages]
    log: Annotated[list[str], operator.add]


def _answer(state: Told) -> Any:
    number = len(state["log"])
    text = f"answer {number} " + "word " * 50
    return {"messages": [AIMessage(text, id=f"a{number}")], "log": [f"a{number}"]}


def chat(saver: Any) -> Any:
    """Two nodes, the same answers whenever it runs."""
    graph = StateGraph(Told)
    graph.add_node("think", lambda state: {"log": [f"t{len(state['log'])}"]})
    graph.add_node("answer", _answer)
    graph.add_edge(START, "think")
    graph.add_edge("think", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=saver)


def at(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def said(turn: int) -> Any:
    return {"messages": [HumanMessage(f"turn {turn}", id=f"h{turn}")], "log": [f"h{turn}"]}


def watched(store: sojourn.Sojourn, ledger: Ledger) -> WatchedSaver:
    saver = WatchedSaver(store, app=APP)
    saver.ledger = ledger
    return saver


async def problems(saver: CheckpointSaver, *ledgers: Ledger, whole: bool = True) -> list[str]:
    """What is not as the ledgers say: acknowledged and not there, half there, or there twice.

    Args:
        saver: reads what is stored.
        ledgers: of all who have written.
        whole: every checkpoint has its parent.
    """
    found: list[str] = []
    lines = [line for ledger in ledgers for line in ledger.lines]
    for thread in sorted({line.thread for line in lines}):
        tuples = [each async for each in saver.alist(at(thread))]
        ids = [each.config["configurable"]["checkpoint_id"] for each in tuples]
        if len(ids) != len(set(ids)):
            found.append(f"{thread}: a checkpoint is there twice")
        stored = {
            each.checkpoint["id"]: in_words(each.checkpoint["channel_values"]) for each in tuples
        }
        begun = {
            (line.checkpoint, json.dumps(line.values, sort_keys=True))
            for line in lines
            if line.thread == thread and not line.task
        }
        found += [
            f"{thread}: nobody wrote {own} as it is"
            for own, values in stored.items()
            if (own, json.dumps(values, sort_keys=True)) not in begun
        ]
        writes: dict[str, Counter[tuple[str, str, str]]] = {}
        for each in tuples:
            pending = each.pending_writes or []
            writes[each.checkpoint["id"]] = Counter((a, b, repr(c)) for a, b, c in pending)
            parent = each.parent_config
            if whole and parent and parent["configurable"]["checkpoint_id"] not in stored:
                found.append(f"{thread}: {each.checkpoint['id']} has lost its parent")
        for own, counter in writes.items():
            found += [f"{thread}: {own}: twice: {write}" for write, n in counter.items() if n > 1]
        for line in lines:
            if line.thread != thread or not line.done:
                continue
            if not line.task:
                if stored.get(line.checkpoint) != line.values:
                    found.append(f"{thread}: {line.checkpoint} was acknowledged and is not there")
                continue
            there = writes.get(line.checkpoint)
            found += [
                f"{thread}: a write of {line.task} was acknowledged and is not there"
                for name, value in line.values.items()
                if there is not None and (line.task, name.split(" ", 1)[1], value) not in there
            ]
    return found


async def go_on(graph: Any, thread: str, turns: int = TURNS) -> list[str]:
    """What another process does with a thread: end what was begun, and the turns that are left."""
    if (await graph.aget_state(at(thread))).tasks:  # `next` is without those whose writes are there
        await graph.ainvoke(None, at(thread))
    log = (await graph.aget_state(at(thread))).values.get("log", [])
    for turn in range(turns):
        if f"h{turn}" not in log:
            log = (await graph.ainvoke(said(turn), at(thread)))["log"]
    return list(log)


async def graph(url: str, path: str) -> None:
    """A life: some turns, each stored before the next step."""
    async with sojourn.open(url) as store:
        compiled = chat(watched(store, Ledger(Path(path))))
        for turn in range(TURNS):
            await compiled.ainvoke(said(turn), at("one"), durability="sync")


mortal.LIVES["graph"] = graph


if __name__ == "__main__":
    mortal.main()
