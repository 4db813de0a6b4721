"""The arguments and options that commands share."""

from __future__ import annotations

from typing import Annotated

import typer

App = Annotated[str, typer.Argument(metavar="APP", show_default=False)]
User = Annotated[str, typer.Argument(metavar="USER", show_default=False)]
SessionId = Annotated[str, typer.Argument(metavar="SESSION", show_default=False)]
RecordId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
OnlyApp = Annotated[str | None, typer.Option("--app", metavar="APP", help="Only this app's.")]
OnlyUser = Annotated[
    str | None,
    typer.Option("--user", metavar="USER", help="Only this user's; '' is the user with no id."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")]
FirstOnly = Annotated[int, typer.Option("--limit", min=1, help="At most so many.")]
Oldest = Annotated[bool, typer.Option("--oldest", help="Oldest change first; else the newest.")]
Json = Annotated[bool, typer.Option("--json", help="For programs: one JSON object a line.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        show_default=False,
        help="redis://, rediss://, unix:// or embedded:DIR; else the environment's SOJOURN_URL, "
        "REDIS_URL or REDIS_HOST, else embedded:.sojourn.",
    ),
]
Server = Annotated[
    str | None, typer.Argument(metavar="URL", show_default=False, help="The same as --url.")
]
Keys = Annotated[
    str | None,
    typer.Option(
        "--keys",
        metavar="FILE",
        show_default=False,
        help="The file of master keys, or env:VARIABLE; else the environment's SOJOURN_KEYS.",
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        show_default=False,
        help="The namespace of the deployment; else the environment's SOJOURN_NAMESPACE.",
    ),
]
