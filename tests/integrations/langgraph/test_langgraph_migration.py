"""Threads of LangGraph's own checkpointers, brought along."""

from __future__ import annotations

import secrets
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

import sojourn
from extent import FULL
from faults.graphs import at, chat, said
from servers import Server
from sojourn.integrations.langgraph import CheckpointSaver
from sojourn.integrations.langgraph.migration import ThreadSource, sqlite_source
from sojourn.transfer.migration import Outcome, migrate

sqlite = pytest.importorskip("langgraph.checkpoint.sqlite")


@pytest.fixture
async def store(shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(shared_server.url, namespace=secrets.token_hex(4)) as store:
        yield store


@dataclass
class Own:
    """A class of an application's."""

    number: int


def asking(saver: Any) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("ask", lambda _: {"messages": [HumanMessage(f"said {interrupt('really?')}")]})
    graph.add_edge(START, "ask")
    return graph.compile(checkpointer=saver)


def fill(saver: Any) -> None:
    for turn in range(3):
        chat(saver).invoke(said(turn), at("one"))
    chat(saver).invoke(said(0), {"configurable": {"thread_id": "two:x", "user": "ada"}})
    asking(saver).invoke({"messages": [HumanMessage("go", id="h")]}, at("waits"))


def told(tuples: list[Any]) -> list[Any]:
    return [
        (
            each.config["configurable"]["checkpoint_id"],
            each.parent_config and each.parent_config["configurable"]["checkpoint_id"],
            each.checkpoint,
            each.metadata,
            each.pending_writes,
        )
        for each in tuples
    ]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_threads_come_along_whole(store: sojourn.Sojourn, tmp_path: Path, kind: str) -> None:
    before: Any = InMemorySaver()
    if kind == "sqlite":
        path = tmp_path / "checkpoints.db"
        before = sqlite.SqliteSaver(sqlite3.connect(path, check_same_thread=False))
    fill(before)
    source = ThreadSource(before) if kind == "memory" else await sqlite_source(f"sqlite:///{path}")
    look = await migrate(source, store, dry_run=True)
    assert look.outcomes == {Outcome.WRITTEN: 3}
    assert await store.threads.of_app("langgraph") == []

    report = await migrate(source, store)
    assert (report.complete, report.verified, report.apps[0].threads) == (True, 3, 3)
    saver = CheckpointSaver(store)
    for thread in ("one", "two:x", "waits"):
        there = [each async for each in saver.alist(at(thread))]
        assert told(there) == told(list(before.list(at(thread))))
    after = await asking(saver).ainvoke(Command(resume="yes"), at("waits"))
    assert [message.content for message in after["messages"]] == ["go", "said yes"]

    chat(before).invoke(said(3), at("one"))
    await source.close()
    if kind == "sqlite":  # it is as it was when it was opened
        source = await sqlite_source(f"sqlite:///{path}")
    again = await migrate(source, store)
    assert again.outcomes[Outcome.CAUGHT_UP] == 1
    assert again.outcomes[Outcome.AHEAD] == 1
    assert again.complete
    await source.close()


async def test_owners_are_found_in_the_metadata(store: sojourn.Sojourn) -> None:
    before = InMemorySaver()
    fill(before)
    report = await migrate(ThreadSource(before, owner="user"), store)
    assert report.outcomes == {Outcome.WRITTEN: 1, Outcome.REFUSED: 2}
    saver = CheckpointSaver(store, owner="user")
    found = await saver.aget_tuple({"configurable": {"thread_id": "two:x", "user": "ada"}})
    assert found is not None
    assert [each.thread for each in (await store.threads.list("langgraph", "ada")).threads] == [
        "two:x"
    ]


async def test_objects_of_unknown_classes_are_named(store: sojourn.Sojourn, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.db"
    before = sqlite.SqliteSaver(sqlite3.connect(path, check_same_thread=False))
    graph = StateGraph(dict)
    graph.add_node("own", lambda _: {"own": Own(1)})
    graph.add_edge(START, "own")
    graph.compile(checkpointer=before).invoke({"a": 1}, at("own"))
    source = await sqlite_source(f"sqlite:///{path}")
    report = await migrate(source, store)
    assert report.outcomes == {Outcome.REFUSED: 1}
    assert f"{Own.__module__}.Own" in report.notable[0].why
    await source.close()
    source = await sqlite_source(f"sqlite:///{path}", allow=[(Own.__module__, "Own")])
    assert (await migrate(source, store)).complete
    await source.close()


@pytest.mark.skipif(not FULL, reason="FULL=1")
def test_the_command_line_brings_a_file_along(shared_server: Server, tmp_path: Path) -> None:
    path, space = tmp_path / "checkpoints.db", secrets.token_hex(4)
    fill(sqlite.SqliteSaver(sqlite3.connect(path, check_same_thread=False)))
    before = path.read_bytes()
    words = ["migrate", f"sqlite:///{path}", f"{shared_server.url}?namespace={space}", "--yes"]
    done = subprocess.run(
        [sys.executable, "-m", "sojourn", *words], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "threads" in done.stdout
    assert path.read_bytes() == before
