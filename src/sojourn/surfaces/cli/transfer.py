"""`sojourn export` and `sojourn import`: a store into a file, and a file into a store."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from msgspec import to_builtins
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from sojourn.errors import Conflict, NewerFormat
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import bar, note, show, write_json
from sojourn.surfaces.cli.exits import Ended, ExitCode, one_line_errors
from sojourn.surfaces.cli.options import Json, Namespace, OnlyApp, OnlyUser, Url
from sojourn.surfaces.cli.plain import counted, moment, visible
from sojourn.surfaces.cli.root import MOVE, epilog
from sojourn.surfaces.cli.root import app as root
from sojourn.transfer import Counts, PassedOver, export, import_, verify
from sojourn.transfer import Progress as Told

HELP_TRANSFER = (
    "Exit codes: 0 done; 1 done but for records that cannot be read, or that are something else "
    "where they were to be imported; 2 wrong usage, input, configuration or archive; 3 the server "
    "is unavailable or refuses: run it again, it goes on; 130 stopped by Ctrl-C."
)

_records = partial(counted, one="record")

File = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only what was changed since: 2026-01-31T12:00, or seconds."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Only what was changed before.")]


class Existing(StrEnum):
    """What to do with what is there and is something else."""

    SKIP = "skip"
    FAIL = "fail"
    REPLACE = "replace"


@root.command(
    "export",
    rich_help_panel=MOVE,
    epilog=epilog(
        "sojourn export shop.jsonl --app shop",
        "sojourn export new.jsonl --since 2026-01-31T12:00",
        codes=HELP_TRANSFER,
    ),
)
def export_to(
    file: File,
    *,
    app: OnlyApp = None,
    user: OnlyUser = None,
    since: Since = None,
    until: Until = None,
    cache: Annotated[bool, typer.Option("--cache", help="Cached values, too.")] = False,
    skip_corrupt: Annotated[
        bool,
        typer.Option(
            "--skip-corrupt",
            help="Exit with 0 though records could not be read, or by a newer version only.",
        ),
    ] = False,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Write sessions, state, memories and artifacts into a file, as they are.

    Run it again after a crash, with the same file: it goes on where it stopped. It reads only.
    """
    with connect(url, namespace) as store:
        times = _instant(since, "--since"), _instant(until, "--until")
        with _bar() as shown, _exit_codes():
            done = store.run(
                export(
                    *(store.store, file),
                    app=app,
                    user=user,
                    since=times[0],
                    until=times[1],
                    cache=cache,
                    told=note,
                    watch=shown.show,
                )
            )
        if as_json:
            write_json([{**_figures(done.counts), **_rest(done.bytes, done.seconds)}])
        else:
            went_on = ", going on where an earlier run had stopped" if done.resumed else ""
            show(f"Exported {_sum(done.counts, done.bytes, done.seconds)} to {file}{went_on}.")
    unreadable, newer = done.counts.unreadable, done.counts.newer
    if unreadable:
        note(
            f"{_records(unreadable)} could not be read and are not in the archive, which names them"
        )
    if newer:
        note(
            f"{_records(newer)} can only be read by a newer version of Sojourn and are not in the "
            "archive, which names them: export with that version"
        )
    if (unreadable or newer) and not skip_corrupt:
        raise typer.Exit(ExitCode.NEEDS_CHANGE)


@root.command(
    "import",
    rich_help_panel=MOVE,
    epilog=epilog(
        "sojourn import shop.jsonl --check",
        "sojourn import shop.jsonl --url redis://localhost:6379",
        codes=HELP_TRANSFER,
    ),
)
def import_from(
    file: File,
    *,
    existing: Annotated[
        Existing, typer.Option(help="What to do with what is there and is something else.")
    ] = Existing.SKIP,
    check: Annotated[
        bool, typer.Option("--check", help="Only make sure of the file; asks no server.")
    ] = False,
    max_line_bytes: Annotated[
        int, typer.Option(min=1, metavar="N", help="The longest line that is read.")
    ] = 64 * 1024 * 1024,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Write what `sojourn export` has written into another store, or the same.

    The whole file is made sure of first. Run it again after a crash: nothing is doubled.
    """
    if check:
        _check(file, max_line_bytes, as_json=as_json)
        return
    with connect(url, namespace) as store:
        with _bar() as shown, _exit_codes():
            done = store.run(
                import_(
                    *(store.store, file),
                    existing=existing.value,
                    max_line_bytes=max_line_bytes,
                    told=note,
                    watch=shown.show,
                )
            )
        others = {
            "identical": done.identical,
            "conflicts": done.conflicts,
            "newer_there": done.newer,
            "expired": done.expired,
        }
        if as_json:
            passed = {"passed_over": to_builtins(done.passed_over)}
            rest = _rest(done.bytes, done.seconds)
            write_json([{**_figures(done.counts), **others, **rest, **passed}])
        else:
            show(
                f"Imported {_sum(done.counts, done.bytes, done.seconds)} from {file} into "
                f"{store.where}; {done.identical:,} were there already, {done.conflicts:,} were "
                f"something else, {done.expired:,} had expired."
            )
        _tell_passed_over(done.passed_over)
    if done.newer or (done.conflicts and existing is Existing.SKIP):
        raise typer.Exit(ExitCode.NEEDS_CHANGE)


@contextmanager
def _exit_codes() -> Generator[None]:
    """Those that these commands have for errors of their own."""
    try:
        yield
    except Conflict as error:
        raise Ended(f"error: {error}", ExitCode.NEEDS_CHANGE) from error
    except NewerFormat as error:  # of the archive: records of the store are told one by one
        raise Ended(f"error: {error}", ExitCode.WRONG_INPUT) from error


def _check(file: Path, max_line_bytes: int, *, as_json: bool) -> None:
    import asyncio  # noqa: PLC0415 - only here a command has no connection

    with one_line_errors():
        with _bar() as shown, _exit_codes():
            found = asyncio.run(verify(file, max_line_bytes=max_line_bytes, watch=shown.show))
        if as_json:
            passed = {"passed_over": to_builtins(found.passed_over)}
            write_json([{**_figures(found.counts), "bytes": found.bytes, **passed}])
        else:
            made = f"of {found.source}, begun {moment(found.created)}"
            show(f"{file} is whole: {_words(found.counts)}, {decimal(found.bytes)}; {made}.")
        _tell_passed_over(found.passed_over)


def _tell_passed_over(passed: PassedOver) -> None:
    """Name on stderr what of an archive this version does not know."""
    parts: list[str] = []
    for sort in ("lines", "members", "fields"):
        names: Mapping[str, int] = getattr(passed, sort)
        if names:
            each = ", ".join(f"{visible(name)} ({count:,})" for name, count in names.items())
            parts.append(f"{sort}: {each}")
    if parts:
        note(f"passed over, as this version of Sojourn does not know it: {'; '.join(parts)}")


class _Bar:
    """How far it is, on stderr, if that is a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, said="")
        self._turn = threading.Lock()

    def show(self, told: Told) -> None:
        """Show it."""
        counts = told.counts
        said = f"{counts.sessions:,} sessions, {counts.events:,} events, {decimal(told.bytes)}"
        with self._turn:
            self._progress.update(
                self._task,
                description=told.step,
                total=told.total,
                completed=told.bytes if told.total else 0,
                said=said,
            )


@contextmanager
def _bar() -> Generator[_Bar]:
    said = TextColumn("{task.fields[said]}")
    with bar(TextColumn("{task.description}"), BarColumn(), said, TimeElapsedColumn()) as progress:
        yield _Bar(progress)


def _instant(text: str | None, option: str) -> float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise Ended(
            f"error: {option} is a time as 2026-01-31T12:00 (local, unless it says +00:00), or "
            f"seconds since the epoch.",
            ExitCode.WRONG_INPUT,
        ) from None


def _figures(counts: Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in counts.__struct_fields__}


def _rest(size: int, seconds: float) -> dict[str, float]:
    return {"bytes": size, "seconds": round(seconds, 3)}


def _sum(counts: Counts, size: int, seconds: float) -> str:
    return f"{_words(counts)} ({decimal(size)}, {seconds:.1f} s)"


def _words(counts: Counts) -> str:
    words = f"{counts.sessions:,} sessions with {counts.events:,} events, {counts.states:,} states"
    words += f", {counts.memories:,} memories, {counts.artifacts:,} artifacts"
    return f"{words}, {counts.cached:,} cached values" if counts.cached else words
