"""`sojourn mcp`: the store for models, by the Model Context Protocol."""

from __future__ import annotations

from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from sojourn.errors import ConfigurationError
from sojourn.extras import how_to_install
from sojourn.security import (
    AccessLog,
    GuessLimiter,
    IdPolicy,
    Principal,
)
from sojourn.security.tokens import tokens_from
from sojourn.surfaces.cli.connection import Connection, connect
from sojourn.surfaces.cli.console import note
from sojourn.surfaces.cli.exits import one_line_errors
from sojourn.surfaces.cli.listening import is_loopback, listening_on, log_to
from sojourn.surfaces.cli.options import Namespace, Url
from sojourn.surfaces.cli.root import SERVE, epilog
from sojourn.surfaces.cli.root import app as root

HELP_MCP = (
    "Over stdio, for a client that starts it, unless --http is given. Whose sessions it serves is "
    "said by --user, or with --http by bearer tokens (--auth), and never by a tool's argument. "
    "What is in memory:// is forgotten with the process."
)
_OF_THE_EXTRA = ("anyio", "mcp", "mcp_types", "sse_starlette", "starlette", "uvicorn")


class _Web(NamedTuple):
    """Where HTTP is served, and to whom."""

    host: str
    port: int
    auth: str | None
    hosts: list[str]
    origins: list[str]


@root.command(
    "mcp",
    rich_help_panel=SERVE,
    epilog=epilog(
        "sojourn mcp --user ada",
        "sojourn mcp --http --user ada --app shop",
        "sojourn mcp --http --auth tokens.toml --access-log access.jsonl",
        more=HELP_MCP,
    ),
)
def mcp(
    *,
    app: Annotated[
        str, typer.Option(envvar="SOJOURN_APP", metavar="APP", help="The application.")
    ] = "mcp",
    user: Annotated[
        str | None,
        typer.Option(
            envvar="SOJOURN_USER",
            metavar="USER",
            show_default=False,
            help="The one user that it serves.",
        ),
    ] = None,
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP.")] = False,
    host: Annotated[str, typer.Option(metavar="HOST", help="Where --http listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8010,
    auth: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|env:NAME",
            show_default=False,
            help="The users that --http serves: TOML, with lines of `sojourn token`; or a variable "
            "with USER:TOKEN.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A Host header to take; name:* for any port."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="An Origin header to take, beside those of loopback."),
    ] = None,
    access_log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="Each decision as a line of JSON."),
    ] = None,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Serve sessions, conversations, memory and cache to models (Model Context Protocol)."""
    web = _Web(host, port, auth, allow_host or [], allow_origin or [])
    with one_line_errors():
        _check(app, user, web if http else None)
        _need_extra()
        with log_to(access_log) as log, connect(url, namespace, memory=True) as store:
            if http:
                _serve_http(store, log, app, user, web)
            else:
                from sojourn.surfaces.mcp import Identity, RequestContext  # noqa: PLC0415 - an extra
                from sojourn.surfaces.mcp.running import serve_stdio  # noqa: PLC0415

                guard = store.guard(log=log, check_id=IdPolicy().check)
                store.run(serve_stdio(RequestContext(guard, Identity(app, user))))


def _serve_http(store: Connection, log: AccessLog, app: str, user: str | None, web: _Web) -> None:
    from sojourn.surfaces.mcp import Identity, RequestContext, application  # noqa: PLC0415 - an extra
    from sojourn.surfaces.mcp.running import serve_http  # noqa: PLC0415
    from sojourn.surfaces.mcp.verifier import Verifier  # noqa: PLC0415

    limiter = None if web.auth is None else GuessLimiter(store.store)
    guard = store.guard(log=log, check_id=IdPolicy().check, limiter=limiter)
    served = application(
        RequestContext(guard, Identity(app, user)),
        verifier=None if web.auth is None else Verifier(tokens_from(web.auth), app),
        hosts=web.hosts,
        origins=web.origins,
    )
    with closing(listening_on(web.host, web.port)) as listening:
        at, port = listening.getsockname()[:2]
        note(f"listening on http://{f'[{at}]' if ':' in at else at}:{port}/mcp")
        store.run(serve_http(served, listening))


def _check(app: str, user: str | None, web: _Web | None) -> None:
    """Refuse what would serve nobody, or anybody."""
    if user is not None:
        Principal.of(app, user)
    if web is None:
        if user is None:
            raise ConfigurationError("Whose sessions? Say --user USER, or set SOJOURN_USER.")
        return
    if (web.auth is None) == (user is None):
        raise ConfigurationError(
            "--http serves those whose tokens are in a file (--auth FILE), or on this machine one "
            "user without a token (--user USER, or SOJOURN_USER): one of the two."
        )
    if is_loopback(web.host):
        return
    if web.auth is None:
        raise ConfigurationError(
            f"Without tokens whoever reaches {web.host} would be {user!r}: give --auth FILE, or "
            "listen on 127.0.0.1."
        )
    if not web.hosts:
        raise ConfigurationError(
            f"By which name will clients reach {web.host}? Say --allow-host NAME, or NAME:* for "
            "any port: requests that name other hosts are refused."
        )


def _need_extra() -> None:
    """Name the extra that is missing."""
    try:
        import_module("sojourn.surfaces.mcp")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _OF_THE_EXTRA:
            raise
        raise ConfigurationError(
            f"{error.name} is not installed: {how_to_install('cli,mcp')}."
        ) from error
