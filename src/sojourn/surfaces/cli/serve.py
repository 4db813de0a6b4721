"""`sojourn serve`: the HTTP API and the dashboard."""

from __future__ import annotations

from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from sojourn.errors import ConfigurationError
from sojourn.extras import how_to_install
from sojourn.security.tokens import Tokens, token_of_this_run, tokens_from
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import note
from sojourn.surfaces.cli.exits import one_line_errors
from sojourn.surfaces.cli.listening import is_loopback, listening_on, log_to
from sojourn.surfaces.cli.options import Keys, Namespace, Url
from sojourn.surfaces.cli.root import SERVE, epilog
from sojourn.surfaces.cli.root import app as root

_HELP = (
    "Without --auth it listens on loopback only, makes a key for this run, and prints an address "
    "that has it. Keys are made by sojourn token. Behind a proxy that does TLS, name the host that "
    "clients ask for: --allow-host."
)
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_OF_THE_EXTRA = ("fastapi", "starlette", "uvicorn", "jwt", "pydantic", "anyio")


@root.command(
    "serve",
    rich_help_panel=SERVE,
    epilog=epilog(
        "sojourn serve --url redis://localhost:6379",
        "sojourn serve --auth keys.toml --read-only",
        "sojourn serve --host 0.0.0.0 --auth keys.toml --allow-host api.example",
        more=_HELP,
    ),
)
def serve(
    *,
    host: Annotated[str, typer.Option(metavar="HOST", help="Where it listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8100,
    auth: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|env:NAME",
            show_default=False,
            help="The keys: TOML, with lines of `sojourn token`, in a file or a variable.",
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Refuse whatever changes something.")
    ] = False,
    root_path: Annotated[
        str, typer.Option(metavar="PATH", help="Below which path a proxy serves it.")
    ] = "",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A Host header to take, beside those of loopback."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Another origin whose pages may call."),
    ] = None,
    access_log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Each access as a line of JSON; else on stderr.",
        ),
    ] = None,
    url: Url = None,
    namespace: Namespace = None,
    keys: Keys = None,
) -> None:
    """Serve the store over HTTP: an API at /v1, and a dashboard to look at it."""
    with one_line_errors():
        hosts = [*_LOOPBACK, *(allow_host or [])]
        key, tokens = _keys(host, auth, allow_host)
        _need_extra()
        from sojourn.surfaces.http import application  # noqa: PLC0415 - an extra
        from sojourn.surfaces.http.running import serve as run  # noqa: PLC0415

        with log_to(access_log) as log, connect(url, namespace, memory=True, keys=keys) as store:
            served = application(
                store.store,
                tokens=tokens,
                read_only=read_only,
                root_path=root_path,
                hosts=hosts,
                origins=allow_origin or [],
                log=log,
            )
            with closing(listening_on(host, port)) as listening:
                at, number = listening.getsockname()[:2]
                where = f"http://{f'[{at}]' if ':' in at else at}:{number}{root_path.rstrip('/')}/"
                note(f"listening on {where}" + (f"#key={key}" if key else ""))
                store.run(run(served, listening))


def _keys(host: str, auth: str | None, allow_host: list[str] | None) -> tuple[str, Tokens]:
    """The key of this run, if it makes one, and all keys."""
    if auth is not None:
        if not is_loopback(host) and not allow_host:
            raise ConfigurationError(
                f"By which name will clients reach {host}? Say --allow-host NAME: requests that "
                "name other hosts are refused."
            )
        return "", tokens_from(auth)
    if not is_loopback(host):
        raise ConfigurationError(
            f"Whoever reaches {host} could do everything: give --auth FILE, or listen on 127.0.0.1."
        )
    return token_of_this_run("local")


def _need_extra() -> None:
    """Name the extra that is missing."""
    try:
        import_module("sojourn.surfaces.http.app")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _OF_THE_EXTRA:
            raise
        raise ConfigurationError(
            f"{error.name} is not installed: {how_to_install('cli,server')}."
        ) from error
