"""`sojourn user`: what a store keeps about a user, to hand out and to forget."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import RenderableType
from rich.text import Text

from sojourn.ids import parse_app, parse_user
from sojourn.security.forgetting import ErasureReceipt
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import note, show, write_json
from sojourn.surfaces.cli.events import Hanging, pretty_json
from sojourn.surfaces.cli.exits import EPILOG
from sojourn.surfaces.cli.files import new_file
from sojourn.surfaces.cli.options import Json, Namespace, OnlyApp, Url, User, Yes
from sojourn.surfaces.cli.plain import moment, visible
from sojourn.surfaces.cli.removal import confirm
from sojourn.surfaces.cli.root import MOVE, epilog, group
from sojourn.surfaces.cli.tables import Column, Fields, Table
from sojourn.transfer.user import export

_TIMES = ("time", "created", "updated", "expires", "until")

_COPIES = {
    "plain": "Backups made before hold the records in clear: delete them, too.",
    "server": "Backups of the server made before hold the records and their wrapped key: with the "
    "master key they can be read.",
    "key_store": "Backups made before cannot be read, but with a backup of the key store that has "
    "the user's key.",
}

commands = group("user", "Export or forget everything that a store keeps about a user.", MOVE)


@commands.command(
    "export",
    epilog=epilog(
        "sojourn user export ada",
        "sojourn user export ada --app shop --json",
        "sojourn user export ada --output ada.jsonl",
        more=EPILOG,
    ),
)
def _export(
    user: User,
    *,
    app: OnlyApp = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help="JSON lines, as --json, into a new file that only you can read.",
        ),
    ] = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Write everything about a user: for people, or one JSON object a line (kind, key, value).

    It is plain text, also of a store with keys: it is the person's own copy.
    """
    with connect(url, namespace) as store:
        parse_user(user)
        with _into(output, as_json=as_json) as write:
            counts = store.run(export(store.store, user, write, app=app))
        found = ", ".join(f"{kind} {count:,}" for kind, count in counts.items()) or "nothing"
        note(f"exported of user {visible(user)}: {found}")


@commands.command(
    "forget",
    epilog=epilog(
        "sojourn user forget ada",
        "sojourn user forget ada --app shop --yes --json",
        more=EPILOG,
    ),
)
def _forget(
    user: User,
    *,
    app: OnlyApp = None,
    yes: Yes = False,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Delete everything about a user, in all apps or in one, after asking.

    Sessions, state, memories, artifacts, notices, quarantined records and cache entries. The
    receipt on stdout has numbers and no content. Stopped half-way, run it again: it finishes.
    """
    with connect(url, namespace) as store:
        parse_user(user)
        where = "all apps" if app is None else f"app {visible(parse_app(app))}"
        if not yes:
            confirm(f"Forget user {visible(user)} in {where} on {store.where}, for good?")
        receipt = store.run(store.admin.forget(user, app=app))
        if as_json:
            write_json([receipt._asdict()])
        else:
            show(*_receipt(receipt, f"user {visible(user)} in {where} on {store.where}"))


def _receipt(receipt: ErasureReceipt, whom: str) -> Iterator[RenderableType]:
    """How much was erased, by room, and what shows later whose receipt it is."""
    yield Text(f"Forgot {whom}.")
    shown = {
        "time": moment(receipt.time),
        "apps": f"{receipt.apps:,}",
        "who": receipt.who,
        "salt": receipt.salt,
    }
    yield Fields({name: Text(value) for name, value in shown.items()}, whole=("who", "salt"))
    rows = [(name.replace("_", " "), f"{n:,}") for name, n in receipt.erased.items() if n]
    yield Table((Column("kept"), Column("erased", right=True)), rows)
    yield Text(_COPIES[receipt.copies])
    if receipt.dictionaries:
        yield Text(
            "Dictionaries for compression that were trained on this user's values, among others': "
            f"{', '.join(receipt.dictionaries)}. sojourn codec retire replaces them."
        )


@contextmanager
def _into(output: Path | None, *, as_json: bool) -> Generator[Callable[[str], object]]:
    """Where an export goes, line by line."""
    if output is not None:
        with new_file(output) as file:
            yield lambda line: file.write(line.encode())
    elif as_json:
        yield sys.stdout.write
        sys.stdout.flush()
    else:
        yield _shown


def _shown(line: str) -> None:
    """A line of an export for people: what it is and of whom, and below it the value."""
    record = json.loads(line)
    kind, value = record["kind"], record["value"]
    names = "  ".join(visible(str(part)) for part in record["key"].values() if part is not None)
    if kind != "user_state" and isinstance(value, dict):
        named = cast("dict[str, Any]", value)
        value = {name: _readable(name, part) for name, part in named.items()}
    head = Text(f"{kind.replace('_', ' ')}  {names}", "bold", no_wrap=True, overflow="ignore")
    show(head, Hanging(pretty_json(value), first=4))


def _readable(name: str, part: Any) -> Any:
    """A time as people read it, and bytes as their number."""
    if name in _TIMES and isinstance(part, int | float):
        return moment(part)
    if name == "data" and isinstance(part, str):
        return f"({len(b64decode(part)):,} bytes: --output and --json have them)"
    return part
