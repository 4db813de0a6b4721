"""A real Prometheus with the files of `deploy/`: every expression of the dashboard has data.

It needs Debian's `prometheus` and runs in `make test-all`.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, start_http_server
from test_deploy_files import DEPLOY, alerts, expressions

import sojourn
from servers import CI, NotHere, Server, any_binary, free_port, until
from sojourn import Event, Sojourn
from sojourn.security import AccessLog, Principal
from sojourn.telemetry import prometheus

WINDOW = "15s"
SECONDS = 60


def program(name: str) -> str:
    """A program of Debian's package `prometheus`."""
    found = shutil.which(name)
    if found is None:
        raise NotHere(f"{name} is not installed (apt install prometheus)")
    return found


@pytest.fixture
def programs() -> dict[str, str]:
    try:
        return {name: program(name) for name in ("prometheus", "promtool")}
    except NotHere as missing:
        if CI:
            pytest.fail(str(missing))
        pytest.skip(str(missing))


class Prometheus:
    """The server, with the files of `deploy/` but for targets and intervals."""

    def __init__(self, binary: str, folder: Path, targets: dict[str, str]) -> None:
        text = (DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8")
        for before, now in targets.items():
            assert before in text
            text = text.replace(before, now)
        text = re.sub(r"(scrape|evaluation)_interval: \d+s", r"\1_interval: 1s", text)
        text = re.sub(r"scrape_timeout: \d+s", "scrape_timeout: 1s", text)
        (folder / "prometheus.yml").write_text(text)
        shutil.copy(DEPLOY / "prometheus" / "alerts.yml", folder)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.process = subprocess.Popen(
            [
                *(binary, f"--config.file={folder / 'prometheus.yml'}"),
                *(f"--storage.tsdb.path={folder / 'data'}", "--log.level=error"),
                f"--web.listen-address={self.url.removeprefix('http://')}",
            ]
        )

    def ask(self, path: str, **words: str) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(words)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{words}: {error.read().decode()}") from error

    def values(self, expression: str) -> list[float]:
        """The values of an expression now, but for those that are no number."""
        found = self.ask("query", query=expression)["result"]
        values = [float(each["value"][1]) for each in found]
        return [value for value in values if math.isfinite(value)]

    def is_ready(self) -> bool:
        assert self.process.poll() is None
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/-/ready", timeout=10):
            return True
        return False

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def full_server(tmp_path: Path) -> Iterator[Server]:
    options = ["--maxmemory", "100mb", "--maxmemory-policy", "noeviction"]
    server = Server(tmp_path / "server", any_binary(), options).start()
    yield server
    server.close()


@pytest.fixture
def figures(full_server: Server) -> Iterator[str]:
    """Where `sojourn metrics --listen` serves."""
    command = [sys.executable, "-m", "sojourn", "metrics", full_server.url]
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, encoding="utf-8"
    )
    assert process.stderr is not None
    found = None
    for line in process.stderr:
        if found := re.search(r"http://(127.0.0.1:\d+)/metrics", line):
            break
    assert found is not None
    yield found[1]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


async def damage(server: Server, store: Sojourn) -> None:
    """A record that cannot be read, found by a process that has not seen it before."""
    made = await store.sessions.create("shop", "damaged")
    await store.sessions.append(made.key, Event(author="a", payload=1))
    with server.client() as client:
        client.lset(f"session:{{shop:damaged}}:{made.key.session}:events", 0, "no event")


@asynccontextmanager
async def traffic(store: Sojourn) -> AsyncIterator[None]:
    """An agent at work until the end of `async with`."""
    mallory = store.guard(log=AccessLog(SINK)).user(Principal.of("shop", "mallory"))

    async def work() -> None:
        made = await store.sessions.create("shop", "ada")
        number = 0
        while True:
            number += 1
            await store.sessions.append(made.key, Event(author="a", payload={"n": number}))
            await store.sessions.get(made.key, last=5)
            await store.cache.get(f"rome-{number % 3}")
            await store.cache.put("rome-1", {"sky": "clear"})
            await store.memory.user("ada", app="shop").put("tea", {"kind": "green"})
            await store.sessions.safe.append(
                sojourn.SessionKey("shop", "ada", "none"), Event(author="a", payload=1)
            )
            await mallory.sessions.get(secrets.token_hex(8))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(work())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


REGISTRY = CollectorRegistry()
SINK = prometheus.access_sink(REGISTRY)


async def test_every_expression_of_the_dashboard_has_data(
    full_server: Server, figures: str, programs: dict[str, str], tmp_path: Path
) -> None:
    http, thread = start_http_server(0, addr="127.0.0.1", registry=REGISTRY)
    (folder := tmp_path / "prometheus").mkdir()
    targets = {
        "host.docker.internal:9464": f"127.0.0.1:{http.server_port}",
        "metrics:9465": figures,
    }
    watching = Prometheus(programs["prometheus"], folder, targets)
    try:
        async with sojourn.open(full_server.url, operation_timeout=0.5) as store:
            await damage(full_server, store)
            prometheus.register(store, registry=REGISTRY)
            async with sojourn.open(full_server.url) as other, traffic(store):
                prometheus.register(other, name="other", registry=REGISTRY)
                assert (await other.sessions.list("shop", "damaged")).sessions
                for each in (await other.sessions.list("shop", "damaged")).sessions:
                    await other.sessions.get(each.key)
                await asyncio.to_thread(until, "Prometheus is ready", watching.is_ready)
                missing = await asyncio.to_thread(unanswered, watching)
            assert missing == {}
            assert watching.values('sojourn_server_keys{kind="quarantine"}') == [1]
            assert watching.values("sum(sojourn_quarantined_records_total)") == [1]
            groups = watching.ask("rules")["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            assert len(rules) == len(alerts())
            assert {rule["health"] for rule in rules} == {"ok"}
            full_server.stop()
            with pytest.raises(sojourn.Unavailable):
                await ping_on(store)
            await asyncio.to_thread(until, "the outage is seen", lambda: alerted(watching), 30)
    finally:
        watching.close()
        http.shutdown()
        http.server_close()
        thread.join()


async def ping_on(store: Sojourn) -> None:
    while True:
        await store.ping()


def unanswered(watching: Prometheus) -> dict[str, str]:
    """Panels without data, after some time in which they could get it."""
    missing: dict[str, str] = {}

    def all_answered() -> bool:
        missing.clear()
        for title, expression in expressions():
            asked = expression.replace("$store", ".*").replace("$__rate_interval", WINDOW)
            if not watching.values(asked):
                missing[title] = asked
        return not missing

    with suppress(TimeoutError):
        until("every expression has data", all_answered, SECONDS)
    return missing


def alerted(watching: Prometheus) -> bool:
    return bool(watching.values('ALERTS{alertname="SojournUnavailable"}'))


def test_the_files_are_sound_and_each_alert_fires_when_it_should(
    programs: dict[str, str], tmp_path: Path
) -> None:
    for name in ("prometheus.yml", "alerts.yml"):
        shutil.copy(DEPLOY / "prometheus" / name, tmp_path)
    shutil.copy(Path(__file__).parent / "alerts.test.yml", tmp_path)
    for words in (
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts.test.yml"),
    ):
        done = subprocess.run(
            [programs["promtool"], *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_exported_is_sound(figures: str, programs: dict[str, str]) -> None:
    with urllib.request.urlopen(f"http://{figures}/metrics", timeout=20) as answer:
        text = answer.read()
    done = subprocess.run(
        [programs["promtool"], "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
