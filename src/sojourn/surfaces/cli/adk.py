"""`sojourn adk`: a name in the list of commands; `sojourn.__main__` hands its words to ADK."""

from __future__ import annotations

from importlib import import_module

import typer

from sojourn.surfaces.cli.root import SERVE, app, epilog


@app.command(
    "adk",
    rich_help_panel=SERVE,
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog=epilog("sojourn adk web --session_service_uri=redis://localhost:6379 AGENTS"),
)
def _adk(context: typer.Context) -> None:
    """Run ADK's own commands on Sojourn's URLs: init, web, run and others."""
    import_module("sojourn.integrations.adk.command").main(context.args)
