"""Event loops that are left behind, nested or patched: no connection, thread or line remains.

Each in a process of its own, as it would be in somebody's program.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from servers import Server

LOOPS = 30

CODE = """
import asyncio, gc, os, sys, redis, sojourn
url, how = sys.argv[1:]
store = sojourn.open(url)
kept = []
async def work(number):
    await store.sessions.create("loops", f"{how}-{number}")
for number in range(LOOPS):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(work(number))
    if how == "closed":
        loop.close()
    if how == "kept":
        kept.append(loop)
    del loop
gc.collect()
left = len(kept) * 3  # what a loop has of its own
print(len(os.listdir("/proc/self/fd")) - left)
for loop in kept:  # each goes on where it was
    loop.run_until_complete(work(0))
    loop.close()
"""


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="it counts descriptors in /proc")


@LINUX
@pytest.mark.parametrize("how", ["closed", "dropped", "kept"])
def test_they_leave_no_connection_and_no_line(shared_server: Server, how: str) -> None:
    code = CODE.replace("LOOPS", str(LOOPS))
    done = subprocess.run(
        [sys.executable, "-c", code, shared_server.url, how],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert int(done.stdout) < LOOPS


HALFWAY = """
import asyncio, redis, sojourn, warnings
warnings.simplefilter("ignore", ResourceWarning)  # of the loops themselves
url = sys.argv[1]
store, server = sojourn.open(url, operation_timeout=30), redis.Redis.from_url(url)
def script():
    loop = asyncio.new_event_loop()
    loop.run_until_complete(store.ping())
    server.execute_command("CLIENT", "PAUSE", 60000, "WRITE")
    task = loop.create_task(store.sessions.create("loops", "halfway"))
    task._log_destroy_pending = False
    loop.run_until_complete(asyncio.sleep(0.05))
    assert not task.done()
    server.execute_command("CLIENT", "UNPAUSE")
server.ping()
before = left()
for _ in range(20):
    script()
assert left()[0] - before[0] < 20, (before, left())
asyncio.run(store.close())
"""


@LINUX
def test_a_call_that_is_thrown_away_halfway_leaves_nothing(shared_server: Server) -> None:
    child(HALFWAY, shared_server.url)


def child(code: str, *args: str | Path) -> str:
    """What a program prints that was told nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", COUNTS + code, *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


COUNTS = """
import gc, os, sys
def left():
    gc.collect()
    fds = [os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    links = [os.readlink(fd) for fd in fds if os.path.islink(fd)]
    return sum(link.startswith("socket") for link in links), len(os.listdir("/proc/self/task"))
"""
"""How many sockets and threads of the system there are."""

THREADS = """
import asyncio, threading, sojourn
store, before = sojourn.open(sys.argv[1]), left()
async def work(number):
    made = await store.sessions.create("threads", f"u{number}")
    await store.sessions.append(made.key, sojourn.Event(author="a", payload=number))
def script(number):
    asyncio.run(work(number))
for number in range(20):
    threads = [threading.Thread(target=script, args=(number,)) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
asyncio.run(store.close())
assert left() == before, (before, left())
"""


@LINUX
def test_asyncio_run_in_threads(shared_server: Server) -> None:
    child(THREADS, shared_server.url)


STREAMLIT = """
import threading, types, sojourn
before = left()
script = compile('''
import asyncio, sojourn, sojourn.sync
store = sojourn.sync.default()
key = sojourn.SessionKey.of("streamlit", "ada", "s1")
session = store.sessions.ensure(*key)
store.sessions.append(key, sojourn.Event(author="ada", payload=len(session.events)))
async def beside():
    async with sojourn.open(url) as own:
        return await own.sessions.get(key)
seen.append([event.payload for event in asyncio.run(beside()).events])
async def shared():
    return (await sojourn.default().sessions.get(key)).length
lengths.append(asyncio.run(shared()))
''', "app.py", "exec")
os.environ["SOJOURN_URL"], seen, lengths = sys.argv[1], [], []
os.environ["SOJOURN_NAMESPACE"] = f"streamlit{os.getpid()}"
url = f"{sys.argv[1]}?namespace=streamlit{os.getpid()}"
for run in range(10):  # as Streamlit does: a new thread and new globals, the same modules
    names = dict(url=url, seen=seen, lengths=lengths, __name__="__main__")
    thread = threading.Thread(target=exec, args=(script, names))
    thread.start()
    thread.join()
assert seen == [list(range(run + 1)) for run in range(10)], seen
assert lengths == list(range(1, 11)), lengths
now = left()
assert now[0] < before[0] + 12 and now[1] <= before[1] + 3, (before, now)  # not with each run
import sojourn.sync
sojourn.sync.close_default()
assert left() == before, (before, left())
"""


@LINUX
def test_a_script_that_is_executed_again_and_again(shared_server: Server) -> None:
    child(STREAMLIT, shared_server.url)


NESTED = """
import asyncio
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
import nest_asyncio, sojourn, sojourn.sync
nest_asyncio.apply(loop)
before = left()
store, sync = sojourn.open(sys.argv[1]), sojourn.sync.open(sys.argv[1])
async def inner(number):
    made = await store.sessions.create("nested", f"u{number}")
    return (await store.sessions.get(made.key)).key.user
async def main(number):
    assert asyncio.run(inner(number)) == f"u{number}"
    assert await asyncio.gather(inner(1), inner(2)) == ["u1", "u2"]
    assert sync.sessions.create("nested", "s").durable
    assert asyncio.get_running_loop().run_until_complete(inner(3)) == "u3"
for number in range(10):  # cells of a notebook
    asyncio.run(main(number))
asyncio.run(store.close())
sync.close()
assert left() == before, (before, left())
"""


@LINUX
@pytest.mark.skipif(find_spec("nest_asyncio") is None, reason="nest-asyncio is not installed")
def test_nest_asyncio(shared_server: Server) -> None:
    child(NESTED, shared_server.url)


GEVENT = """
from gevent import monkey
monkey.patch_all(**eval(sys.argv[2]))
import asyncio, gevent, threading, sojourn, sojourn.sync
ticks = 0
def ticker():
    global ticks
    while True:
        gevent.sleep(0.001)
        ticks += 1
ticking = gevent.spawn(ticker)
store = sojourn.sync.open(sys.argv[1])
made = store.sessions.create("gevent", "ada")
def work(number):
    for count in range(5):
        store.sessions.append(made.key, sojourn.Event(author="a", payload=[number, count]))
async def beside():
    async with sojourn.open(sys.argv[1]) as own:
        return (await own.sessions.get(made.key)).length
before = ticks
gevent.joinall([gevent.spawn(work, number) for number in range(10)], raise_error=True)
assert ticks > before, "other greenlets stood still"
assert asyncio.run(beside()) == 50  # while the sync store is open
threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
ticking.kill()
assert asyncio.run(beside()) == 65  # and the hub has nothing else to do
assert store.cache.fetch(made.key.session, lambda: gevent.sleep(0.01) or 3) == 3
try:
    store.sessions.get("none")
except sojourn.InvalidInput:
    pass
def forever():
    while True:
        store.ping()
killed = gevent.spawn(forever)
gevent.sleep(0.05)
killed.kill()
store.close()
before = left()
for _ in range(5):
    with sojourn.sync.open(sys.argv[1]) as store:
        store.ping()
assert left() == before, (before, left())
import warnings
warnings.simplefilter("ignore", ResourceWarning)
store = sojourn.sync.open(sys.argv[1])
store.ping()  # and it is left open
"""


@LINUX
@pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")
@pytest.mark.parametrize("patch", ["{}", "{'thread': False}"], ids=["all", "no threads"])
def test_gevent(shared_server: Server, patch: str) -> None:
    child(GEVENT, shared_server.url, patch)


DROPPED = """
from gevent import monkey
monkey.patch_all()
import gevent, sojourn, sojourn.sync
from sojourn.sync import crossing
here = monkey.get_original("_thread", "get_ident")
ours, closed = here(), []
class Watched:
    def __init__(self, watcher):
        self.watcher, self.send = watcher, watcher.send
    def close(self):
        closed.append(here() == ours)
        self.watcher.close()
make = crossing._GreenBox.__init__
def made(box):
    make(box)
    box._watcher = Watched(box._watcher)
crossing._GreenBox.__init__ = made
store = sojourn.sync.open(sys.argv[1])
missing, held = sojourn.SessionKey.of("gevent", "ada", "none"), []
def work():
    for count in range(30):
        try:
            store.sessions.append(missing, sojourn.Event(author="a", payload=count))
        except sojourn.SessionNotFound as error:
            held.append(error)  # its frames were in the other thread
        if count % 10 == 0:
            held.clear()
gevent.joinall([gevent.spawn(work) for _ in range(10)], raise_error=True)
store.close()
held.clear()
gevent.sleep(0.01)
assert len(closed) > 50, len(closed)
assert all(closed), closed.count(False)
"""


@LINUX
@pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")
def test_what_belongs_to_a_hub_is_closed_in_its_thread(shared_server: Server) -> None:
    child(DROPPED, shared_server.url)


SUITE = """
import gc, pytest, sojourn
store = sojourn.open(URL)
@pytest.fixture
async def session():
    made = await store.sessions.create("loops", "ada")
    yield made.key
    await store.sessions.delete(made.key)
@pytest.fixture
async def own():
    async with sojourn.open(URL) as own:
        yield own
@pytest.mark.parametrize("number", range(8))
async def test_each_in_a_loop_of_its_own(session, own, number):
    await store.sessions.append(session, sojourn.Event(author="a", payload=number))
    assert (await own.sessions.get(session)).length == 1
def test_nothing_is_left():
    gc.collect()
    assert store.stats().outages == 0
"""


@pytest.mark.parametrize("plugin", ["anyio", "asyncio"])
def test_the_loops_of_pytest(shared_server: Server, tmp_path: Path, plugin: str) -> None:
    if plugin == "asyncio" and find_spec("pytest_asyncio") is None:
        pytest.skip("pytest-asyncio is not installed")
    (tmp_path / "test_suite.py").write_text(SUITE.replace("URL", repr(shared_server.url)))
    options = {
        "anyio": ("-p", "anyio", "-o", "anyio_mode=auto"),
        "asyncio": (
            *("-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto"),
            *("-W", "ignore::pytest.PytestDeprecationWarning"),
        ),
    }
    command = (sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider")
    done = subprocess.run(
        [*command, *options[plugin]],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert "9 passed in" in done.stdout, done.stdout  # and no warnings
