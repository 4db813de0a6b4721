"""`sojourn token`: a new bearer token."""

from __future__ import annotations

from typing import Annotated

import typer

from sojourn.security.tokens import new_token
from sojourn.surfaces.cli.exits import one_line_errors
from sojourn.surfaces.cli.root import SERVE, app, epilog


@app.command(
    "token",
    rich_help_panel=SERVE,
    epilog=epilog("sojourn token ada", "sojourn token ada --app shop"),
)
def token(
    user: Annotated[str, typer.Argument(metavar="USER", help="Whose.")],
    *,
    apps: Annotated[
        list[str] | None,
        typer.Option("--app", metavar="APP", help="Only for this app; may be given again."),
    ] = None,
) -> None:
    """Make a bearer token of 256 random bits, for `--auth` of `sojourn mcp` and `sojourn adk`.

    It is shown once, on stderr, and kept nowhere. Its line for the file that `--auth` names goes to
    stdout.
    """
    with one_line_errors():
        made, line = new_token(user, apps or ())
    typer.echo(f"The token, shown this once:\n\n    {made}\n", err=True)
    typer.echo("Its line in the table [tokens] of the file that --auth names:\n", err=True)
    typer.echo(line)
