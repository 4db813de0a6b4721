"""`sojourn user`: what a store keeps about a user, to hand out and to forget."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sojourn.ids import parse_app, parse_user
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import note, write_json
from sojourn.surfaces.cli.exits import EPILOG, HELP, Ended, ExitCode
from sojourn.surfaces.cli.options import Namespace, OnlyApp, Url, User, Yes
from sojourn.surfaces.cli.plain import visible
from sojourn.surfaces.cli.removal import confirm
from sojourn.transfer.user import export

commands = typer.Typer(rich_markup_mode="markdown", epilog=HELP)


@commands.command("export", epilog=f"{EPILOG}\n\n{HELP}")
def _export(
    user: User,
    *,
    app: OnlyApp = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A new file that only you can read; else stdout."
        ),
    ] = None,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Write everything about a user, one JSON object a line: kind, key and value."""
    with connect(url, namespace) as store:
        parse_user(user)
        with _into(output) as write:
            counts = store.run(export(store.store, user, write, app=app))
        found = ", ".join(f"{count:,} {kind}" for kind, count in counts.items()) or "nothing"
        note(f"exported {found} of user {visible(user)}")


@commands.command("forget", epilog=f"{EPILOG}\n\n{HELP}")
def _forget(
    user: User,
    *,
    app: OnlyApp = None,
    yes: Yes = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Delete everything about a user, in all apps or in one, after asking.

    Sessions, state, memories, artifacts, notices, quarantined records and cache entries. The
    receipt on stdout is a JSON object without content. Stopped half-way, run it again: it finishes.
    """
    with connect(url, namespace) as store:
        parse_user(user)
        where = "all apps" if app is None else f"app {visible(parse_app(app))}"
        if not yes:
            confirm(f"Forget user {visible(user)} in {where} on {store.where}, for good?")
        write_json([store.run(store.store.forget(user, app=app))._asdict()])


@contextmanager
def _into(output: Path | None) -> Generator[Callable[[str], object]]:
    """Where an export goes. A file that is not whole is not left behind."""
    if output is None:
        yield sys.stdout.write
        sys.stdout.flush()
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        file = os.fdopen(os.open(output, flags, 0o600), "w", encoding="utf-8")
    except OSError as error:
        raise Ended(
            f"error: {output} cannot be written ({error.strerror}): name a file that is not there "
            "yet.",
            ExitCode.WRONG_INPUT,
        ) from error
    try:
        with file:
            yield file.write
    except BaseException:
        output.unlink(missing_ok=True)
        raise
