"""`sojourn token`: a new bearer token."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from sojourn.security.tokens import new_token
from sojourn.surfaces.cli.exits import one_line_errors
from sojourn.surfaces.cli.root import SERVE, app, epilog


class TokenScope(Enum):
    """What a token allows."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@app.command(
    "token",
    rich_help_panel=SERVE,
    epilog=epilog(
        "sojourn token ada",
        "sojourn token ada --app shop --scope read",
        "sojourn token ops --all-users --scope admin",
    ),
)
def token(
    user: Annotated[
        str, typer.Argument(metavar="USER", help="Whose; with --all-users the name of who has it.")
    ],
    *,
    apps: Annotated[
        list[str] | None,
        typer.Option("--app", metavar="APP", help="Only for this app; may be given again."),
    ] = None,
    scope: Annotated[
        TokenScope,
        typer.Option(help="What it allows: to read, also to write, also what operators do."),
    ] = TokenScope.WRITE,
    all_users: Annotated[
        bool, typer.Option("--all-users", help="For all users and not only this one.")
    ] = False,
) -> None:
    """Make a bearer token of 256 random bits: for `--auth` of `sojourn serve`, `mcp` and `adk`.

    `mcp` and `adk` serve one user with each token: they take none of another scope than write, and
    none for all users.

    It is shown once, on stderr, and kept nowhere. Its line for the file that `--auth` names goes to
    stdout.
    """
    with one_line_errors():
        made, line = new_token(user, apps or (), scope=scope.value, all_users=all_users)
    typer.echo(f"The token, shown this once:\n\n    {made}\n", err=True)
    typer.echo("Its line in the table [tokens] of the file that --auth names:\n", err=True)
    typer.echo(line)
