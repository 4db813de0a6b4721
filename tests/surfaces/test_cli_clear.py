"""`sojourn sessions clear`: who is counted, asked and spared."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from cli_kit import SECONDS, Cli, Lines

import sojourn
from sojourn import SessionKey


@pytest.fixture
def keys(cli: Cli) -> dict[str, SessionKey]:
    """Five sessions of two apps."""
    places = [("shop", "ada"), ("shop", "ada"), ("shop", ""), ("shop", "bob"), ("travel", "ada")]
    return {f"s{n}": cli.create(*place, f"s{n}") for n, place in enumerate(places)}


def left(cli: Cli) -> set[str]:
    return {each["session"] for each in cli.run("sessions", "ls", "--json").documents}


@contextmanager
def asked(cli: Cli, *words: str) -> Iterator[tuple[subprocess.Popen[str], int, Lines]]:
    """The command at a terminal, and what stands on it."""
    ours, its = pty.openpty()
    process = cli.start("sessions", "clear", *words, stdin=its, stderr=its, start_new_session=True)
    os.close(its)
    try:
        yield process, ours, Lines(_characters(ours))
    finally:
        process.kill()
        process.communicate()
        os.close(ours)


def interrupted(process: subprocess.Popen[str]) -> int:
    """Press Ctrl-C, again if need be: Python forgets one that comes just before it reads."""
    for _ in range(SECONDS):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(5)
    raise AssertionError("Ctrl-C does not end it")


def _characters(terminal: int) -> Iterator[str]:
    """What stands on a terminal up to each colon or line end: a prompt has no newline."""
    text = ""
    while True:
        try:
            read = os.read(terminal, 1).decode(errors="replace")
        except OSError:  # the other side is closed
            return
        text += read
        if read in ":\n":
            yield text
            text = ""


@pytest.mark.parametrize(
    ("words", "spared", "said"),
    [
        (["--app", "shop", "--user", "ada"], {"s2", "s3", "s4"}, "2 sessions of 1 user"),
        (["--app", "shop", "--user", ""], {"s0", "s1", "s3", "s4"}, "1 session of 1 user"),
        (["--app", "shop"], {"s4"}, "4 sessions of 3 users"),
        (["--all"], set(), "5 sessions of 4 users"),
    ],
)
def test_clear_deletes_what_it_was_told(
    cli: Cli, keys: dict[str, SessionKey], words: list[str], spared: set[str], said: str
) -> None:
    ran = cli.run("sessions", "clear", "--yes", *words)

    assert ran.code == 0
    assert said in ran.out
    assert cli.url in ran.out
    assert "State of users and apps stays." in ran.out
    assert left(cli) == spared


def test_shared_state_stays(cli: Cli) -> None:
    cli.create("shop", "ada", "s1", state={"user:lang": "en"})

    cli.run("sessions", "clear", "--all", "--yes")

    assert cli.fill(lambda store: store.sessions.user_state("shop", "ada")) == {"lang": "en"}


def test_nothing_to_clear_is_no_error(cli: Cli) -> None:
    ran = cli.run("sessions", "clear", "--app", "shop")

    assert ran.code == 0
    assert "no sessions of app shop" in ran.out


def test_without_a_terminal_it_wants_yes(cli: Cli, keys: dict[str, SessionKey]) -> None:
    for ran in (cli.call("sessions", "clear", "--all"), cli.run("sessions", "clear", "--all")):
        assert ran.code == 2
        assert "--yes" in ran.err
        assert "5 sessions of 4 users" in ran.err
    assert left(cli) == set(keys)


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 130), ("", 130), ("\x04", 130)])
def test_at_a_terminal_it_asks(
    cli: Cli, keys: dict[str, SessionKey], answer: str, code: int
) -> None:
    with asked(cli, "--app", "shop") as (process, terminal, lines):
        lines.until("State of users and apps stays. [y/N]:")
        os.write(terminal, f"{answer}\n".encode() if answer != "\x04" else b"\x04")
        assert process.wait(SECONDS) == code
        out = process.stdout.read()
    assert ("Deleted 4 of 4 sessions" in out) == (code == 0)
    assert left(cli) == ({"s4"} if code == 0 else set(keys))


def test_ctrl_c_at_the_question_deletes_nothing(cli: Cli, keys: dict[str, SessionKey]) -> None:
    with asked(cli, "--all") as (process, _, lines):
        lines.until("[y/N]:")
        assert interrupted(process) == 130
    assert left(cli) == set(keys)


def test_clear_of_many_pages(cli: Cli) -> None:
    async def many(store: sojourn.Sojourn) -> None:
        for number in range(1000):
            await store.sessions.create("shop", f"user {number % 3}", f"s{number}")

    cli.fill(many)

    ran = cli.run("sessions", "clear", "--app", "shop", "--yes")

    assert "Deleted 1,000 of 1,000 sessions of 3 users" in ran.out
    assert left(cli) == set()


def test_hostile_names_are_asked_about_safely(cli: Cli) -> None:
    cli.create("a\x1b[2J\n[red]", "ada", "s1")

    ran = cli.run("sessions", "clear", "--app", "a\x1b[2J\n[red]")

    assert ran.code == 2
    assert r"app a\x1b[2J\n[red]" in ran.err
    assert "\x1b" not in ran.err
