"""Help, examples, completion, and how wide the output of every command is."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from cli_kit import SECONDS, SOJOURN, Cli

from sojourn.surfaces.cli.root import app


def commands(command: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command with its words; groups are not."""
    for name, each in getattr(command, "commands", {}).items():
        if hasattr(each, "commands"):
            yield from commands(each, *words, name)
        else:
            yield (*words, name), each


ROOT: Any = typer.main.get_command(app)
COMMANDS = dict(commands(ROOT))


def examples(command: Any) -> list[str]:
    found = command.epilog.split("\n\n")
    assert found[0] == "Examples:"
    return [each[3:-1] for each in found if each.startswith("- `")]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_has_examples_that_parse(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    assert examples(command)
    for example in examples(command):
        assert len(example) <= 74, "it would wrap"
        said = shlex.split(example)
        assert said[: len(words) + 1] == ["sojourn", *words]
        if words != ("adk",):
            command.make_context("sojourn", said[len(words) + 1 :])


@pytest.mark.parametrize("words", [(), *COMMANDS], ids=" ".join)
def test_help_fits_and_shows_the_examples(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    if words == ("adk",):
        return  # ADK's own
    ran = Cli("", "").run(*words, "--help")
    assert ran.code == 0
    assert all(len(line) <= 80 for line in ran.out.splitlines())
    for example in examples(COMMANDS.get(words, ROOT)):
        assert example in ran.out


def test_the_list_of_commands() -> None:
    shown = Cli("", "").run().out
    for name in ("sessions", "memory", "artifacts", "cache", "stats", "adk", "token", "mcp"):
        assert f"│ {name} " in shown
    assert "--install-completion" in shown


def test_groups_alone_show_their_help() -> None:
    for group in ("sessions", "memory", "artifacts", "cache", "quarantine", "user"):
        ran = Cli("", "").run(group)
        assert (ran.code, f"Usage: sojourn {group}" in ran.out) == (0, True)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("se", {"security", "sessions"}), ("sessions ", {"ls", "show", "rm"}), ("ad", {"adk"})],
)
def test_completion(typed: str, offered: set[str]) -> None:
    environment = {
        **os.environ,
        "_SOJOURN_COMPLETE": "complete_bash",
        "COMP_WORDS": f"sojourn {typed}",
        "COMP_CWORD": str(len(f"{typed}.".split())),
    }
    done = subprocess.run(
        SOJOURN, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert offered <= set(done.stdout.split())


def test_completion_can_be_shown_for_a_shell() -> None:
    environment = {**os.environ, "_SOJOURN_COMPLETE": "source_bash"}
    done = subprocess.run(
        SOJOURN, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert "_SOJOURN_COMPLETE=complete_bash" in done.stdout


def test_adk_names_what_is_added_to_it() -> None:
    done = subprocess.run(
        [*SOJOURN, "adk", "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    for name in ("sojourn adk init DIR", "sojourn adk token USER", "sojourn adk web", "api_server"):
        assert name in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
