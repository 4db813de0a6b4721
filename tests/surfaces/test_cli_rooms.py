"""`sojourn memory`, `artifacts`, `cache` and `stats`."""

from __future__ import annotations

import re
import shlex
import stat
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Cli

import sojourn
from sojourn import SessionKey, UserKey

LONG = "0123456789abcdef" * 5


@pytest.fixture
def filled(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    async def work(store: sojourn.Sojourn) -> None:
        await store.sessions.create("shop", "ada", "8e42")
        ada = store.memory.user("ada", app="shop")
        await ada.put("tea", {"kind": "green"}, ttl=3600, metadata={"from": "chat"})
        await ada.put(LONG, "long " * 40, text="\x1b[31mred")
        await ada.put("teapot", 1)
        await store.memory.agent("bot", app="shop").put("rule", "be kind")
        await store.artifacts.save(UserKey.of("shop", "ada"), "own.txt", b"own")
        of_session = SessionKey.of("shop", "ada", "8e42")
        for data in (b"one", b"three"):
            await store.artifacts.save(of_session, "a/b.txt", data, mime_type="text/plain")
        for tenant in ("", "ada"):
            await store.cache.put("sun", 1, tags=["weather"], tenant=tenant)

    monkeypatch.setenv("COLUMNS", "80")
    cli.fill(work)
    return cli


# ── memory ─────────────────────────────────────────────────────────────────────────────────────


def test_memory_ls_names_who_has_entries_and_what(filled: Cli) -> None:
    assert filled.run("memory", "ls", "shop").out == "ada\n"
    assert filled.run("memory", "ls", "shop", "--kind", "agent").out == "bot\n"

    def keys(*words: str) -> list[str]:
        return [each["key"] for each in filled.run("memory", "ls", "shop", "ada", *words).documents]

    assert keys("--json") == ["teapot", LONG, "tea"]
    assert keys("--json", "--oldest") == ["tea", LONG, "teapot"]
    assert keys("--json", "--prefix", "tea") == ["teapot", "tea"]
    assert keys("--json", "--limit", "2") == ["teapot", LONG]
    assert keys("--json", "--limit", "1", "--oldest") == ["tea"]
    assert "1 entry; there are more" in filled.run("memory", "ls", "shop", "ada", "--limit=1").err
    lines = filled.run("memory", "ls", "shop", "ada").out.splitlines()
    assert LONG in lines
    assert all(len(line) <= 80 for line in lines)
    lines = filled.run("memory", "ls", "shop", "ada", "--prefix", "tea").out.splitlines()
    assert lines[0].split() == ["key", "value", "updated", "expires"]
    assert lines[2].startswith('tea     {"kind": "green"}')
    assert lines[2].endswith("in 1h")


def test_memory_show_and_search(filled: Cli) -> None:
    ran = filled.run("memory", "show", "shop", "ada", "tea")
    assert '\nvalue\n    {"kind": "green"}\n' in ran.out
    assert '\nmetadata\n    {"from": "chat"}\n' in ran.out
    ran = filled.run("memory", "show", "shop", "ada", LONG)
    assert f"key      {LONG}\n" in ran.out
    assert r"\x1b[31mred" in ran.out
    (entry,) = filled.run(
        "memory", "show", "shop", "bot", "rule", "--kind=agent", "--json"
    ).documents
    assert (entry["app"], entry["kind"], entry["name"]) == ("shop", "agent", "bot")
    assert entry["value"] == "be kind"
    (hit,) = filled.run("memory", "search", "shop", "ada", "green", "--json").documents
    assert (hit["key"], hit["score"] > 0) == ("tea", True)
    assert "tea  " in filled.run("memory", "search", "shop", "ada", "green").out
    assert filled.run("memory", "search", "shop", "ada", "nothing").out == ""


def test_memory_rm(filled: Cli) -> None:
    ran = filled.run("memory", "rm", "shop", "ada", "tea")
    assert (ran.code, ran.out) == (0, "Deleted entry tea of user ada of app shop.\n")
    for command in ("rm", "show"):
        ran = filled.run("memory", command, "shop", "ada", "tea")
        assert ran.code == 1
        said = "sojourn: error: there is no entry tea of user ada of app shop"
        assert ran.err.splitlines()[1:] == [said]
    assert filled.run("memory", "ls", "shop", "nobody").out == ""


# ── artifacts ──────────────────────────────────────────────────────────────────────────────────


def test_artifacts_ls(filled: Cli) -> None:
    head, *rows = filled.run("artifacts", "ls", "shop", "ada").out.splitlines()
    assert head.split() == ["name", "session", "versions", "size", "type", "saved"]
    assert [row.split()[0] for row in rows] == ["a/b.txt", "own.txt"]
    assert rows[0].split()[1:6] == ["8e42", "2", "5", "bytes", "text/plain"]
    oldest = filled.run("artifacts", "ls", "shop", "ada", "--oldest", "--json").documents
    assert [each["name"] for each in oldest] == ["own.txt", "a/b.txt"]
    assert [each["session"] for each in oldest] == [None, "8e42"]
    assert [each["size"] for each in oldest[1]["versions"]] == [3, 5]
    for session in ("8e42", "8e"):
        ran = filled.run("artifacts", "ls", "shop", "ada", "--session", session, "--json")
        assert [each["name"] for each in ran.documents] == ["a/b.txt"]
    assert filled.run("artifacts", "ls", "shop", "ada", "--session", "no").out == ""


def test_artifacts_save_and_rm(filled: Cli, tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    name = ("shop", "ada", "a/b.txt")
    of = ("--session", "8e42")
    ran = filled.run("artifacts", "save", *name, str(path), *of)
    assert (ran.code, ran.out, path.read_bytes()) == (0, "", b"three")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = filled.run("artifacts", "save", *name, str(path), "--version", "0", *of)
    assert (again.code, path.read_bytes()) == (2, b"three")
    assert filled.call("artifacts", "save", *name, "-", "--version", "0", *of).out == "one"
    assert filled.run("artifacts", "save", *name, str(tmp_path / "no")).code == 1
    assert not (tmp_path / "no").exists()
    ran = filled.run("artifacts", "rm", *name, *of)
    said = "Deleted artifact a/b.txt of session 8e42 of user ada of app shop.\n"
    assert (ran.code, ran.out) == (0, said)
    ran = filled.run("artifacts", "rm", *name, *of)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 2


# ── cache and stats ────────────────────────────────────────────────────────────────────────────


def test_cache(filled: Cli) -> None:
    assert filled.run("cache", "stats", "--json").documents == [{"tenant": "", "entries": 1}]
    ran = filled.run("cache", "invalidate", "weather", "--tenant", "ada")
    assert ran.out.startswith("Invalidated tag weather of tenant ada on ")

    async def cached(store: sojourn.Sojourn) -> list[object]:
        return [await store.cache.get("sun", None, tenant=each) for each in ("", "ada")]

    assert filled.fill(cached) == [1, None]
    assert "1 entry of tenant nobody" not in filled.run("cache", "stats", "--tenant=nobody").out


def test_stats(filled: Cli) -> None:
    (found,) = filled.run("stats", filled.url, "--json").documents
    assert found["available"] is True
    assert found["nodes"][0]["latency"] > 0
    figures = {"app": "shop", "users": 1, "sessions": None, "events": None, "updated": None}
    assert found["apps"] == [figures]
    (found,) = filled.run("stats", "--sessions", "--json").documents
    assert (found["apps"][0]["sessions"], found["apps"][0]["events"]) == (1, 0)
    lines = filled.run("stats", "--sessions").out.splitlines()
    assert ["shop", "1", "1", "0"] in [line.split()[:4] for line in lines]
    assert filled.run("stats", filled.url, "--url", filled.url).code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("stats",),
        ("memory", "ls", "shop"),
        ("artifacts", "rm", "shop", "ada", "x"),
        ("cache", "stats"),
        ("sessions", "ls"),
    ],
    ids=" ".join,
)
def test_a_server_that_is_away_is_one_line_and_3(words: tuple[str, ...]) -> None:
    ran = Cli("redis://127.0.0.1:1?operation_timeout=0.3", "x").run(*words)
    assert (ran.code, ran.out) == (3, "")
    first, second = ran.err.splitlines()
    assert first.startswith("sojourn: using ")
    assert second.startswith("sojourn: error: ")


def test_the_guide_runs_as_it_stands(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "guides" / "command-line.md").read_text("utf-8")
    program, commands = re.findall(r"^```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    of_program = [line for line in program.splitlines() if line.startswith(("session =", "await"))]
    names: dict[str, Any] = {"sojourn": sojourn}
    body = "".join(f"    {line}\n" for line in of_program)
    exec(f"async def work(store):\n{body}", names)
    cli.fill(names["work"])
    for line in commands.replace("redis://localhost:6379", cli.url).splitlines():
        ran = cli.run(*shlex.split(line, comments=True)[1:])
        assert ran.code == 0, (line, ran.err)
    assert (
        "8e is short for session 8e42-order" in cli.run("sessions", "show", "shop", "ada", "8e").err
    )
