"""Threads of LangGraph's own checkpointers, brought along."""

from __future__ import annotations

import operator
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

import sojourn
from extent import FULL
from faults.graphs import at, chat, said
from postgres import PostgresServer
from servers import CI, NotHere, Server
from sojourn.integrations.langgraph import CheckpointSaver
from sojourn.integrations.langgraph.migration import (
    ThreadSource,
    postgres_source,
    read_threads,
    sqlite_source,
)
from sojourn.integrations.langgraph.sources import SaverReader
from sojourn.transfer.migration import Outcome, migrate, source_at

sqlite = pytest.importorskip("langgraph.checkpoint.sqlite")
postgres = pytest.importorskip("langgraph.checkpoint.postgres")
psycopg = pytest.importorskip("psycopg")


@pytest.fixture
async def store(shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(shared_server.url, namespace=secrets.token_hex(4)) as store:
        yield store


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    try:
        started = PostgresServer()
    except NotHere as missing:
        if CI:
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    yield started
    started.close()


@contextmanager
def postgres_saver(url: str) -> Generator[Any]:
    """An empty database's PostgresSaver."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    with postgres.PostgresSaver.from_conn_string(url) as saver:
        saver.setup()
        yield saver


@contextmanager
def plain_saver(server: Server, **options: Any) -> Generator[Any]:
    plain = pytest.importorskip("langgraph_checkpoint_plainredis")
    saver = plain.RedisSaver(url=server.url, **options)
    yield saver
    saver.client.close()


@dataclass
class Own:
    """A class of an application's."""

    number: int


def asking(saver: Any) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("ask", lambda _: {"messages": [HumanMessage(f"said {interrupt('really?')}")]})
    graph.add_edge(START, "ask")
    return graph.compile(checkpointer=saver)


class Work(TypedDict):
    items: Annotated[list[str], operator.add]


def working(saver: Any, ran: list[str]) -> Any:
    """Sends to a subgraph, where one of three waits for an answer."""

    def do(state: Any) -> Any:
        ran.append(state["items"][0])
        if state["items"] == ["2"]:
            return {"items": [f"said {interrupt('go?')}"]}
        return {"items": [f"done {state['items'][0]}"]}

    child = StateGraph(Work)
    child.add_node("do", do)
    child.add_edge(START, "do")
    graph = StateGraph(Work)
    graph.add_node("child", child.compile())
    graph.add_conditional_edges(
        START, lambda _: [Send("child", {"items": [str(n)]}) for n in range(1, 4)]
    )
    return graph.compile(checkpointer=saver)


def fill(saver: Any, *, fork: bool = True) -> None:
    for turn in range(3):
        chat(saver).invoke(said(turn), at("one"))
    chat(saver).invoke(said(0), {"configurable": {"thread_id": "two:x", "user": "ada"}})
    asking(saver).invoke({"messages": [HumanMessage("go", id="h")]}, at("waits"))
    working(saver, []).invoke({"items": []}, at("works"))
    if fork:
        old = list(saver.list(at("one")))[3].config
        chat(saver).update_state(old, said(7))


THREADS = ("one", "two:x", "waits", "works")


def told(tuples: list[Any]) -> list[Any]:
    return sorted(
        (
            (
                [each.config["configurable"][name] for name in ("checkpoint_id", "checkpoint_ns")],
                each.parent_config and each.parent_config["configurable"]["checkpoint_id"],
                each.checkpoint,
                each.metadata,
                each.pending_writes,
            )
            for each in tuples
        ),
        key=lambda told: told[0],
    )


async def all_is_there(before: Any, saver: CheckpointSaver) -> None:
    """Each checkpoint is as the source itself gives it, by `list` and by `get_tuple`."""
    for thread in THREADS:
        there = [each async for each in saver.alist(at(thread))]
        assert told(there) == told(list(before.list(at(thread))))
        found = [
            (await saver.aget_tuple(each.config), before.get_tuple(each.config)) for each in there
        ]
        assert told([ours for ours, _ in found]) == told([theirs for _, theirs in found])
        assert saver.get_next_version(there[0].checkpoint["channel_versions"]["__start__"], None)


async def it_goes_on(saver: CheckpointSaver) -> None:
    after = await asking(saver).ainvoke(Command(resume="yes"), at("waits"))
    assert [message.content for message in after["messages"]] == ["go", "said yes"]
    ran: list[str] = []
    done = await working(saver, ran).ainvoke(Command(resume="yes"), at("works"))
    assert done == {"items": ["1", "done 1", "2", "said yes", "3", "done 3"]}
    assert ran == ["2"]


@asynccontextmanager
async def opened(kind: str, place: Any) -> AsyncGenerator[Any]:
    """A source, as it is now."""
    match kind:
        case "memory":
            source: Any = ThreadSource(place)
        case "sqlite":
            source = await sqlite_source(place)
        case "postgres":
            source = await postgres_source(place)
        case _:
            source = await source_at(place, threads=read_threads)
    yield source
    await source.close()


@pytest.fixture(params=["memory", "sqlite", "postgres", "plainredis"])
def before(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Any, Any]]:
    """A kind of checkpointer, what `opened` gets, and one with threads."""
    with ExitStack() as stack:
        match request.param:
            case "memory":
                saver: Any = InMemorySaver()
                place: Any = saver
            case "sqlite":
                place = f"sqlite:///{tmp_path / 'checkpoints.db'}"
                saver = stack.enter_context(sqlite.SqliteSaver.from_conn_string(place[10:]))
            case "postgres":
                place = request.getfixturevalue("database").url
                saver = stack.enter_context(postgres_saver(place))
            case _:
                server = request.getfixturevalue("server")
                place, saver = server.url, stack.enter_context(plain_saver(server))
        fill(saver, fork=request.param != "plainredis")  # there, branches overwrite each other
        yield request.param, place, saver


async def test_threads_come_along_whole(
    store: sojourn.Sojourn, before: tuple[str, Any, Any]
) -> None:
    kind, place, theirs = before
    async with opened(kind, place) as source:
        look = await migrate(source, store, dry_run=True)
        assert look.outcomes == {Outcome.WRITTEN: 4}
        assert await store.threads.of_app("langgraph") == []
        report = await migrate(source, store)
    assert (report.complete, report.verified, report.apps[0].threads) == (True, 4, 4)
    saver = CheckpointSaver(store)
    await all_is_there(theirs, saver)
    await it_goes_on(saver)

    chat(theirs).invoke(said(3), at("one"))
    async with opened(kind, place) as source:
        again = await migrate(source, store)
    assert again.outcomes[Outcome.CAUGHT_UP] == 1
    assert again.outcomes[Outcome.AHEAD] == 2
    assert again.complete


class Stopping(SaverReader):
    """Breaks off after some checkpoints that were to be stored."""

    left = 5

    async def checkpoints(self, thread: str, only: Any = None) -> AsyncIterator[Any]:
        async for each in super().checkpoints(thread, only):
            if only is not None:
                if not self.left:
                    raise sojourn.Unavailable("stopped")
                self.left -= 1
            yield each


async def test_a_migration_that_was_stopped_goes_on(store: sojourn.Sojourn) -> None:
    before = InMemorySaver()
    for turn in range(8):  # more than are compared at once
        chat(before).invoke(said(turn), at("one"))
    with pytest.raises(sojourn.Unavailable, match="stopped"):
        await migrate(ThreadSource(Stopping(before)), store)
    saver = CheckpointSaver(store)
    assert len([each async for each in saver.alist(at("one"))]) == 5
    report = await migrate(ThreadSource(before), store)
    assert report.outcomes == {Outcome.CAUGHT_UP: 1}
    assert (report.complete, report.verified) == (True, 1)
    there = [each async for each in saver.alist(at("one"))]
    assert told(there) == told(list(before.list(at("one"))))
    again = await migrate(ThreadSource(before), store)
    assert again.outcomes == {Outcome.SAME: 1}


async def test_owners_are_found_in_the_metadata(store: sojourn.Sojourn) -> None:
    before = InMemorySaver()
    fill(before)
    report = await migrate(ThreadSource(before, owner="user"), store)
    assert report.outcomes == {Outcome.WRITTEN: 1, Outcome.REFUSED: 3}
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


async def test_the_database_is_only_read(store: sojourn.Sojourn, database: PostgresServer) -> None:
    with postgres_saver(database.url) as before, psycopg.connect(database.url) as look:
        fill(before)
        counted = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
        look.execute("SELECT pg_stat_clear_snapshot()")
        changes = look.execute(counted).fetchone()
        source = await postgres_source(database.url)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await source._reader._connection.execute("DELETE FROM checkpoints")
        await source._reader._connection.rollback()
        assert (await migrate(source, store)).complete
        await source.close()
        look.rollback()
        look.execute("SELECT pg_stat_clear_snapshot()")
        assert look.execute(counted).fetchone() == changes


async def test_what_is_wrong_with_a_database_is_said_without_its_password(
    store: sojourn.Sojourn, database: PostgresServer
) -> None:
    with postgres_saver(database.url):
        pass
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("DROP TABLE checkpoints")
    wrong: list[tuple[str, type[Exception]]] = [
        (database.url, sojourn.ConfigurationError),
        (database.url.replace("s%C3%A9cret", "wrong"), sojourn.AccessDenied),
        (database.url.replace("/postgres", "/nobody"), sojourn.Unavailable),
        (database.url.replace(f":{database.port}", ":1"), sojourn.Unavailable),
        ("postgresql://agent:s/cret@127.0.0.1/postgres", sojourn.ConfigurationError),
        ("postgresql://agent:secret@[/postgres", sojourn.ConfigurationError),
    ]
    for url, kind in wrong:
        with pytest.raises(kind) as raised:
            await postgres_source(url)
        assert "cret" not in str(raised.value)
        assert "wrong" not in str(raised.value)


@pytest.mark.parametrize("module", ["psycopg", "langgraph.checkpoint.postgres.aio"])
async def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(sojourn.ConfigurationError, match="langgraph-postgres"):
        await postgres_source("postgresql://localhost/x")


async def test_damaged_values_are_named(store: sojourn.Sojourn, database: PostgresServer) -> None:
    with postgres_saver(database.url) as before:
        fill(before)
        with psycopg.connect(database.url, autocommit=True) as connection:
            damage = "UPDATE checkpoint_blobs SET blob = '\\xc1', type = %s WHERE thread_id = %s"
            connection.execute(damage, ("msgpack", "one"))
            connection.execute(damage, ("pickle", "waits"))
        source = await postgres_source(database.url)
        report = await migrate(source, store)
        await source.close()
    assert report.outcomes == {Outcome.WRITTEN: 2, Outcome.REFUSED: 2}
    assert {each.where for each in report.notable} == {"thread one", "thread waits"}
    assert all("cannot be read" in each.why for each in report.notable)


@pytest.mark.parametrize("kind", ["postgres", "plainredis"])
async def test_no_class_named_at_the_source_is_imported(
    store: sojourn.Sojourn, request: pytest.FixtureRequest, kind: str
) -> None:
    def make(saver: Any) -> None:
        graph = StateGraph(dict)
        graph.add_node("own", lambda _: {"own": Own(1)})
        graph.add_edge(START, "own")
        graph.compile(checkpointer=saver).invoke({"a": 1}, at("own"))

    if kind == "postgres":
        url = request.getfixturevalue("database").url
        with postgres_saver(url) as saver:
            make(saver)
        source: Any = await postgres_source(url)
    else:
        server = request.getfixturevalue("server")
        with plain_saver(server) as saver:
            make(saver)
        source = await source_at(server.url, threads=read_threads)
    report = await migrate(source, store)
    await source.close()
    assert report.outcomes == {Outcome.REFUSED: 1}
    assert f"{Own.__module__}.Own" in report.notable[0].why


async def test_a_thread_of_plain_redis_keeps_the_rest_of_its_lifetime(
    store: sojourn.Sojourn, server: Server
) -> None:
    with plain_saver(server, ttl=900, prefix="my:own") as before:
        chat(before).invoke(said(1), at("one"))
        source = await source_at(server.url, threads=read_threads, app="shop")
        assert (await migrate(source, store)).complete
        await source.close()
        (key,) = await store.threads.of_app("shop")
        assert (key.app, key.thread) == ("shop", "one")
        thread = (await store.threads.list(key.app, key.user)).threads[0]
        assert 800 < (thread.expires or 0) - time.time() <= 910  # a hundredth longer
        before.client.set("my:own:cp:other::not-a-checkpoint", "x")  # a neighbour's
        before.client.hset("forum:threads", "1", "a topic")
        with pytest.raises(sojourn.ConfigurationError, match="langgraph"):
            await source_at(server.url)


@pytest.mark.skipif(not FULL, reason="FULL=1")
@pytest.mark.parametrize("kind", ["postgres", "plainredis"])
def test_the_command_line_finds_out_by_itself(
    shared_server: Server, request: pytest.FixtureRequest, kind: str
) -> None:
    if kind == "postgres":
        url = request.getfixturevalue("database").url
        with postgres_saver(url) as saver:
            fill(saver)
    else:
        url = request.getfixturevalue("server").url
        with plain_saver(request.getfixturevalue("server")) as saver:
            fill(saver, fork=False)
    words = ["migrate", url, f"{shared_server.url}?namespace={secrets.token_hex(4)}", "--yes"]
    done = subprocess.run(
        [sys.executable, "-m", "sojourn", *words], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "4 the same" in done.stdout or "4 records the same" in done.stdout
    assert "cret" not in done.stdout + done.stderr


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
