"""`sojourn upgrade` and `sojourn reseal`: jobs over all records, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from sojourn.jobs.job import JobProgress, JobReport
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import bar, note, show, write_json
from sojourn.surfaces.cli.exits import ExitCode
from sojourn.surfaces.cli.options import Json, Namespace, Server, Url
from sojourn.surfaces.cli.plain import counted, prose
from sojourn.surfaces.cli.root import MOVE, epilog
from sojourn.surfaces.cli.root import app as root

_CODES = (
    "Exit codes: 0 done; 1 records were left as they are, because they cannot be read; 2 wrong "
    "usage, input or configuration; 3 the server is unavailable or refuses, or another run is "
    "under way: run it again, it goes on where it stopped; 130 stopped by Ctrl-C."
)
Rate = Annotated[
    float | None,
    typer.Option(metavar="RECORDS", min=0.001, help="At most so many records a second."),
]


@root.command(
    "upgrade",
    rich_help_panel=MOVE,
    epilog=epilog(
        "sojourn upgrade redis://localhost:6379 --to 1",
        "sojourn upgrade --to 1 --rate 500",
        codes=_CODES,
    ),
)
def _upgrade(
    server: Server = None,
    *,
    to: Annotated[
        int, typer.Option("--to", min=1, metavar="MAJOR", help="The major storage format.")
    ],
    rate: Rate = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Let a deployment write a newer storage format, and bring all records to it.

    Run it when every process has the new version: an older one cannot read what is upgraded. It
    may be stopped at any moment and run again, and agents may work meanwhile.
    """
    with connect(server or url, namespace) as store:
        with progress_bar("upgrading") as tell:
            done = store.run(store.admin.upgrade(to, rate=rate, progress=tell))
        report(done, f"{store.where} is in storage format {to}", as_json=as_json)


@root.command(
    "reseal",
    rich_help_panel=MOVE,
    epilog=epilog(
        "sojourn reseal redis://localhost:6379?compression=zstd",
        "sojourn reseal --user shop ada",
        "sojourn reseal --plain",
        codes=_CODES,
    ),
)
def _reseal(
    server: Server = None,
    *,
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Without keys, compression and serializer, as plain JSON."),
    ] = False,
    user: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--user",
            metavar="APP USER",
            help="Only what is this user's; with keys, under a new data key.",
        ),
    ] = None,
    rate: Rate = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Encode the content of all records anew, with the keys, compression and serializer of now.

    It may be stopped at any moment and run again, and agents may work meanwhile. With --user and
    keys the user gets a new data key, and the one before is removed when nothing needs it.
    """
    with connect(server or url, namespace) as store:
        with progress_bar("resealing") as tell:
            of = user or (None, None)
            work = store.admin.reseal(*of, plain=plain, rate=rate, progress=tell)
            done = store.run(work)
        report(done, store.where, as_json=as_json)


def report(done: JobReport, what: str, *, as_json: bool) -> None:
    """Say what a job did. Records that were left end the command with code 1."""
    if as_json:
        write_json([{**done._asdict(), "names": list(done.names), "dropped": list(done.dropped)}])
    else:
        show(Text(f"{what}: {counted(done.rewritten, 'record')} rewritten."))
        for name in done.dropped:
            show(Text(f"The data key {name} has no record any more, and was removed."))
    for name in done.names:
        note(f"left as it is: {prose(name)}")
    if not done.complete:
        how = "it is" if done.left == 1 else "they are"
        note(f"{counted(done.left, 'record')} left as {how}")
        raise typer.Exit(ExitCode.NEEDS_CHANGE)


@contextmanager
def progress_bar(title: str) -> Generator[Callable[[JobProgress], None]]:
    """A bar on stderr, if that is a terminal; gone when it is over."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rewritten]:,} rewritten"),
    )
    with bar(*columns) as progress:
        task = progress.add_task(title, total=None, rewritten=0)

        def tell(at: JobProgress) -> None:
            name = title if at.passed == 1 else f"{title}, pass {at.passed}"
            total = max(1, at.of)
            done = at.keys if at.of else total
            progress.update(
                task, description=name, total=total, completed=done, rewritten=at.rewritten
            )

        yield tell
