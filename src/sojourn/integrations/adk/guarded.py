"""`sojourn adk web | api_server --auth …`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import click
import uvicorn

from sojourn import client
from sojourn.engine.address import SCHEMES
from sojourn.errors import SojournError
from sojourn.integrations.adk.auth import MAX_BODY, install
from sojourn.integrations.adk.endpoints import Endpoint
from sojourn.integrations.adk.opening import split_uri
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


@contextmanager
def guarded_servers(options: GuardedOptions, session_uri: str | None) -> Generator[None]:
    """Within this block uvicorn serves no application but with a guard in it.

    This is the one place through which every google-adk goes, and where nothing can be added behind
    the guard's back. What cannot be guarded is not served. Behind the block uvicorn is as before.

    Args:
        options: what was asked for.
        session_uri: ADK's; when it is one of ours, failures are counted on its server.

    Raises:
        click.ClickException: the access log cannot be written.
    """
    ours = session_uri is not None and session_uri.partition(":")[0] in SCHEMES
    try:
        store = client.open(split_uri(session_uri)[0] if ours and session_uri else "memory://")
        peers = GuessLimiter(store)
        log = AccessLog(Logged() if options.access_log is None else JsonLines(options.access_log))
    except (SojournError, OSError) as error:
        raise click.ClickException(str(error)) from error
    serve = uvicorn.Server.serve

    @functools.wraps(serve)
    async def guarded(self: uvicorn.Server, *args: Any, **kwargs: Any) -> None:
        try:
            install(
                self.config.app,
                tokens=options.tokens,
                peers=peers,
                store=store,
                allow=options.allow,
                log=log,
                max_body=options.max_body,
            )
        except SojournError as error:
            sys.exit(f"sojourn: {error}")
        await serve(self, *args, **kwargs)

    uvicorn.Server.serve = guarded  # type: ignore[method-assign]
    try:
        yield
    finally:
        uvicorn.Server.serve = serve  # type: ignore[method-assign]
