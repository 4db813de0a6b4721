"""`sojourn security`: what all processes have refused."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import show, write_json
from sojourn.surfaces.cli.options import Json, Namespace, Url
from sojourn.surfaces.cli.plain import visible


def security(
    app: Annotated[str, typer.Argument(metavar="APP", help="The application.")],
    *,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """What guards of all processes have refused in an app: failed attempts, flagged sessions.

    Counted until 30 days after the last of it. Who it was is in the access logs.
    """
    with connect(url, namespace) as store:
        stats = store.run(store.guard().fleet(app))
        if as_json:
            document = {**stats._asdict(), "app": app}
            del document["allowed"]
            write_json([document])
            return
        show(
            f"{visible(app)} on {store.where}: {stats.total_failed_attempts:,} failed attempts, "
            f"about {stats.flagged_sessions:,} flagged sessions."
        )
        if stats.reasons:
            show(_table(stats.reasons))


def _table(reasons: dict[str, int]) -> Table:
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    rows.add_column("outcome")
    rows.add_column("reason")
    rows.add_column("times", justify="right")
    for what, number in sorted(reasons.items(), key=lambda item: -item[1]):
        outcome, _, reason = what.partition(":")
        rows.add_row(Text(visible(outcome)), Text(visible(reason)), Text(f"{number:,}"))
    return rows
