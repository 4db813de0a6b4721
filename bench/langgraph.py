"""LangGraph's checkpointers side by side: `python -m bench.langgraph [--quick] [--peers NAME …]`.

A graph of one node and `add_messages`, each message 1 KB, run with each saver on a server of its
own, all of the same program. Peers that are not installed are named and left out. REDISEARCH may be
the command of a server with RediSearch and RedisJSON, with its arguments: all servers are of it.
Without it langgraph-checkpoint-redis is left out, which needs both modules.
"""

import argparse
import asyncio
import contextlib
import importlib.metadata
import os
import random
import shlex
import statistics
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Annotated

import redis
import redis.asyncio
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, MessagesState, StateGraph
from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from . import server

OURS = "sojourn"
POOL = 1000
"""Connections that peers may open: with their defaults (10, 100) 64 tasks at once meet errors."""
WORDS = [uuid.UUID(int=random.Random(n).getrandbits(128)).hex[:7] for n in range(4096)]


def text():
    return " ".join(random.choices(WORDS, k=128))


# ── savers ──────────────────────────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def sojourn(url, keep=None):
    import sojourn as ours  # noqa: PLC0415 - only for the peers asked for
    from sojourn.integrations.langgraph import CheckpointSaver  # noqa: PLC0415

    async with ours.open(url) as store:
        yield CheckpointSaver(store, keep=keep)


@contextlib.asynccontextmanager
async def official(url):
    from langgraph.checkpoint.redis.aio import AsyncRedisSaver  # noqa: PLC0415

    async with AsyncRedisSaver.from_conn_string(
        url, connection_args={"max_connections": POOL}
    ) as saver:
        await saver.asetup()
        yield saver


@contextlib.asynccontextmanager
async def plainredis(url):
    from langgraph_checkpoint_plainredis import AsyncRedisSaver  # noqa: PLC0415

    async with redis.asyncio.Redis.from_url(url, max_connections=POOL) as client:
        yield AsyncRedisSaver(client)


@contextlib.asynccontextmanager
async def aws(url):
    from langgraph_checkpoint_aws import AsyncValkeySaver  # noqa: PLC0415

    async with AsyncValkeySaver.from_conn_string(url, pool_size=POOL) as saver:
        yield saver


@contextlib.asynccontextmanager
async def sqlite(_):
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoints.db"
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
            saver.path = path
            yield saver


@contextlib.asynccontextmanager
async def memory(_):
    yield InMemorySaver()


PEERS = {
    OURS: (sojourn, "sojourn"),
    "sojourn keep=10": (lambda url: sojourn(url, keep=10), "sojourn"),
    "redis": (official, "langgraph-checkpoint-redis"),
    "plainredis": (plainredis, "langgraph-checkpoint-plainredis"),
    "aws valkey": (aws, "langgraph-checkpoint-aws"),
    "sqlite": (sqlite, "langgraph-checkpoint-sqlite"),
    "in-memory": (memory, "langgraph-checkpoint"),
}
ON_REDIS = [OURS, "sojourn keep=10", "redis", "plainredis", "aws valkey"]


# ── servers ─────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def serving():
    """URL of a server of one's own, and its version."""
    command = os.environ.get("REDISEARCH")
    if not command:
        with server.running() as found:
            yield found
        return
    port = server.free_port()
    with tempfile.TemporaryDirectory() as folder:
        words = [*shlex.split(command), "--port", str(port), "--bind", "127.0.0.1"]
        words += ["--dir", folder, "--save", "", "--appendonly", "no"]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            yield f"redis://127.0.0.1:{port}/0", server._wait(port, process)  # noqa: SLF001
        finally:
            process.kill()
            process.wait()


class Counter:
    """A TCP proxy that counts round trips, and holds replies back for so many seconds."""

    def __init__(self, url, delay=0):
        self._delay = delay
        self._port = int(url.rpartition(":")[2].split("/")[0])
        self.trips = 0

    async def __aenter__(self):
        self._tasks = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader, writer):
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        asked = False

        async def requests():
            nonlocal asked
            while data := await reader.read(1 << 20):
                self.trips += not asked
                asked = True
                up_writer.write(data)
            up_writer.close()

        async def replies():
            nonlocal asked
            while data := await up_reader.read(1 << 20):
                asked = False
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(data)
            writer.close()

        self._tasks |= {asyncio.create_task(requests()), asyncio.create_task(replies())}


def stored_bytes(url):
    """MEMORY USAGE over all keys; search indexes are not in it."""
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        keys = list(client.scan_iter(count=1000))
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.memory_usage(key, samples=0)
        return sum(filter(None, pipeline.execute()))


# ── graphs ──────────────────────────────────────────────────────────────────────────────────────


def chat(saver):
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda _: {"messages": [AIMessage(text())]})
    graph.add_edge(START, "model")
    graph.add_edge("model", END)
    return graph.compile(checkpointer=saver)


class Counted(TypedDict):
    number: int
    ballast: str
    messages: Annotated[list, lambda old, new: (old + new)[-20:]]


def counting(saver, steps):
    graph = StateGraph(Counted)
    graph.add_node("step", lambda state: {"number": state["number"] + 1, "messages": [text()]})
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda s: "step" if s["number"] < steps else END)
    return graph.compile(checkpointer=saver)


def at(thread):
    return {"configurable": {"thread_id": thread}, "recursion_limit": 10_000}


async def turn(graph, thread, **options):
    started = time.perf_counter()
    await graph.ainvoke({"messages": [HumanMessage(text())]}, at(thread), **options)
    return (time.perf_counter() - started) * 1000


# ── measurements ────────────────────────────────────────────────────────────────────────────────


async def trips(url, make):
    """Round trips of a turn, and of one with `durability="exit"`; and ms of one, 1 ms away."""
    async with Counter(url) as counter, make(counter.url) as saver:
        graph, found = chat(saver), {}
        for number in range(25):
            counter.trips = 0
            await turn(graph, "trips")
            if number > 14:
                found.setdefault("trips", []).append(counter.trips)
        for number in range(10):
            counter.trips = 0
            await turn(graph, "exit", durability="exit")
            if number > 4:
                found.setdefault("exit", []).append(counter.trips)
    async with Counter(url, delay=0.001) as counter, make(counter.url) as saver:
        graph = chat(saver)
        found["away"] = [await turn(graph, "away") for _ in range(30)][10:]
    return {name: statistics.median(values) for name, values in found.items()}


async def threads_at_once(saver, turns):
    graph = chat(saver)
    names = [uuid.uuid4().hex for _ in range(64)]

    async def one(name):
        for _ in range(turns):
            await turn(graph, name)

    await asyncio.gather(*map(one, names))  # warm
    started = time.perf_counter()
    await asyncio.gather(*map(one, names))
    return 64 * turns / (time.perf_counter() - started)


async def latest(saver, steps, rounds):
    """Milliseconds of reading the latest state after 20 steps, and after many, of the same size."""
    for name, number in (("few", 20), ("many", steps)):
        begin = {"number": 0, "ballast": text() * 10, "messages": [text() for _ in range(20)]}
        await counting(saver, number).ainvoke(begin, at(name))
    samples = {"few": [], "many": []}
    for _ in range(rounds):
        for name, times in samples.items():
            started = time.perf_counter()
            await saver.aget_tuple(at(name))
            times.append((time.perf_counter() - started) * 1000)
    return {name: statistics.median(times) for name, times in samples.items()}


async def measure(names, urls, turns, steps):  # noqa: C901, PLR0912 - one after the other
    found = {name: {} for name in names}
    for name in names:
        if name in ON_REDIS:
            found[name] |= await trips(urls[name], PEERS[name][0])
            redis.Redis.from_url(urls[name]).flushdb()
    print("round trips: counted", flush=True)
    async with contextlib.AsyncExitStack() as stack:
        savers = {}
        for name in names:
            savers[name] = await stack.enter_async_context(PEERS[name][0](urls.get(name)))
        graphs = {name: chat(saver) for name, saver in savers.items()}
        for name in names:  # warm
            for _ in range(5):
                await turn(graphs[name], "warm")
            if hasattr(savers[name], "adelete_thread"):
                await savers[name].adelete_thread("warm")
        for number in range(turns):
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                took = await turn(graphs[name], "chat")
                if 10 <= number < 30:
                    found[name].setdefault("early", []).append(took)
                if number >= turns - 20:
                    found[name].setdefault("late", []).append(took)
                if number == 19 and name in ON_REDIS:
                    found[name]["stored early"] = stored_bytes(urls[name])
        print("turns: measured", flush=True)
        for name in names:
            row = found[name]
            row["early"], row["late"] = map(statistics.median, (row["early"], row["late"]))
            state = (await graphs[name].aget_state(at("chat"))).values["messages"]
            assert len(state) == 2 * turns, f"{name} has {len(state)} messages"
            serde = JsonPlusSerializer()
            size = sum(len(serde.dumps_typed(message)[1]) for message in state)
            row["size"] = size
            if name in ON_REDIS:
                row["stored"] = stored_bytes(urls[name])
            elif name == "sqlite":
                row["stored"] = sum(
                    each.stat().st_size for each in savers[name].path.parent.iterdir()
                )
            if "stored" in row:
                row["ratio"] = row["stored"] / size
            if "stored early" in row:
                row["growth"] = (row["stored"] / turns) / (row["stored early"] / 20)
        for name in names:
            found[name]["at once"] = await threads_at_once(savers[name], 3)
        print("64 threads: measured", flush=True)
        for name in names:
            times = await latest(savers[name], steps, 200)
            found[name]["few"], found[name]["long"] = times["few"], times["many"] / times["few"]
    return found


# ── report ──────────────────────────────────────────────────────────────────────────────────────


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 or float(value).is_integer() else f"{value:.2f}"


def show(found, turns, steps):
    columns = {
        "trips": "round trips a turn",
        "exit": "… with exit",
        "early": "ms a turn at 20",
        "away": "… 1 ms away",
        "late": f"ms a turn at {turns}",
        "ratio": "stored ÷ messages",
        "growth": f"bytes a turn, {turns} ÷ 20",
        "few": "ms, latest state",
        "long": f"… {steps:,} steps ÷ 20",
        "at once": "turns/s, 64 threads",
    }
    grid = Table("saver", *columns.values())
    for name, row in found.items():
        grid.add_row(name, *(number(row.get(column)) for column in columns))
    Console(width=150).print(grid)


def targets(found):
    """What is wanted, what was measured, and whether it was reached."""
    ours, pruned = found[OURS], found.get("sojourn keep=10", {})
    others = [name for name in ON_REDIS[2:] if name in found]
    lines = [("round trips a turn", 4, ours["trips"]), ("… with exit", 2, ours["exit"])]
    for moment in ("early", "away", "late") if others else ():
        fastest = min(others, key=lambda name: found[name][moment])
        share = ours[moment] / found[fastest][moment]
        lines.append((f"ms a turn, {moment}, beside {fastest}", 0.5, share))
    lines.append(("stored ÷ messages", 2.5, ours["ratio"]))
    if pruned:
        lines.append(("stored ÷ messages, keep=10", 1.3, pruned["ratio"]))
    lines += [("bytes a turn, late ÷ early", 1.1, ours["growth"])]
    lines += [("latest state of a long thread ÷ a short one", 1.2, ours["long"])]
    if others:
        best = max(others, key=lambda name: found[name]["at once"])
        lines.append((f"turns/s of {best} ÷ ours", 1, found[best]["at once"] / ours["at once"]))
    grid = Table("target", "at most", "measured", "")
    for name, wanted, measured in lines:
        reached = "reached" if round(measured, 2) <= wanted else "not reached"
        grid.add_row(name, number(wanted), number(measured), reached)
    Console(width=150).print(grid)


def installed(package):
    if package == "sojourn":
        return True
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return bool(importlib.metadata.version(package))
    return False


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.langgraph", description=__doc__)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--quick", action="store_true", help="40 turns and 100 steps")
    given = parser.parse_args()
    names = [name for name in PEERS if name in given.peers and installed(PEERS[name][1])]
    if "redis" in names and not os.environ.get("REDISEARCH"):
        names.remove("redis")
    print("left out:", ", ".join(name for name in PEERS if name not in names) or "none")
    turns, steps = (40, 100) if given.quick else (200, 2000)
    random.seed(1)
    with contextlib.ExitStack() as stack:
        urls = {}
        for name in names:
            if name in ON_REDIS:
                urls[name], version = stack.enter_context(serving())
        packages = sorted({PEERS[name][1] for name in names} - {"sojourn"})
        print(
            version, *(f"{each} {importlib.metadata.version(each)}" for each in packages), sep=", "
        )
        found = asyncio.run(measure(names, urls, turns, steps))
    show(found, turns, steps)
    if OURS in found:
        targets(found)


if __name__ == "__main__":
    main()
