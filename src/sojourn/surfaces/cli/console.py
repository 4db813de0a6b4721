"""Console output: data goes to stdout, notes to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn

from sojourn.surfaces.cli.plain import one_line

_UNBOUNDED = 1_000_000
"""Columns when nobody looks: a line is a session, however long, for grep and awk."""


_LONGEST = 1000
"""Characters of a note: what was given may be of any length."""


class _Output(Console):
    """Leaves a reader's leaving to the caller; rich would end the process with 1."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def output() -> Console:
    """The console for data, as wide as the terminal."""
    wide = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else _UNBOUNDED
    return _Output(width=wide, markup=False, emoji=False, highlight=False)


def show(*renderables: RenderableType) -> None:
    """Write data for people."""
    console = output()
    for each in renderables:
        console.print(each, crop=False)
    sys.stdout.flush()


def bar(*columns: ProgressColumn) -> Progress:
    """A bar on stderr, if that is a terminal; gone when it is over."""
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def write_json(documents: Iterable[Mapping[str, Any]]) -> None:
    """Write data for programs: one JSON object a line, in ASCII, so that no byte needs trust."""
    for document in documents:
        sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def note(message: str) -> None:
    """Say something on stderr, on one line; of what is very long, the beginning and the end."""
    text = one_line(message)
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"
    sys.stderr.write(f"sojourn: {text}\n")
    sys.stderr.flush()
