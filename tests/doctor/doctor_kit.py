"""Servers that are set up badly on purpose, and what the doctor says of them."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

import redis

import sojourn
from servers import Server
from sojourn.calls.call import Call
from sojourn.doctor.checks import CHECKS
from sojourn.doctor.model import Finding, Level
from sojourn.doctor.probe import probe
from sojourn.doctor.reading import ProbeRequest, Reading, ServerAddress
from sojourn.engine.engine import Engine
from sojourn.engine.multiplexer import Timeouts
from sojourn.engine.server import Server as Target
from sojourn.rooms import StoreKeys
from sojourn.telemetry import Hooks

OK, ADVICE, UNKNOWN, WARNING, PROBLEM = Level
SECONDS = 20
PATIENT: Any = {
    "retry": redis.retry.Retry(redis.backoff.ConstantBackoff(0.02), 500),
    "retry_on_error": [redis.ConnectionError, OSError],
}


class Loading(Server):
    """A server that is still loading its data when it counts as started."""

    def _wait_until_it_answers(self) -> None:
        with redis.Redis.from_url(self.url, **PATIENT) as client:
            assert client.info("persistence")["loading"] == 1


class WithoutHello(Server):
    """A server whose HELLO was renamed: clients must not begin with it."""

    def _wait_until_it_answers(self) -> None:
        with redis.Redis.from_url(self.url, **PATIENT, protocol=2) as client:
            client.ping()


class Sentinel(Server):
    """A Sentinel that watches nothing; it wants its configuration in a file."""

    def start(self) -> Server:
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "sentinel.conf"
        configuration.write_text(f"port {self.port}\ndir {self.folder}\n")
        command = [self.binary, str(configuration), "--sentinel"]
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait_until_it_answers()
        return self


def examined(url: str, *, namespace: str = "", **options: Any) -> dict[str, Finding]:
    """The doctor's findings, by the names of the checks."""

    async def examine() -> dict[str, Finding]:
        async with sojourn.open(url, namespace=namespace) as store:
            report = await store.admin.doctor.examine(**options)
            return {finding.check: finding for finding in report.findings}

    return asyncio.run(examine())


def read(
    url: str, *, before: Callable[[Call[Any]], object] = lambda _: None, **options: Any
) -> Reading:
    """What the doctor reads, before anyone judges it; `before` sees each call first."""

    async def reading() -> Reading:
        target = Target.at(url, connect_timeout=5)
        engine = Engine(target, timeouts=Timeouts(5), hooks=Hooks())

        async def run(call: Call[Any]) -> Any:
            before(call)
            return await engine.run(call)

        try:
            return await probe(
                run, ServerAddress.of(engine.where), StoreKeys(), ProbeRequest(), **options
            )
        finally:
            await engine.close()

    return asyncio.run(reading())


def judged(reading: Reading) -> dict[str, Finding]:
    """What the checks say of a reading."""
    found = [check.run(reading) for check in CHECKS]
    return {finding.check: finding for finding in found if finding is not None}


def until(what: Callable[[], Any]) -> Any:
    """Wait for a state of a server, which tells nobody when it gets there."""
    deadline = time.monotonic() + SECONDS
    while not (seen := what()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)
    return seen


def by_name(server: Server) -> str:
    """The server's URL by this machine's name, which is not known to be loopback."""
    return server.url.replace("127.0.0.1", socket.gethostname())


def own_addresses() -> str:
    """Loopback, and what this machine's name stands for, which may be the same."""
    return " ".join({"127.0.0.1", socket.gethostbyname(socket.gethostname())})
