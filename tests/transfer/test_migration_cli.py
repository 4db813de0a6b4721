"""`sojourn migrate` as the real command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from migration_kit import Origin, is_unchanged

import sojourn
from servers import Server, until

pytest_plugins = ["migration_servers"]

SOJOURN = (sys.executable, "-m", "sojourn", "migrate")


@pytest.fixture
async def store(shared_server: Server, namespace: str) -> AsyncIterator[sojourn.Sojourn]:
    """Where the command puts it."""
    async with sojourn.open(shared_server.url, namespace=namespace) as store:
        yield store


@pytest.fixture
def command(origin: Origin, shared_server: Server, namespace: str) -> Callable[..., Any]:
    def run(*words: str, source: str = origin.url) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*SOJOURN, source, f"{shared_server.url}?namespace={namespace}", *words],
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            env={**os.environ, "COLUMNS": "200"},
            timeout=60,
            check=False,
        )

    return run


async def test_a_dry_run_shows_what_is_there(
    origin: Origin, command: Any, store: sojourn.Sojourn
) -> None:
    origin.say("a", "one", "two")
    origin.say("b", "three")
    origin.client.rpush("session:b", b"\x80\x05pickled")
    before = origin.image()
    done = command("--dry-run")
    assert done.returncode == 1, done.stderr
    head, row, *rest = done.stdout.splitlines()
    assert head.split() == ["app", "users", "sessions", "events", "state", "memories", "results"]
    assert row.split() == ["history", "2", "2", "3", "0", "0", "0"]
    assert "2 to be written, 1 refused" in rest[0]
    assert "1 refused  `pickle` data: never loaded" in rest[1]
    assert "session:b message 2" in rest[2]
    assert is_unchanged(before, origin.image())
    assert (await store.admin.apps()).names == []


async def test_it_asks_first(origin: Origin, command: Any, store: sojourn.Sojourn) -> None:
    origin.say("a", "one")
    done = command()
    assert done.returncode == 2
    assert "Bring along 1 record to" in done.stderr
    assert "Nothing was written." in done.stderr
    assert (await store.admin.apps()).names == []


async def test_it_brings_along_and_compares(
    origin: Origin, command: Any, store: sojourn.Sojourn
) -> None:
    origin.say("a", "one", "two")
    done = command("--yes")
    assert done.returncode == 0, done.stderr
    assert "1 written" in done.stdout
    assert "1 record the same on both sides" in done.stdout
    assert "layout history" in done.stderr
    assert [each.content for each in await store.history("a").all()] == ["one", "two"]
    again = command("--yes")
    assert again.returncode == 0
    assert "1 already here" in again.stdout
    assert "nothing to bring along" in again.stderr


def test_an_app_and_a_lifetime_may_be_named(origin: Origin, command: Any) -> None:
    origin.say("a", "one", ttl=None)
    assert "1 session without an end there" in command("--dry-run").stdout
    done = command("--yes", "--app", "chat", "--ttl", "900")
    assert "without an end" not in done.stdout
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[0] == "chat"


@pytest.mark.parametrize(
    ("words", "source", "said"),
    [
        (["--layout", "nothing"], None, "There is no layout 'nothing'"),
        ([], None, "No key on"),
        ([], "memory://", "memory:// is the memory of this process"),
        ([], "sqlite:///nowhere.db", "There is no SQLite file 'nowhere.db'"),
        (["--layout", "vana"], "sqlite:///nowhere.db", "A layout is one of keys on a server"),
        ([], "mysql://localhost/x", "sqlalchemy"),
        ([], "postgresql://a:b/c@localhost/x", "no URL of PostgreSQL's"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    origin: Origin, command: Any, words: list[str], source: str | None, said: str
) -> None:
    done = command(*words, source=source or origin.url)
    assert done.returncode == 2
    assert said.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_several_layouts_come_along_in_one_run(
    origin: Origin, command: Any, shared_server: Server, namespace: str
) -> None:
    origin.say("a", "one")
    origin.put("vana:memory:agent:a:b", {"data": 1})
    origin.put("agentic_flywheel:session:f", {"session_id": "f"})
    origin.client.sadd("session:neither", "x")
    done = command("--yes")
    assert "layout agentic-flywheel, history, vana" in done.stderr
    assert done.returncode == 1, "what none of them can read is told"
    assert done.stdout.count("session:neither") == 2, "once in the plan, once in the verdict"
    with sojourn.sync.open(shared_server.url, namespace=namespace) as store:
        assert [each.content for each in store.history("a").all()] == ["one"]
        assert store.memory.agent("a").list().entries


def test_sojourns_own_data_need_no_migration(
    origin: Origin, command: Any, shared_server: Server
) -> None:
    with sojourn.sync.open(origin.url, namespace="ours") as store:
        store.sessions.create("shop", "ada")
    done = command("--yes")
    assert done.returncode == 2
    assert "is Sojourn's own, and needs no migration" in done.stderr
    assert "sojourn export" in done.stderr


def test_a_source_that_does_not_answer_is_told(command: Any) -> None:
    done = command("--yes", "--layout", "history", source="redis://127.0.0.1:1")
    assert done.returncode == 3
    assert "127.0.0.1:1" in done.stderr


def test_a_second_run_finishes_what_a_killed_one_has_begun(
    origin: Origin, command: Any, shared_server: Server, namespace: str
) -> None:
    names = [f"s{n}" for n in range(600)]
    for name in names:
        origin.say(name, "one", "two", "three")
    target = f"{shared_server.url}?namespace={namespace}"
    process = subprocess.Popen([*SOJOURN, origin.url, target, "--yes"], stdout=subprocess.DEVNULL)
    with shared_server.client() as behind:
        until(
            "some sessions have arrived",
            lambda: len(list(behind.scan_iter(f"{namespace}:session:*:events", 1000))) > 50,
        )
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        arrived = len(list(behind.scan_iter(f"{namespace}:session:*:events", 1000)))
    assert arrived < len(names)
    done = command("--yes")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "600 records the same on both sides" in done.stdout
    with sojourn.sync.open(shared_server.url, namespace=namespace) as store:
        for name in names:
            said = store.history(name).all()
            assert [each.content for each in said] == ["one", "two", "three"]
