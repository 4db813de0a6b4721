"""What goes wrong is one line on stderr and an exit code, never a traceback."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from cli_kit import Cli, Ran

from servers import Server, any_binary, free_port

COMMANDS = (
    ("ls",),
    ("show", "shop", "ada", "s1"),
    ("tail", "shop", "ada", "s1"),
    ("rm", "shop", "ada", "s1"),
    ("clear", "--all", "--yes"),
)


def error_of(ran: Ran) -> str:
    """The one line, behind the line that says what is used (if it came that far)."""
    assert "Traceback" not in ran.err
    lines = [line for line in ran.err.splitlines() if not line.startswith("sojourn: using ")]
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("sojourn: error: ")
    return lines[0]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_server_that_is_down_is_3_within_seconds(words: tuple[str, ...]) -> None:
    ran = Cli(f"redis://127.0.0.1:{free_port()}", "").call("sessions", *words)

    assert ran.code == 3
    assert "127.0.0.1" in error_of(ran)


def test_a_server_that_is_silent_is_3_within_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ran = Cli(f"redis://127.0.0.1:{silent.getsockname()[1]}", "").call("sessions", "ls")

    assert ran.code == 3
    assert error_of(ran)


def test_a_wrong_password_is_3_and_never_shown(tmp_path: Path) -> None:
    server = Server(tmp_path, any_binary(), password="secret").start()
    try:
        for url in (server.url.replace("secret", "hunter2"), server.url.replace(":secret@", "")):
            ran = Cli(url, "").run("sessions", "ls")
            assert ran.code == 3
            assert "hunter2" not in error_of(ran) + ran.err
        right = Cli(server.url, "").run("sessions", "ls")
        assert right.code == 0
        assert "secret" not in right.err
    finally:
        server.close()


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://localhost",
        "redis://host:port",
        "redis://localhost/x",
        "redis://localhost?session_ttl=soon",
        "redis://localhost?decode_responses=1",
        "memory://",
        "memory:",
        "MEMORY://?namespace=x",
        "unix://",
        "\x1b[31mredis:\n//x",
    ],
)
def test_a_wrong_url_is_2(url: str) -> None:
    ran = Cli("", "").run("sessions", "ls", "--url", url)

    assert ran.code == 2
    assert error_of(ran).isprintable()


def test_memory_says_why() -> None:
    assert "always be empty" in error_of(Cli("memory://", "").run("sessions", "ls"))


def test_a_wrong_variable_is_2_and_named() -> None:
    ran = Cli("", "").call("sessions", "ls", REDIS_PORT="hunter2")

    assert ran.code == 2
    assert "REDIS_PORT must be a port" in error_of(ran)
    assert "hunter2" not in ran.err


def test_a_disabled_server_has_nothing_to_show() -> None:
    ran = Cli("", "").call("sessions", "ls", REDIS_ENABLED="false")

    assert ran.code == 2
    assert "REDIS_ENABLED" in error_of(ran)


@pytest.mark.parametrize(
    "words",
    [
        ("show", "", "ada", "s1"),
        ("show", "shop", "ada", ""),
        ("rm", "shop", "x" * 600, "s1"),
        ("show", "shop", "\udcff", "s1"),
        ("ls", "--app", ""),
        ("clear",),
        ("clear", "--user", "ada"),
        ("clear", "--all", "--app", "shop"),
        ("clear", "--all", "--user", ""),
    ],
)
def test_wrong_input_is_2(cli: Cli, words: tuple[str, ...]) -> None:
    ran = cli.run("sessions", *words)

    assert ran.code == 2
    assert error_of(ran)


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("sessions", "nonsense"),
        ("sessions", "show", "shop"),
        ("sessions", "ls", "--limit", "0"),
        ("sessions", "show", "a", "b", "c", "--last", "-1"),
        ("sessions", "tail", "a", "b", "c", "--interval", "0"),
        ("sessions", "ls", "--nonsense"),
    ],
)
def test_wrong_usage_is_2(cli: Cli, words: tuple[str, ...]) -> None:
    ran = cli.run(*words)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("sojourn: error: ")
    assert re.search(r"\. Try: sojourn [a-z ]*--help$", ran.err)


def test_a_damaged_record_is_3(server: Server) -> None:
    cli = Cli(server.url, "")
    key = cli.create("shop", "ada", "s1")
    with server.client() as client:
        client.hset("session:{shop:ada}:s1", "seq", "mine")

    ran = cli.run("sessions", "show", *key)

    assert ran.code == 3
    assert error_of(ran)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("nope", "No such command 'nope'. Try: sojourn --help"),
        ("session ls", "Did you mean 'sessions'? Try: sojourn --help"),
        ("memory nope", "No such command 'nope'. Try: sojourn memory --help"),
        ("sessions show shop", "Missing argument 'USER'. Try: sojourn sessions show --help"),
        ("sessions ls --frob", "No such option: --frob. Try: sojourn sessions ls --help"),
        ("memory ls shop ada --limit x", "'--limit'"),
    ],
)
def test_wrong_usage_is_one_line(words: str, said: str) -> None:
    ran = Cli("", "").run(*words.split())
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("sojourn: error: ")
    assert said in ran.err
