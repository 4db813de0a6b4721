"""`sojourn.sync`: the same calls without an event loop, from wherever they come."""

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

import sojourn.sync
from servers import Server
from sojourn import Event, InvalidInput, SessionNotFound, Unavailable
from sojourn.security import Principal

ROOT = Path(__file__).parents[1]


@pytest.fixture(params=["memory", "server"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory://"
    server: Server = request.getfixturevalue("server")
    return server.url


@pytest.fixture
def store(url: str) -> Iterator[sojourn.sync.Store]:
    with sojourn.sync.open(url) as store:
        yield store


def test_names_and_results_are_the_same(store: sojourn.sync.Store) -> None:
    store.ping()
    made = store.sessions.create("shop", "ada", state={"a": 1})
    store.sessions.append(made.key, Event(author="ada", payload="hi"))
    found = store.sessions.get(made.key)
    assert found is not None
    assert [event.payload for event in found.events] == ["hi"]
    assert store.sessions.safe.get(made.key).unwrap() == found
    assert [s.key for s in store.sessions.list("shop", "ada").sessions] == [made.key]
    assert store.sessions.delete(made.key)
    assert store.stats().available


def test_a_store_that_nobody_closed_ends_its_threads(server: Server) -> None:
    def use() -> None:
        store = sojourn.sync.open(server.url.replace("127.0.0.1", "localhost"))  # asks a thread
        key = sojourn.SessionKey.of("shop", "ada", "unclosed")
        with pytest.raises(SessionNotFound):
            store.sessions.append(key, Event(author="a", payload=1))
        threads.extend(set(threading.enumerate()) - before)

    before, threads = set(threading.enumerate()), list[threading.Thread]()
    with pytest.warns(ResourceWarning, match=r"sojourn\.sync\.Store redis://localhost.*not closed"):
        use()
    assert threads
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_store_that_was_closed_or_never_used_warns_of_nothing() -> None:
    code = (
        "import sojourn; store = sojourn.sync.open('memory://'); print(store); store.ping();"
        "store.close(); print(store); del store; sojourn.sync.open('memory://')"
    )
    command = [sys.executable, "-W", "always", "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "<sojourn.sync.Store memory:// open>",
        "<sojourn.sync.Store memory:// closed>",
    ]
    assert done.stderr == ""


def test_artifacts(store: sojourn.sync.Store) -> None:
    key = sojourn.SessionKey.of("shop", "ada", "s")
    assert store.artifacts.save(key, "a", b"1" * 600_000, mime_type="a/b") == 0
    found = store.artifacts.load(key, "a")
    assert found is not None
    assert (found.data, found.mime_type) == (b"1" * 600_000, "a/b")
    assert [each.version for each in store.artifacts.versions(key, "a")] == [0]
    assert store.artifacts.names(key) == ["a"]
    assert store.artifacts.delete(key, "a")


def test_the_doctor(server: Server) -> None:
    with sojourn.sync.open(server.url) as store:
        assert store.admin.doctor.examine().findings


def test_errors_are_the_same(store: sojourn.sync.Store) -> None:
    made = store.sessions.create("shop", "ada")
    store.sessions.delete(made.key)
    with pytest.raises(SessionNotFound):
        store.sessions.append(made.key, Event(author="a", payload=1))
    with pytest.raises(InvalidInput):
        store.sessions.create("", "ada")
    with pytest.raises(AttributeError):
        _ = store.nothing  # pyright: ignore[reportAttributeAccessIssue]


def test_history(store: sojourn.sync.Store) -> None:
    history = store.history("chat")
    history.append("user", "Hello!")
    assert [message.as_dict() for message in history.last(5)] == [
        {"role": "user", "content": "Hello!"}
    ]
    history.clear()
    assert history.all() == []


def test_memory(store: sojourn.sync.Store) -> None:
    ada = store.memory.user("ada", app="shop")
    version = ada.put("likes", "green parrots")
    found = ada.entry("likes")
    assert found is not None
    assert found.version == version
    assert [hit.entry.key for hit in ada.search("parrot")] == ["likes"]
    assert store.admin.memory.scopes("user", app="shop").names == ["ada"]
    made = store.sessions.create("shop", "ada", title="Birds")
    store.remember(made.key, end=True)
    about = store.memory.sessions("ada", app="shop").get(made.key.session)
    assert (about["title"], about["status"]) == ("Birds", "ended")


def test_what_the_cache_computes_runs_in_the_callers_thread(store: sojourn.sync.Store) -> None:
    where: list[int] = []

    @store.cache.cached()
    def double(x: int) -> int:
        where.append(threading.get_ident())
        return 2 * x

    assert (double(2), double(2), double(3)) == (4, 4, 6)
    assert where == [threading.get_ident()] * 2
    with pytest.raises(ZeroDivisionError):
        store.cache.fetch("broken", lambda: 1 / 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        store.cache.fetch("stopped", lambda: next(iter(())))
    assert store.cache.fetch("broken", lambda: 1) == 1
    assert store.cache.stats().misses == 5


def test_a_stale_result_is_computed_anew_behind_the_scenes(store: sojourn.sync.Store) -> None:
    runs: list[int] = []
    again = threading.Event()

    def step() -> int:
        runs.append(1)
        if len(runs) == 2:
            again.set()
        return len(runs)

    assert store.cache.fetch("entry", step, ttl=0.02, stale=100) == 1
    while store.cache.get("entry") is not None:
        pass
    assert store.cache.fetch("entry", step, ttl=100, stale=100) == 1
    assert again.wait(10)


def test_an_async_function_is_refused(store: sojourn.sync.Store) -> None:
    with pytest.raises(InvalidInput, match="async"):

        @store.cache.cached()
        async def work() -> None: ...


def test_many_threads(store: sojourn.sync.Store) -> None:
    made = store.sessions.create("shop", "ada")
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda n: store.sessions.append(made.key, Event(author="a", payload=n)), range(80)
            )
        )
    found = store.sessions.get(made.key)
    assert found is not None
    assert sorted(event.payload for event in found.events) == list(range(80))


async def test_inside_a_running_loop_and_its_worker_threads(store: sojourn.sync.Store) -> None:
    made = await asyncio.to_thread(store.sessions.create, "shop", "ada")
    assert store.sessions.get(made.key) is not None  # as in a notebook's cell


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork(server: Server) -> None:
    code = f"""
import os, sojourn.sync
store = sojourn.sync.open({server.url!r})
key = store.sessions.create("shop", "ada").key
child = os.fork()
for n in range(20):
    store.sessions.append(key, sojourn.Event(author="child" if child == 0 else "parent", payload=n))
if child == 0:
    store.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
events = store.sessions.get(key).events
for who in ("child", "parent"):
    print([e.payload for e in events if e.author == who] == list(range(20)))
store.close()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "True\nTrue\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_threads_of_a_child_do_not_take_the_parents_thread(server: Server) -> None:
    code = f"""
import os, threading, sojourn.sync
from sojourn import process
store = sojourn.sync.open({server.url!r})
key = store.sessions.create("shop", "ada").key
opening, go_on = threading.Event(), threading.Event()
real = process.open
def slow(url):
    opening.set()
    assert go_on.wait(10)
    return real(url)
child = os.fork()
if child == 0:
    process.open = slow
    found = []
    get = lambda: found.append(store.sessions.get(key))
    threads = [threading.Thread(target=get, daemon=True) for _ in range(2)]
    threads[0].start()
    assert opening.wait(10)
    threads[1].start()
    threads[1].join(0.5)
    go_on.set()
    for thread in threads:
        thread.join(10)
    os._exit(len(found) != 2)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
store.close()
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "0\n"


def test_a_destructor_that_runs_when_python_ends_does_not_hang(server: Server) -> None:
    code = f"""
import sojourn.sync
class Agent:
    def __init__(self, last):
        self.store, self.last = sojourn.sync.open({server.url!r}), last
        self.store.sessions.create("shop", "ada")
    def __del__(self):
        if self.last:
            self.store.sessions.count("shop", "ada")
        self.store.close()
closes, calls = Agent(last=False), Agent(last=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=20
    )
    assert done.stderr.count("Error") + done.stderr.count("Closed") == 1
    assert "sojourn.errors.Closed: Python is ending" in done.stderr


def test_a_hook_that_calls_is_told_so(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """It runs in the thread that makes the calls, which would wait for itself."""
    with sojourn.sync.open(server.url) as ours:
        key = ours.sessions.create("shop", "ada").key
        ours.on_call(lambda fact: ours.ping())
        assert ours.sessions.get(key) is not None
    assert "wait for itself" in caplog.text


def test_no_server(url: str) -> None:
    with (
        sojourn.sync.open("redis://127.0.0.1:1", operation_timeout=0.2) as store,
        pytest.raises(Unavailable),
    ):
        store.sessions.create("shop", "ada")


def test_a_closed_store_leaves_no_thread(url: str) -> None:
    before = set(threading.enumerate())
    with sojourn.sync.open(url) as store:
        store.sessions.create("shop", "ada")
    assert {each for each in threading.enumerate() if each.name == "sojourn sync"} <= before


def test_notices(server: Server) -> None:
    with sojourn.sync.open(server.url, notices=True) as store:
        key = store.sessions.create("shop", "ada", "s").key
        cursor = store.notices.latest("shop", "ada")
        for _ in range(3):
            store.sessions.append(key, Event(author="a", payload=1))
        told = store.notices.read("shop", "ada")
        assert [each.version for each in told] == [1, 2, 3, 4]
        notices = store.notices.subscribe("shop", "ada", after=cursor)
        assert [next(notices) for _ in range(3)] == told[1:]
        notices.close()
        with pytest.raises(sojourn.InvalidInput):
            store.notices.subscribe("shop", "ada", after="x")
        done = store.batch.append([(key, [Event(author="a", payload=1)])])
        assert len(done) == 1
        assert list(store.batch.get([key])) == [key]


@pytest.mark.parametrize("url", ["memory://", ""])
def test_closing_ends_who_waits_in_another_thread(server: Server, url: str) -> None:
    store = sojourn.sync.open(url or server.url, notices=True)
    ended: list[Exception] = []

    def listen() -> None:
        try:
            for _ in store.notices.subscribe("shop", "ada"):
                started.set()
        except sojourn.Closed as error:
            ended.append(error)

    started = threading.Event()
    thread = threading.Thread(target=listen)
    thread.start()
    while not started.is_set():
        store.sessions.create("shop", "ada")
    store.close()
    thread.join(10)
    assert len(ended) == 1


def test_a_users_handle(store: sojourn.sync.Store) -> None:
    guard = store.guard()
    for ada in (store.user("shop", "handled"), guard.user(Principal.of("shop", "handled"))):
        session = ada.sessions.create(state={"a": 1}).key.session
        ada.history(session).append("user", "Hello!")
        assert [each.content for each in ada.history(session).all()] == ["Hello!"]
        new = ada.rotate(session).key.session
        assert ada.sessions.get(session) is None
        assert ada.sessions.get(new).state == {"a": 1}
        ada.artifacts.save("plan", b"data", session=new)
        assert ada.artifacts.names(session=new) == ["plan"]
        assert ada.memory.get("k") is None
        where = ada.cache.fetch(f"of {new}", threading.get_ident)
        assert where == threading.get_ident()
        assert ada.sessions.delete(new)
    assert guard.stats().total_failed_attempts == 0
    assert guard.user(Principal.of("shop", "bob")).sessions.get("never-was") is None
    assert guard.stats().total_failed_attempts == 1


def test_many_sessions_and_the_calls_for_operators(store: sojourn.sync.Store) -> None:
    keys = [store.sessions.create("many", "ada").key for _ in range(2)]
    done = store.batch.append([(key, [Event(author="user", payload=1)]) for key in keys])
    assert [each.version for each in done] == [2, 2]
    assert list(store.batch.get(keys)) == keys
    assert store.batch.safe.get(keys).status == "ok"
    assert store.adapters.begin(keys[0], Event(author="user", payload=2)).version == 3
    assert store.admin.users("many").names == ["ada"]
    assert store.admin.revoke_user("many", "ada").sessions == 2
    assert store.admin.forget("ada", app="many").erased["sessions"] == 0


def test_the_stub_is_up_to_date() -> None:
    subprocess.run([sys.executable, ROOT / "scripts/sync_stub.py", "--check"], check=True)
