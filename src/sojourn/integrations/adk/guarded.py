"""`sojourn adk web | api_server --auth …`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import copy
from inspect import signature
from typing import Any, NamedTuple

import click
import uvicorn
from click.core import ParameterSource
from google.adk.cli import cli_tools_click as adk_cli
from google.adk.cli.fast_api import get_fast_api_app
from google.adk.cli.utils.logs import setup_adk_logger

from sojourn.engine.address import SCHEMES
from sojourn.errors import SojournError
from sojourn.integrations.adk.auth import MAX_BODY, install
from sojourn.integrations.adk.endpoints import Endpoint
from sojourn.integrations.adk.opening import split_uri
from sojourn.process import Opened
from sojourn.security import AccessLog, GuessLimiter, JsonLines, Logged
from sojourn.security.tokens import Tokens, tokens_from

_COMMANDS = ("web", "api_server")
_OURS = ("--auth", "--allow", "--access-log", "--max-body")


class GuardedOptions(NamedTuple):
    """What was asked for on the command line.

    Attributes:
        tokens: who has which.
        allow: endpoints beside the known ones.
        access_log: a file; standard logging if not given.
        max_body: bytes.
    """

    tokens: Tokens
    allow: tuple[Endpoint, ...]
    access_log: str | None
    max_body: int


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True},
)
@click.option("--auth")
@click.option("--allow", multiple=True)
@click.option("--access-log")
@click.option("--max-body", type=click.IntRange(1), default=MAX_BODY)
@click.argument("others", nargs=-1, type=click.UNPROCESSED)
def _options(**found: Any) -> dict[str, Any]:
    return found


def options_of(arguments: Sequence[str]) -> tuple[list[str], GuardedOptions | None]:
    """Take our options out of ADK's arguments.

    Args:
        arguments: what stands behind `sojourn adk`.

    Returns:
        the others; and what was asked for, None without `--auth`.

    Raises:
        click.ClickException: the options are wrong, or the tokens cannot be read.
    """
    if not any(each.partition("=")[0] in _OURS for each in arguments):
        return list(arguments), None
    if arguments[0] not in _COMMANDS:
        raise click.UsageError(f"--auth and its like are for {' and '.join(_COMMANDS)}.")
    found = _options.main(list(arguments[1:]), prog_name="sojourn adk", standalone_mode=False)
    if found["auth"] is None:
        raise click.UsageError("--allow, --access-log and --max-body need --auth.")
    allow = [Endpoint(*each.split(" ", 1)) for each in found["allow"] if " " in each]
    if len(allow) != len(found["allow"]):
        raise click.UsageError("--allow is a method and a path: 'GET /docs'.")
    try:
        tokens = tokens_from(found["auth"])
    except SojournError as error:
        raise click.ClickException(f"--auth: {error}") from error
    options = GuardedOptions(tokens, tuple(allow), found["access_log"], found["max_body"])
    return [arguments[0], *found["others"]], options


def guarded_main(options: GuardedOptions) -> click.Group:
    """ADK's command line, whose servers are ours: they serve ADK's application with a guard in it.

    Args:
        options: what was asked for.
    """
    main = copy(adk_cli.main)
    main.commands = {
        name: _guarded(each, options) if name in _COMMANDS else each
        for name, each in adk_cli.main.commands.items()
    }
    return main


def _guarded(command: click.Command, options: GuardedOptions) -> click.Command:
    """A command with the options of ADK's, which ADK's own decorators read."""

    def serve(**given: Any) -> None:
        _serve(options, given)

    served = copy(command)
    for decorate in (
        adk_cli.adk_services_options(),
        adk_cli.web_options(),
        adk_cli.fast_api_common_options(),
        adk_cli.feature_options(),
    ):
        serve = decorate(serve)
    served.callback = serve
    return served


def _serve(options: GuardedOptions, given: dict[str, Any]) -> None:
    """As ADK does: make the application, and let uvicorn run it."""
    setup_adk_logger(getattr(logging, given.pop("log_level").upper()))
    del given["reload"]  # has no effect in ADK, either
    given |= {"web": given.pop("with_ui", True), "bind_host": given["host"]}
    app = get_fast_api_app(**_known(given))
    uri = given["session_service_uri"] or ""
    ours = uri.partition(":")[0] in SCHEMES
    try:
        # Failures are counted on the server of the sessions, if it is one of ours.
        store = Opened(split_uri(uri)[0] if ours else "memory://", {}).store
        sink = Logged() if options.access_log is None else JsonLines(options.access_log)
        install(
            app,
            tokens=options.tokens,
            peers=GuessLimiter(store),
            store=store,
            allow=options.allow,
            log=AccessLog(sink),
            max_body=options.max_body,
        )
    except (SojournError, OSError) as error:
        raise click.ClickException(str(error)) from error
    uvicorn.Server(uvicorn.Config(app, host=given["host"], port=given["port"])).run()


def _known(given: dict[str, Any]) -> dict[str, Any]:
    """What the application takes of these arguments; what was asked for is not passed over."""
    taken = signature(get_fast_api_app).parameters
    source = click.get_current_context().get_parameter_source
    for name in given.keys() - taken.keys():
        if source(name) not in (None, ParameterSource.DEFAULT):
            raise click.UsageError(f"--auth does not go with --{name} yet: leave it out.")
    return {name: value for name, value in given.items() if name in taken}
