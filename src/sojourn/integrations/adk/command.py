"""`sojourn adk …`: ADK's own command line, with Sojourn's schemes known to it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click
from google.adk.cli.cli_tools_click import main as adk_main
from google.adk.cli.service_registry import get_service_registry

from sojourn import client
from sojourn.engine.address import SCHEMES
from sojourn.errors import SojournError
from sojourn.integrations.adk import guarded
from sojourn.integrations.adk.opening import split_uri
from sojourn.integrations.adk.registry import register

_SERVICES = '''\
"""Lets plain `adk` know Sojourn's URIs: sessions, memory, artifacts. ADK loads this file."""

try:
    from sojourn.integrations.adk import register
except ModuleNotFoundError as error:  # ADK would pass over it in silence
    raise ImportError(
        f"services.py needs Sojourn ({error}): in its clone, run pip install '.[adk]'"
    ) from error

register()
'''

_KNOWN = "\n    from sojourn.integrations.adk import register\n"
"""Is in what any version of this has written."""

_HELP = """\
ADK's own command line, with Sojourn's URLs in --session_service_uri,
--memory_service_uri and --artifact_service_uri. Beside ADK's commands:

  sojourn adk init DIR    Let plain `adk` know these URLs: writes services.py.
  sojourn adk token USER  Make a bearer token for --auth; also: sojourn token.
  sojourn adk web --auth FILE AGENTS_DIR
                          Serve the users whose tokens are in FILE, and nobody
                          else; so does api_server. Also --allow, --access-log
                          and --max-body.

Examples:
  sojourn adk web --session_service_uri=redis://localhost:6379 AGENTS_DIR
  sojourn adk run --session_service_uri=embedded:.sojourn AGENTS_DIR/my_agent
"""

_OPTION = "--session_service_uri"
_ARTIFACTS = "--artifact_service_uri"
_MEMORY = "--memory_service_uri"


def main(arguments: Sequence[str]) -> None:
    """Run `init DIR`, or whatever ADK makes of the arguments. Ends the process.

    Args:
        arguments: what stands behind `sojourn adk`.
    """
    try:
        if arguments[:1] == ["init"]:
            _init(arguments[1:])
            return
        if arguments[:1] in ([], ["--help"]):
            click.echo(_HELP)
        arguments, options = guarded.options_of(arguments)
        register()
        _check_uri(arguments)
        for option in (_ARTIFACTS, _MEMORY):
            _check_other(option, arguments)
        if arguments[:1] == ["web"]:
            _tell_of_page(_value_of(_OPTION, arguments))
        run = adk_main if options is None else guarded.guarded_main(options)
        run(args=list(arguments), prog_name="sojourn adk")
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


def _tell_of_page(uri: str | None) -> None:
    """Say where these sessions can be looked at, without what is secret in their URI."""
    if uri is None or uri.partition(":")[0] not in SCHEMES:
        return
    where = client.open(split_uri(uri)[0]).where
    if where.startswith("memory:"):  # of this process alone
        return
    click.echo(
        f"A page to look at these sessions: run sojourn serve --url={where} and open "
        "http://127.0.0.1:8100/ (the address that it prints has a key).",
        err=True,
    )


def _init(arguments: Sequence[str]) -> None:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise click.UsageError("sojourn adk init DIR, where DIR is the folder of your agents")
    folder = Path(arguments[0])
    if not folder.is_dir():
        raise click.UsageError(f"{folder} is not a folder: name the one that holds your agents.")
    targets = [folder / "services.py"]
    if not _is_an_agent(folder):  # `adk run` and `adk web` of one agent look into its own folder
        agents = sorted(each for each in folder.iterdir() if _is_an_agent(each))
        targets += [each / "services.py" for each in agents]
    for target in targets:
        try:
            _write_services(target)
        except OSError as error:
            raise click.ClickException(f"{target} cannot be written: {error.strerror}.") from error
    _tell(folder, targets[-1].parent)


def _is_an_agent(folder: Path) -> bool:
    """Whether ADK would find an agent there; names that begin with a dot are passed over."""
    if not folder.is_dir() or folder.name.startswith((".", "__")):
        return False
    return any((folder / name).exists() for name in ("agent.py", "__init__.py", "root_agent.yaml"))


def _write_services(target: Path) -> None:
    if target.with_suffix("").is_dir():
        raise click.ClickException(
            f"{target.with_suffix('')} is a folder, which Python imports instead of {target.name}. "
            "Add to its __init__.py: from sojourn.integrations.adk import register; register()"
        )
    if target.exists():
        if _KNOWN in target.read_text("utf-8"):
            click.echo(f"{target} is there already.")
            return
        raise click.ClickException(
            f"{target} exists and is yours. Add to it: from sojourn.integrations.adk import "
            "register; register()"
        )
    target.write_text(_SERVICES, "utf-8")
    click.echo(f"Wrote {target}.")


def _tell(folder: Path, agent: Path) -> None:
    """What works now."""
    options = (_OPTION, _MEMORY, _ARTIFACTS)
    all_three = " ".join(f"{option}=redis://localhost:6379" for option in options)
    click.echo("Now, with those that you want of the three:")
    click.echo(f"adk web {all_three} {folder}")
    click.echo(f"adk run {all_three} {agent}")
    click.echo(
        f"adk deploy cloud_run {all_three} --extra_packages={folder / 'services.py'} {agent}"
        "   # and sojourn[adk] @ URL (of a wheel or an archive) in its requirements.txt"
    )


def _check_uri(arguments: Sequence[str]) -> None:
    """Refuse a session URI that nobody can open, before ADK's traceback does."""
    uri = _value_of(_OPTION, arguments)
    if uri is None:
        return
    scheme = uri.partition(":")[0]
    known = get_service_registry()._session_factories  # noqa: SLF001 - it has no list  # pyright: ignore[reportPrivateUsage]
    if scheme in SCHEMES:
        _check_ours(_OPTION, uri)
    elif scheme not in known and not _is_a_database(uri):
        raise click.ClickException(
            f"{_OPTION}: nothing here knows the scheme {scheme!r}. Sojourn knows "
            f"{', '.join(SCHEMES)}; ADK knows {', '.join(sorted(set(known) - set(SCHEMES)))} and "
            "SQLAlchemy's databases."
        )


def _check_other(option: str, arguments: Sequence[str]) -> None:
    """Refuse a URI of ours that is wrong before anything starts; ADK refuses unknown schemes."""
    uri = _value_of(option, arguments)
    if uri is not None and uri.partition(":")[0] in SCHEMES:
        _check_ours(option, uri)


def _check_ours(option: str, uri: str) -> None:
    try:
        client.open(split_uri(uri)[0] if option == _OPTION else uri)
    except SojournError as error:
        raise click.ClickException(f"{option}: {error}") from error


def _is_a_database(uri: str) -> bool:
    """ADK hands what it does not know to SQLAlchemy, which is there with some versions of it."""
    try:
        engine = import_module("sqlalchemy.engine")
        engine.make_url(uri).get_dialect()
    except Exception:  # noqa: BLE001 - whatever it is, it cannot open this URI
        return False
    return True


def _value_of(option: str, arguments: Sequence[str]) -> str | None:
    found: str | None = None
    for position, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            found = argument.partition("=")[2]
        elif argument == option and position + 1 < len(arguments):
            found = arguments[position + 1]
    return found
