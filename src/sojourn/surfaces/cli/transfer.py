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

import sojourn
from sojourn.errors import Conflict, Undecodable
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import bar, note, show, write_json
from sojourn.surfaces.cli.exits import Ended, ExitCode, one_line_errors
from sojourn.surfaces.cli.options import Json, Keys, Namespace, OnlyApp, OnlyUser, Url
from sojourn.surfaces.cli.plain import counted, moment, visible
from sojourn.surfaces.cli.root import MOVE, epilog
from sojourn.surfaces.cli.root import app as root
from sojourn.transfer import Counts, PassedOver, export, import_, verify
from sojourn.transfer import Progress as Told
from sojourn.transfer.locking import read_passphrase

HELP_TRANSFER = (
    "Exit codes: 0 done; 1 done but for records that cannot be read, or that are something else "
    "where they were to be imported; 2 wrong usage, input, configuration, archive or key of it; 3 "
    "the server is unavailable or refuses: run it again, it goes on; 130 stopped by Ctrl-C."
)

_records = partial(counted, one="record")

File = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only what was changed since: 2026-01-31T12:00, or seconds."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Only what was changed before.")]


Passphrase = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="PATH",
        show_default=False,
        help="A file, which only you can read, with the passphrase of the archive.",
    ),
]


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
        "sojourn export shop.sealed --passphrase-file secret.txt",
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
    passphrase_file: Passphrase = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="In plain text, though the store has keys.")
    ] = False,
    skip_corrupt: Annotated[
        bool,
        typer.Option(
            "--skip-corrupt",
            help="Exit with 0 though records could not be read, or not by this command.",
        ),
    ] = False,
    keys: Keys = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Write sessions, state, memories and artifacts into a file, as they are.

    Run it again after a crash, with the same file: it goes on where it stopped. It reads only.
    Sealed content is opened, and with keys, or a passphrase, the archive is sealed as a whole.
    """
    with connect(url, namespace, keys=keys) as store:
        passphrase = _passphrase(passphrase_file)
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
                    passphrase=passphrase,
                    plain=plain,
                    told=note,
                    watch=shown.show,
                )
            )
        if as_json:
            rest = {**_rest(done.bytes, done.seconds), "sealed_by": done.sealed or None}
            write_json([{**_figures(done.counts), **rest}])
        else:
            went_on = ", going on where an earlier run had stopped" if done.resumed else ""
            sealed = f", sealed with {done.sealed}" if done.sealed else ""
            show(
                f"Exported {_sum(done.counts, done.bytes, done.seconds)} to {file}{sealed}"
                f"{went_on}."
            )
    unreadable, newer = done.counts.unreadable, done.counts.newer
    if unreadable:
        note(
            f"{_records(unreadable)} could not be read and are not in the archive, which names them"
        )
    if newer:
        note(
            f"{_records(newer)} can only be read by a newer version of Sojourn, or with keys that "
            "are not here, and are not in the archive, which names them: export with that version, "
            "or with --keys"
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
    passphrase_file: Passphrase = None,
    archive_keys: Annotated[
        str | None,
        typer.Option(
            "--archive-keys",
            metavar="FILE",
            show_default=False,
            help="The file of master keys that opens the archive, if others than the store's.",
        ),
    ] = None,
    keys: Keys = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Write what `sojourn export` has written into another store, or the same.

    The whole file is made sure of first. Run it again after a crash: nothing is doubled.
    """
    if check:
        ring = archive_keys or keys or sojourn.Settings().arguments.get("keys")
        _check(file, max_line_bytes, passphrase_file, ring, as_json=as_json)
        return
    with connect(url, namespace, keys=keys) as store:
        passphrase = _passphrase(passphrase_file)
        with _bar() as shown, _exit_codes():
            done = store.run(
                import_(
                    *(store.store, file),
                    existing=existing.value,
                    passphrase=passphrase,
                    keys=archive_keys,
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
    except Undecodable as error:  # the archive: records of the store are told one by one
        raise Ended(f"error: {error}", ExitCode.WRONG_INPUT) from error


def _passphrase(file: Path | None) -> str | None:
    return None if file is None else read_passphrase(file)


def _check(
    file: Path, max_line_bytes: int, passphrase: Path | None, keys: str | None, *, as_json: bool
) -> None:
    import asyncio  # noqa: PLC0415 - only here a command has no connection

    with one_line_errors():
        with _bar() as shown, _exit_codes():
            checking = verify(
                file,
                passphrase=_passphrase(passphrase),
                keys=keys,
                max_line_bytes=max_line_bytes,
                watch=shown.show,
            )
            found = asyncio.run(checking)
        if as_json:
            passed = {"passed_over": to_builtins(found.passed_over)}
            write_json(
                [
                    {
                        **_figures(found.counts),
                        "bytes": found.bytes,
                        "sealed_by": found.sealed or None,
                        **passed,
                    }
                ]
            )
        else:
            made = f"of {found.source}, begun {moment(found.created)}"
            made += f", sealed with {found.sealed}" if found.sealed else ""
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
