"""`sojourn migrate`: look, ask, bring along, compare."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, cast

import typer
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.table import Table as Grid
from rich.text import Text

from sojourn.client import Sojourn
from sojourn.errors import ConfigurationError
from sojourn.extras import how_to_install
from sojourn.sessions import KEEP, Keep
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import bar, note, show
from sojourn.surfaces.cli.exits import ExitCode
from sojourn.surfaces.cli.listing import number_of_sessions
from sojourn.surfaces.cli.options import Namespace, Yes
from sojourn.surfaces.cli.plain import counted, prose, visible
from sojourn.surfaces.cli.removal import confirm
from sojourn.surfaces.cli.root import MOVE, epilog
from sojourn.surfaces.cli.root import app as root
from sojourn.surfaces.cli.tables import Column, Table
from sojourn.transfer.migration import (
    LAYOUTS,
    MigrationReport,
    Outcome,
    ReadEvent,
    ReadThreads,
    Source,
    SqliteFile,
    migrate,
    source_at,
)

HELP_MIGRATE = (
    "Exit codes: 0 everything is here; 1 something was refused, differs or was still being "
    "written; 2 wrong usage, input or configuration; 3 a server is unavailable or refuses: run it "
    "again, it goes on where it stopped; 130 stopped by Ctrl-C or by the answer no."
)
_COLUMNS = ("users", "sessions", "events", "state", "memories", "results")
_POSTGRES = ("postgres", "postgresql")
"""Schemes of libpq's, without a driver of SQLAlchemy's."""
_NAMED = 20
"""Records that are named one by one."""
_records = partial(counted, one="record")


@root.command(
    "migrate",
    rich_help_panel=MOVE,
    epilog=epilog(
        "sojourn migrate redis://old redis://new --dry-run",
        "sojourn migrate sqlite:///sessions.db redis://localhost:6379",
        codes=HELP_MIGRATE,
    ),
)
def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FROM",
            show_default=False,
            help="redis://… and its kin, sqlite:///FILE, postgresql://…, or a URL of SQLAlchemy's.",
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(metavar="TO", show_default=False, help="The store, as for --url elsewhere."),
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is there and what would be done.")
    ] = False,
    layout: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Of the keys on a server: {', '.join(LAYOUTS)}."),
    ] = None,
    app: Annotated[
        str | None, typer.Option(metavar="APP", help="The app of what names none at the source.")
    ] = None,
    ttl: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.001,
            help="How long sessions live here after each change; else what is left at the source.",
        ),
    ] = None,
    yes: Yes = False,
    namespace: Namespace = None,
) -> None:
    """Bring along the sessions of another program. The source is only read.

    It looks first and asks. What is here already is compared and not written again, so it may be
    stopped and run again: once while the old program works, and once more when it has ended.
    """
    with connect(target, namespace, said_by="TO") as here:
        life: float | Keep = KEEP if ttl is None else ttl

        def run(title: str, total: int | None, **options: Any) -> MigrationReport:
            with _progress(title, total) as progress:
                work = _migrated(here.store, source, layout, app, progress, ttl=life, **options)
                return here.run(work)

        seen = run("looking", None, dry_run=True)
        show(*_overview(seen))
        if not dry_run and _work(seen):
            if not yes:
                question = f"Bring along {_records(_work(seen))} to {here.where}?"
                confirm(question, left="Nothing was written.")
            seen = run("bringing along", seen.records)
            show(*_verdict(seen))
        elif not dry_run:
            note("nothing to bring along")
        if not seen.complete:
            raise typer.Exit(ExitCode.NEEDS_CHANGE)


def _work(report: MigrationReport) -> int:
    """How many records are to be written."""
    return sum(report.outcomes.get(each, 0) for each in (Outcome.WRITTEN, Outcome.CAUGHT_UP))


async def _migrated(
    store: Sojourn,
    url: str,
    layout: str | None,
    app: str | None,
    progress: Callable[[int, int], None],
    **options: Any,
) -> MigrationReport:
    source = await _threads_at(url, app) if layout is None else None
    source = source or await source_at(
        url, layout=layout, app=app, adk_event=_read_event(), threads=_read_threads()
    )
    try:
        return await migrate(source, store, progress=progress, **options)
    finally:
        await source.close()


async def _threads_at(url: str, app: str | None) -> Source | None:
    """The threads of LangGraph's SqliteSaver or PostgresSaver; None when it is neither."""
    scheme = url.partition(":")[0].lower()
    is_file = scheme.partition("+")[0] == "sqlite"
    if not (await _has_threads(url) if is_file else scheme in _POSTGRES):
        return None
    try:
        opened = _langgraph().sqlite_source if is_file else _langgraph().postgres_source
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"LangGraph's checkpoints are read by langgraph: {how_to_install('langgraph')}."
        ) from error
    return cast("Source", await opened(url, app=app or _langgraph().APP))


async def _has_threads(url: str) -> bool:
    """Whether an SQLite file has LangGraph's checkpoints, and no sessions of ADK's."""
    file = SqliteFile(url)
    try:
        columns = await file.columns("checkpoints")
        return "checkpoint_ns" in columns and not await file.columns("sessions")
    finally:
        await file.close()


def _read_threads() -> ReadThreads | None:
    """What reads LangGraph's threads on a server, where langgraph is installed."""
    if find_spec("langgraph") is None:
        return None
    return lambda keyspace, app: _langgraph().read_threads(keyspace, app)


@lru_cache(1)
def _langgraph() -> Any:
    return import_module("sojourn.integrations.langgraph.migration")


def _read_event() -> ReadEvent | None:
    """What reads ADK's events, where google-adk is installed. It takes seconds to import."""
    if find_spec("google") is None or find_spec("google.adk") is None:
        return None
    return lambda stored: _adk().read_event(stored)


@lru_cache(1)
def _adk() -> Any:
    return import_module("sojourn.integrations.adk.migration")


def _overview(report: MigrationReport) -> Iterator[RenderableType]:
    """What the source holds, by app; what would be done; and what cannot come along."""
    note(f"from {report.source}, layout {report.layout}")
    counts = [*_COLUMNS, *["threads"] * any(each.threads for each in report.apps)]
    columns = (Column("app", whole=True), *(Column(name, right=True) for name in counts))
    rows = [
        (
            visible(each.app) if each.app else "(no app)",
            *(f"{getattr(each, column):,}" for column in counts),
        )
        for each in report.apps
    ]
    yield Table(columns, rows)
    yield from _outcomes(report)
    if report.endless:
        endless = (
            f"{number_of_sessions(report.endless)} without an end there, and so without one here"
        )
        yield Text(f"{endless}: --ttl sets a lifetime")


def _verdict(report: MigrationReport) -> Iterator[RenderableType]:
    """What was done, and what reading both sides has shown."""
    yield from _outcomes(report)
    for name in report.unsettled[:_NAMED]:
        yield Text(f"still being written at the source: {prose(name)}")
    if len(report.unsettled) > _NAMED:
        yield Text(f"… and {len(report.unsettled) - _NAMED:,} more")
    passes = "once more" if report.passes == 2 else f"{report.passes - 1} times more"  # noqa: PLR2004
    yield Text(f"Read {passes} and compared: {_records(report.verified)} the same on both sides.")


def _outcomes(report: MigrationReport) -> Iterator[RenderableType]:
    names = {
        Outcome.WRITTEN: "to be written" if report.dry_run else "written",
        Outcome.CAUGHT_UP: "to be caught up" if report.dry_run else "caught up",
    }
    parts = [f"{count:,} {names.get(each, each)}" for each, count in report.outcomes.items()]
    yield Text(f"{report.target}: {', '.join(parts) or 'nothing is there'}")
    if report.refused:
        reasons = Grid.grid(padding=(0, 2, 0, 0))
        for why, count in sorted(report.refused.items(), key=lambda each: -each[1]):
            reasons.add_row(Text(f"{count:,} refused", "yellow"), Text(prose(why)))
        yield reasons
    for each in report.notable[:_NAMED]:
        yield Text(f"{each.outcome}: {prose(each.where)}: {prose(each.why)}")
    if (rest := _bad(report) - _NAMED) > 0:
        yield Text(f"… and {rest:,} more")


def _bad(report: MigrationReport) -> int:
    return sum(report.outcomes.get(each, 0) for each in (Outcome.DIFFERS, Outcome.REFUSED))


@contextmanager
def _progress(title: str, total: int | None) -> Generator[Callable[[int, int], None]]:
    """A bar on stderr, if that is a terminal; gone when it is over."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with bar(*columns) as progress:
        task = progress.add_task(title, total=total)

        def tell(pass_: int, done: int) -> None:
            name = title if pass_ == 1 else f"comparing ({pass_ - 1})"
            progress.update(task, description=name, completed=done)

        yield tell
