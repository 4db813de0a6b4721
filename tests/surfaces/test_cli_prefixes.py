"""Short forms of ids: taken where one id begins so, and never where something ends by it."""

from __future__ import annotations

import os
import pty

import pytest
from cli_kit import SECONDS, Cli

from sojourn import Event, SessionKey


@pytest.fixture
def keys(cli: Cli) -> list[SessionKey]:
    return [cli.create("shop", "ada", name) for name in ("8e42-a", "8e42-b", "9f*1", "9fxx1")]


def test_show_and_tail_take_a_short_form(cli: Cli, keys: list[SessionKey]) -> None:
    cli.append(keys[3], Event(author="user", payload="hello"))

    ran = cli.run("sessions", "show", "shop", "ada", "9fx", "--json")

    assert ran.documents[0]["session"] == "9fxx1"
    assert "sojourn: 9fx is short for session 9fxx1 of user ada of app shop" in ran.err
    process = cli.start("sessions", "tail", "shop", "ada", "9fx", "--json")
    with process:
        assert '"hello"' in process.stdout.readline()
        process.terminate()
        process.wait(SECONDS)


def test_an_ambiguous_form_names_what_it_may_mean(cli: Cli, keys: list[SessionKey]) -> None:
    ran = cli.run("sessions", "show", "shop", "ada", "8e")

    assert (ran.code, ran.out) == (2, "")
    said = "sojourn: error: several sessions begin with 8e: 8e42-a, 8e42-b"
    assert ran.err.splitlines()[1:] == [said]
    for number in range(6):
        cli.create("shop", "ada", f"many-{number}")
    assert "many-4, …" in cli.run("sessions", "show", "shop", "ada", "many").err


def test_a_whole_id_is_itself_and_signs_are_no_patterns(cli: Cli, keys: list[SessionKey]) -> None:
    cli.create("shop", "ada", "8e42")

    def shown(session: str) -> str:
        return cli.run("sessions", "show", "shop", "ada", session, "--json").documents[0]["session"]

    assert shown("8e42") == "8e42"
    assert shown("9f*") == "9f*1"
    for none in ("8?", "*", "8e42-a-", "x" * 500):
        ran = cli.run("sessions", "show", "shop", "ada", none)
        assert ran.code == 1, none
        assert "there is no session" in ran.err
    assert cli.run("sessions", "show", "shop", "bob", "8e42").code == 1


@pytest.mark.parametrize("command", ["rm", "revoke"])
def test_nothing_ends_by_a_short_form_that_nobody_confirms(cli: Cli, command: str) -> None:
    """Or a script that deletes order-1 twice would delete order-17."""
    key = cli.create("shop", "ada", "order-17")
    for yes in ([], ["--yes"]):
        ran = cli.call("sessions", command, "shop", "ada", "order-1", *yes)
        assert ran.code == 1
        assert cli.exists(key)
    assert "order-17 begins so" in cli.call("sessions", "rm", "shop", "ada", "order-1").err


@pytest.mark.parametrize("command", ["rm", "revoke"])
@pytest.mark.parametrize("answer", ["y", "n"])
def test_who_confirms_it_may_delete_by_a_short_form(cli: Cli, command: str, answer: str) -> None:
    key = cli.create("shop", "ada", "8e42")
    ours, theirs = pty.openpty()
    process = cli.start("sessions", command, "shop", "ada", "8e", stdin=theirs)
    with process:
        os.write(ours, f"{answer}\n".encode())
        _, said = process.communicate(timeout=SECONDS)
    os.close(ours)
    os.close(theirs)
    assert "session 8e42 of user ada of app shop" in said
    assert cli.exists(key) is (answer == "n")
    if command == "rm":
        assert process.returncode == (0 if answer == "y" else 130)
