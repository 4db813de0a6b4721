"""`sojourn doctor`: what it shows, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_kit import Cli, Ran

from servers import Server, any_binary, free_port

BAD = ("--save", "3600 1", "--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb")
GOOD = ("--appendonly", "yes", "--appendfsync", "always")
GRAVE = {"warning", "problem"}


@pytest.fixture
def bad(tmp_path: Path) -> Iterator[Cli]:
    server = Server(tmp_path / "bad", any_binary(), BAD).start()
    yield Cli(server.url, "")
    server.close()


@pytest.fixture
def good(tmp_path: Path) -> Iterator[Cli]:
    server = Server(tmp_path / "good", any_binary(), GOOD).start()
    yield Cli(server.url, "")
    server.close()


def rows(ran: Ran) -> dict[str, str]:
    """Its lines by the check that they are of."""
    found = (line.split(maxsplit=3) for line in ran.out.splitlines())
    return {words[2]: words[3] for words in found if len(words) == 4 and words[0] in "✓•?!✗"}


def grave(ran: Ran) -> set[str]:
    """The checks that are not content; a machine under load may well be slow."""
    return {each["check"] for each in ran.documents if each["level"] in GRAVE} - {"latency"}


# ── what it shows ──────────────────────────────────────────────────────────────────────────────


def test_each_finding_is_a_line_with_a_mark_and_what_to_do(bad: Cli) -> None:
    ran = bad.run("doctor")

    assert ran.code == 1
    lines = ran.out.splitlines()
    (eviction,) = (line.rstrip() for line in lines if " eviction " in line)
    assert eviction.split()[:2] == ["✗", "problem"]
    assert eviction.endswith(" → maxmemory-policy noeviction")
    (aof,) = (line for line in lines if " aof " in line)
    assert aof.split()[:2] == ["!", "warning"]
    assert "→ redis-cli CONFIG SET appendonly yes" in aof
    (version,) = (line.rstrip() for line in lines if " version " in line)
    assert version.split()[:2] == ["✓", "ok"]
    assert "→" not in version


def test_findings_stand_below_headings_and_are_counted(bad: Cli) -> None:
    out = bad.run("doctor").out

    headings = [line for line in out.splitlines() if line and " " not in line.rstrip()]
    assert headings == [
        *("Server", "Access", "Persistence", "Memory", "Replication", "Time", "Keys"),
    ]
    assert out.splitlines()[-1].startswith(f"{bad.url}: 1 problem, 1 warning, ")


def test_json_is_one_finding_a_line(bad: Cli) -> None:
    ran = bad.run("doctor", "--json")

    assert ran.code == 1
    assert {tuple(each) for each in ran.documents} == {
        ("group", "check", "level", "what", "todo", "node")
    }
    assert {"aof", "eviction"} <= grave(ran)
    (eviction,) = (each for each in ran.documents if each["check"] == "eviction")
    assert (eviction["group"], eviction["level"]) == ("Memory", "problem")
    assert eviction["todo"] == "maxmemory-policy noeviction"
    assert set(rows(bad.run("doctor"))) == {each["check"] for each in ran.documents}


@pytest.mark.parametrize("width", ["50", "80", "120"])
def test_a_terminal_cuts_nothing(bad: Cli, width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = "".join(bad.run("doctor").out.split())
    monkeypatch.setenv("COLUMNS", width)

    ran = bad.run("doctor")

    assert max(map(len, ran.out.splitlines())) <= int(width)
    assert ran.out.count("→") == whole.count("→")
    narrow = "".join(ran.out.split())
    for words in ("maxmemory-policynoeviction", "resetchannels"):
        assert words in whole
        assert words in narrow


def test_what_could_not_be_checked_is_one_line(tmp_path: Path) -> None:
    options = ("--appendonly", "yes", "--rename-command", "CONFIG", "")
    server = Server(tmp_path / "managed", any_binary(), options).start()
    try:
        ran = Cli(server.url, "").run("doctor", "--notifications")
    finally:
        server.close()

    (line,) = (line for line in ran.out.splitlines() if line.startswith(" ?"))
    assert "password, appendfsync, notifications: could not be checked: CONFIG GET" in line
    assert ran.out.splitlines()[-1].count("3 unknown") == 1
    assert ran.code == 0


def test_a_servers_words_cannot_run_the_terminal(server: Server) -> None:
    with server.client() as client:
        client.execute_command("REPLICAOF", "\x1b]0;title\x07\u202e[red]", 1)

    ran = Cli(server.url, "").run("doctor")

    assert "\\x1b]0;title" in ran.out
    assert ran.out.replace("\n", "").isprintable()


# ── how it ends ────────────────────────────────────────────────────────────────────────────────


def test_advice_alone_is_0(good: Cli) -> None:
    ran = good.run("doctor", "--json")

    assert "advice" in {each["level"] for each in ran.documents}
    assert grave(ran) == set()
    assert ran.code == any(each["level"] in GRAVE for each in ran.documents)


@pytest.mark.parametrize(
    ("option", "check"),
    [
        (("--appendfsync", "no"), "appendfsync"),  # a warning
        (("--min-replicas-to-write", "1"), "min-replicas"),  # a problem
    ],
)
def test_one_warning_or_one_problem_is_1(tmp_path: Path, option: tuple[str], check: str) -> None:
    server = Server(tmp_path / "server", any_binary(), (*GOOD, *option)).start()
    try:
        ran = Cli(server.url, "").run("doctor", "--json")
    finally:
        server.close()

    assert grave(ran) == {check}
    assert ran.code == 1


def test_an_embedded_server_is_0(tmp_path: Path) -> None:
    ran = Cli(f"embedded:{tmp_path / 'data'}", "").run("doctor", "--json")

    assert grave(ran) == set()
    assert {each["level"] for each in ran.documents if each["check"] != "latency"} == {"ok"}


def test_the_options_reach_the_checks(good: Cli) -> None:
    shop = Cli(good.url, "shop")
    shop.create("a", "u", "s1", state={"user:x": 1})

    assert "all 9 keys" in rows(shop.run("doctor"))["lifetimes"]
    assert "of Sojourn's 9 keys" in rows(shop.run("doctor"))["lifetimes"]
    assert "There is no key" in rows(good.run("doctor"))["lifetimes"]
    assert "(looked at 3 keys)" in rows(shop.run("doctor", "--keys", "3"))["lifetimes"]
    assert "lifetimes" not in rows(shop.run("doctor", "--keys", "0"))
    assert "~shop:*" in rows(good.run("doctor", "--namespace", "shop"))["user"]
    assert "notifications" in rows(good.run("doctor", "--notifications"))
    assert "notifications" not in rows(good.run("doctor"))


@pytest.mark.parametrize("how", ["argument", "--url", "environment"])
def test_the_url_comes_from_where_it_stands(good: Cli, how: str) -> None:
    words = {"argument": (good.url,), "--url": ("--url", good.url), "environment": ()}[how]
    cli = good if how == "environment" else Cli("redis://nowhere:1", "")

    ran = cli.run("doctor", *words)

    assert ran.out.splitlines()[-1].startswith(f"{good.url}: ")
    said = {"argument": "the argument", "environment": "SOJOURN_URL"}.get(how, how)
    assert f"using {good.url} ({said})" in ran.err


def test_two_urls_are_2(good: Cli) -> None:
    ran = good.run("doctor", good.url, "--url", good.url)

    assert (ran.code, ran.out) == (2, "")
    assert "one URL" in ran.err


@pytest.mark.parametrize("url", ["memory://", "http://localhost", "redis://localhost/x", ""])
def test_a_wrong_url_is_2(good: Cli, url: str) -> None:
    ran = good.run("doctor", url)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("sojourn: error: ")


def test_wrong_usage_is_2(good: Cli) -> None:
    assert good.run("doctor", "--keys", "-1").code == 2
    assert good.run("doctor", "a", "b").code == 2


def test_a_server_that_is_down_is_3() -> None:
    ran = Cli(f"redis://127.0.0.1:{free_port()}", "").run("doctor")

    assert (ran.code, ran.out) == (3, "")
    assert "error: No answer" in ran.err


def test_a_wrong_password_is_3_and_never_shown(tmp_path: Path) -> None:
    server = Server(tmp_path / "locked", any_binary(), password="hunter1").start()
    try:
        wrong = Cli(server.url.replace("hunter1", "hunter2"), "").run("doctor")
        right = Cli(server.url, "").run("doctor")
    finally:
        server.close()

    assert wrong.code == 3
    assert "hunter2" not in wrong.out + wrong.err
    assert "hunter1" not in right.out + right.err


def test_a_reader_who_leaves_is_no_error(good: Cli) -> None:
    with good.start("doctor", "--json") as process:
        process.stdout.close()
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()


def test_help_names_the_exit_codes(good: Cli) -> None:
    out = " ".join(good.run("doctor", "--help").out.split())

    assert "0 nothing to change, or only advice" in out
    assert "doctor" in good.run("--help").out
