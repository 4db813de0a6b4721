"""Clients of an embedded server in processes of their own, and looks at its processes and locks."""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import redis

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
