"""Exit codes: a failed command prints one line on stderr, never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum

import typer

from sojourn.errors import (
    ConfigurationError,
    InvalidArchive,
    InvalidInput,
    SessionNotFound,
    SojournError,
)
from sojourn.surfaces.cli.console import note


class ExitCode(IntEnum):
    """Exit codes, as `HELP` documents them."""

    OK = 0
    NOT_FOUND = 1
    NEEDS_CHANGE = 1
    WRONG_INPUT = 2
    SERVER = 3
    STOPPED = 130


HELP = (
    "Exit codes: 0 done; 1 there is no such session or record; 2 wrong usage, input or "
    "configuration; 3 the server is unavailable or refuses, or the session cannot be read; 130 "
    "stopped by Ctrl-C or by the answer no."
)
EPILOG = "Put -- before an APP, USER or SESSION that starts with a dash; an empty USER is ''."


class Ended(Exception):
    """A command ends early with a message and an exit code."""

    def __init__(self, message: str, code: ExitCode) -> None:
        self.code = code
        super().__init__(message)


@contextmanager
def one_line_errors() -> Generator[None]:
    """Turn what a command raises into a line on stderr and an exit code."""
    try:
        yield
        sys.stdout.flush()  # so that a reader who has left is noticed here
    except Ended as end:
        note(str(end))
        raise typer.Exit(end.code) from end
    except SojournError as error:
        note(f"error: {error}")
        raise typer.Exit(_code_of(error)) from error
    except KeyboardInterrupt as stop:
        raise typer.Exit(ExitCode.STOPPED) from stop
    except BrokenPipeError as gone:
        _forget_stdout()
        raise typer.Exit(ExitCode.OK) from gone


def _code_of(error: SojournError) -> ExitCode:
    if isinstance(error, SessionNotFound):
        return ExitCode.NOT_FOUND
    if isinstance(error, ConfigurationError | InvalidInput | InvalidArchive):
        return ExitCode.WRONG_INPUT
    return ExitCode.SERVER


def _forget_stdout() -> None:
    """Let the interpreter's own last flush go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
