"""`sojourn metrics`: for people, for programs, and for Prometheus."""

from __future__ import annotations

import asyncio
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from cli_kit import Cli
from prometheus_client.parser import text_string_to_metric_families

import sojourn
from servers import Server
from sojourn import Event

USERS = 5


@pytest.fixture
def filled(cli: Cli) -> Cli:
    async def fill() -> None:
        async with sojourn.open(cli.url, namespace=cli.namespace) as store:
            for number in range(USERS):
                made = await store.sessions.create("shop", f"user-{number}")
                await store.sessions.append(made.key, Event(author="a", payload="x" * 3000))
            await store.memory.user("user-0", app="shop").put("tea", "green")

    asyncio.run(fill())
    return cli


def samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def test_for_people_it_fits_eighty_columns(filled: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = filled.run("metrics")
    assert ran.code == 0
    assert all(len(line) <= 80 for line in ran.out.splitlines())
    assert f"{USERS} sessions of {USERS} users in 1 app." in ran.out
    assert re.search(r"^sessions +events +5 +1\d\.\d KiB$", ran.out, re.MULTILINE)


def test_for_prometheus_and_for_programs_it_says_the_same(filled: Cli) -> None:
    ran = filled.run("metrics", "--format", "text")
    (document,) = filled.run("metrics", "--format", "json").documents
    found = {(name, labels.get("kind")): value for name, labels, value in samples(ran.out)}
    assert found["sojourn_server_sessions", None] == document["sessions"] == USERS
    assert found["sojourn_server_users", None] == document["users"] == USERS
    assert document["exact"]
    for each in document["kinds"]:
        if each["room"] != "other":  # of other tests, at the same time
            assert found["sojourn_server_keys", each["kind"]] == each["keys"]
            assert found["sojourn_server_memory_bytes", each["kind"]] == each["size"]
    assert document["rooms"]["memory"] > 0
    assert "user-0" not in ran.out
    assert filled.namespace not in ran.out


def test_a_sample_says_that_it_is_one(filled: Cli) -> None:
    ran = filled.run("metrics", "--keys", "10")
    assert ran.code == 0
    assert re.search(r"10 of [\d,]+ keys were looked at: .* estimates", ran.err)
    assert "~" in ran.out
    none = filled.run("metrics", "--keys", "0", "--format", "text")
    assert f"sojourn_server_sessions {USERS}\n" in none.out
    assert "sojourn_server_keys{" not in none.out


def test_it_is_served_until_ctrl_c_also_when_the_server_was_down(server: Server) -> None:
    process = Cli(f"{server.url}?operation_timeout=0.5", "").start(
        *("metrics", "--listen", "127.0.0.1:0")
    )
    try:
        assert process.stderr is not None
        said = next(line for line in process.stderr if "serving" in line)
        url = said.partition("serving ")[2].partition(";")[0]
        server.stop()
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(url, timeout=10)
        assert "error: " in next(iter(process.stderr))
        server.start()
        for _ in range(2):
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                assert b"sojourn_server_sessions 0\n" in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url.replace("/metrics", "/"), timeout=10)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130


def test_a_server_that_is_down_is_no_figure(cli: Cli) -> None:
    ran = Cli("redis://127.0.0.1:1?operation_timeout=0.2", cli.namespace).run("metrics")
    assert (ran.code, ran.out) == (3, "")


@pytest.mark.parametrize("listen", ["nowhere", "127.0.0.1:http", "127.0.0.1:70000"])
def test_where_it_cannot_listen_is_said(cli: Cli, listen: str) -> None:
    ran = cli.run("metrics", "--listen", listen)
    assert ran.code == 2
    assert "HOST:PORT" in ran.err
