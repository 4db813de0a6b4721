"""`sojourn security`: what all processes have refused."""

from __future__ import annotations

from typing import Annotated

import typer

from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import show, write_json
from sojourn.surfaces.cli.options import Json, Namespace, Url
from sojourn.surfaces.cli.plain import visible
from sojourn.surfaces.cli.root import CHECK, epilog
from sojourn.surfaces.cli.root import app as root
from sojourn.surfaces.cli.tables import Column, Table


@root.command(
    "security",
    rich_help_panel=CHECK,
    epilog=epilog("sojourn security shop", "sojourn security adk --json"),
)
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
    rows: list[tuple[str, str, str]] = []
    for what, number in sorted(reasons.items(), key=lambda item: -item[1]):
        outcome, _, reason = what.partition(":")
        rows.append((visible(outcome), visible(reason), f"{number:,}"))
    return Table((Column("outcome"), Column("reason"), Column("times", right=True)), rows)
