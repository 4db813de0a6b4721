"""The `sojourn` command that groups of commands register with, and the help that they share."""

from __future__ import annotations

import typer

from sojourn.rooms import ROOMS, register_installed
from sojourn.surfaces.cli.exits import HELP

_END = "<!-- -->"
"""Ends a list: older versions of typer join paragraphs by single line ends."""


LOOK, CHECK, MOVE, SERVE = "Look into a store", "Check a server", "Move and erase", "Serve"
"""Parts of the list of commands, in this order."""


def group(name: str, help: str, part: str = LOOK) -> typer.Typer:  # noqa: A002 - typer's word
    """Register a group of commands, `sojourn NAME …`."""
    commands = typer.Typer(rich_markup_mode="markdown", epilog=HELP)
    app.add_typer(commands, name=name, help=help, rich_help_panel=part)
    return commands


def epilog(*examples: str, more: str = "", codes: str = HELP) -> str:
    """What stands below a command's options: examples, remarks, and exit codes.

    Args:
        examples: commands as people type them, each shorter than a line of a terminal.
        more: a paragraph of its own.
        codes: the paragraph on exit codes.
    """
    shown = (f"- `{example}`" for example in examples)
    return "\n\n".join(part for part in ("Examples:", *shown, _END, more, codes) if part)


app = typer.Typer(
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog=epilog(
        "sojourn doctor redis://localhost:6379",
        "sojourn sessions ls --app shop",
        "sojourn adk web --session_service_uri=redis://localhost:6379 AGENTS",
    ),
)
"""`sojourn`. A module registers its commands when `app.py` imports it, in the order of the help."""
_known = set[str]()


def add_commands() -> None:
    """Register the commands of all rooms that have none yet."""
    register_installed()
    for room in ROOMS:
        if room.name not in _known:
            _known.add(room.name)
            room.commands()
