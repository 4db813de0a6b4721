"""`sojourn doctor`: what to change at a server before people rely on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Annotated

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from sojourn.doctor import Finding, Level, Report
from sojourn.surfaces.cli.connection import connect_to
from sojourn.surfaces.cli.console import show, write_json
from sojourn.surfaces.cli.exits import ExitCode
from sojourn.surfaces.cli.options import Json, Namespace, Server, Url
from sojourn.surfaces.cli.plain import prose
from sojourn.surfaces.cli.root import CHECK, app, epilog

HELP_DOCTOR = (
    "Exit codes: 0 nothing to change, or only advice; 1 a warning or a problem: data can be lost "
    "or calls will fail; 2 wrong usage, input or configuration; 3 the server is unavailable or "
    "refuses; 130 stopped by Ctrl-C."
)

_MARKS = {
    Level.OK: ("✓", "green"),
    Level.ADVICE: ("•", "cyan"),
    Level.UNKNOWN: ("?", "magenta"),
    Level.WARNING: ("!", "bold yellow"),
    Level.PROBLEM: ("✗", "bold red"),
}
_MARK, _NAME = 9, 13
"""Columns of the mark with its word, and of the longest name of a check."""


@app.command(
    "doctor",
    rich_help_panel=CHECK,
    epilog=epilog(
        "sojourn doctor redis://localhost:6379",
        "sojourn doctor --namespace shop --json",
        codes=HELP_DOCTOR,
    ),
)
def doctor(
    server: Server = None,
    *,
    keys: Annotated[
        int, typer.Option(min=0, help="Look for keys that never expire among so many; 0: do not.")
    ] = 10_000,
    notifications: Annotated[
        bool, typer.Option("--notifications", help="The application listens for expiring keys.")
    ] = False,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Check a server before people rely on it, and say what to change. It changes nothing."""
    with connect_to(server, url, namespace, whatever_keys=True) as store:
        report = store.run(store.admin.doctor.examine(keys=keys, notifications=notifications))
        if as_json:
            write_json(finding._asdict() for finding in report.findings)
        else:
            show(*_page(report))
        if not report.healthy:
            raise typer.Exit(ExitCode.NEEDS_CHANGE)


def _page(report: Report) -> Iterator[RenderableType]:
    """Server by server: the findings by group, and what could not be checked. Then a summary."""
    for node, those in groupby(report.findings, lambda finding: finding.node):
        findings = list(those)
        if node:
            yield Text(f"\n{prose(node)}", "bold underline")
        read = [finding for finding in findings if finding.level is not Level.UNKNOWN]
        for group, ones in groupby(read, lambda finding: finding.group):
            yield Text(group, "bold")
            yield _table(ones)
        if unknown := list(_merged(findings)):
            yield Text("Not checked", "bold")
            yield _table(unknown)
    yield Text()
    yield _summary(report)


def _merged(findings: Iterable[Finding]) -> Iterator[Finding]:
    """What could not be checked, one line for each reason."""
    named: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.level is Level.UNKNOWN:
            named.setdefault(finding.what, []).append(finding)
    for what, those in named.items():
        names = ", ".join(finding.check for finding in those)
        yield those[0]._replace(check="", what=f"{names}: {what[:1].lower()}{what[1:]}")


def _table(findings: Iterable[Finding]) -> Table:
    rows = Table.grid(padding=(0, 2, 0, 0))
    rows.add_column(width=_MARK + 1, no_wrap=True)
    rows.add_column(width=_NAME, no_wrap=True)
    rows.add_column(overflow="fold")
    for finding in findings:
        mark, style = _MARKS[finding.level]
        quiet = "dim" if finding.level is Level.OK else ""
        name = Text(finding.check, quiet)
        rows.add_row(Text(f" {mark} {finding.level}", style), name, _Sentences(finding, quiet))
    return rows


class _Sentences:
    """What is and what to do: on one line where there is room for it, else one below the other."""

    def __init__(self, finding: Finding, style: str) -> None:
        self._what = Text(prose(finding.what), style)
        self._todo = Text(prose(finding.todo), "bold")

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Called by rich."""
        if self._on_one_line().cell_len <= options.max_width or not self._todo:
            yield self._on_one_line()
            return
        todo = Table.grid(padding=(0, 1, 0, 0))
        todo.add_row("→", self._todo)
        yield self._what
        yield todo

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Called by rich: without it a line for programs would be as wide as the console."""
        return Measurement.get(console, options, self._on_one_line())

    def _on_one_line(self) -> Text:
        return Text.assemble(self._what, " → ", self._todo) if self._todo else self._what


def _summary(report: Report) -> Text:
    """How many findings there are of each level, the gravest first."""
    counts = ((level, report.count(level)) for level in reversed(Level))
    parts = [(f"{count} {level}", _MARKS[level][1]) for level, count in counts if count]
    return Text(f"{prose(report.where)}: ").append_text(
        Text(", ").join(Text(*part) for part in parts)
    )
