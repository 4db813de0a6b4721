"""`sojourn …`: the commands, each from the module that registers it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any

import typer

import sojourn
from sojourn.surfaces.cli.console import note
from sojourn.surfaces.cli.exits import ExitCode
from sojourn.surfaces.cli.root import add_commands, app

_GROUPS = (
    ".quarantine",
    ".users",
    ".stats",
    ".doctor",
    ".metrics",
    ".security",
    ".transfer",
    ".migration",
    ".adk",
    ".serve",
    ".mcp",
    ".token",
)
"""Modules that register other commands than those of rooms, in the order of the help."""

add_commands()
for _home in _GROUPS:
    import_module(_home, __package__)


def main(arguments: Sequence[str]) -> None:
    """Run one command. Ends the process.

    Args:
        arguments: what stands behind `sojourn`; nothing, or a group alone, shows the help.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # a stream that a test or a host has replaced
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    add_commands()
    words = list(arguments)
    if words in ([], *([each.name] for each in app.registered_groups)):
        words.append("--help")
    try:
        code = typer.main.get_command(app).main(words, "sojourn", standalone_mode=False)
    except _WrongUsage as error:
        said = error.format_message().rstrip(".")
        stop = "" if said.endswith("?") else "."
        note(f"error: {said}{stop} Try: {_command_of(error)} --help")
        code = error.exit_code
    except typer.Abort:
        code = ExitCode.STOPPED
    sys.exit(code or ExitCode.OK)


_WrongUsage: Any = typer.BadParameter.__mro__[2]
"""click's `ClickException`: newer versions of typer have a click of their own."""


def _command_of(error: Any) -> str:
    context = getattr(error, "ctx", None)
    return "sojourn" if context is None else context.command_path


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sojourn {sojourn.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Sessions, memory, artifacts and cache of AI agents in Redis or Valkey.

    Commands look into the store at --url, else into that of the environment (SOJOURN_URL,
    REDIS_URL, REDIS_HOST), else into embedded:.sojourn.
    """
