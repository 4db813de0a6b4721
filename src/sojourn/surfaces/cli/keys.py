"""`sojourn keys`: files of master keys, and the data keys that they wrap."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from sojourn.errors import InvalidInput
from sojourn.keys import KeyRing
from sojourn.surfaces.cli.connection import connect, connect_to
from sojourn.surfaces.cli.console import bar, note, show, write_json
from sojourn.surfaces.cli.exits import Ended, ExitCode, one_line_errors
from sojourn.surfaces.cli.options import App, Json, Keys, Namespace, Server, Url, User
from sojourn.surfaces.cli.plain import counted, visible
from sojourn.surfaces.cli.root import CHECK, epilog, group
from sojourn.surfaces.cli.tables import Column, Table

_File = Annotated[
    Path, typer.Argument(metavar="FILE", show_default=False, help="A file of master keys.")
]
_MasterId = Annotated[
    str, typer.Argument(metavar="ID", show_default=False, help="Of a master key: see keys ls.")
]

commands = group("keys", "Make and rotate the keys that seal a store.", CHECK)


@commands.command(
    "new",
    epilog=epilog(
        "sojourn keys new --out keys.json", "sojourn keys new --out keys.json --inactive"
    ),
)
def _new(
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            show_default=False,
            help="A new file, that only you can read.",
        ),
    ],
    migrating: Annotated[
        bool,
        typer.Option(
            "--migrating", help="For a store that has records in plain text: they can be read."
        ),
    ] = False,
    inactive: Annotated[
        bool,
        typer.Option(
            "--inactive",
            help="As --migrating; and nothing is sealed before keys activate, so that all "
            "processes can get the file first.",
        ),
    ] = False,
) -> None:
    """Make a file with one master key. Keep a copy: without it what it seals is lost."""
    with one_line_errors():
        ring = KeyRing.new(migrating=migrating or inactive, active=not inactive)
        ring.save(out)
        note(f"made {visible(str(out))}: keep a copy of it apart from the store and its backups")
        if inactive:
            note("give it to all processes, then sojourn keys activate it, with this id")
        show(*ring.ids)


@commands.command("add", epilog=epilog("sojourn keys add keys.json"))
def _add(file: _File) -> None:
    """Add a master key to a file, which is not active yet: the first step of a rotation.

    Give the file to all processes of the application, then activate the key.
    """
    with one_line_errors():
        before, after = KeyRing.edit(file, KeyRing.add)
        (made,) = set(after.ids) - set(before.ids)
        note(
            f"added: give {visible(str(file))} to all processes, wait until they have read it "
            f"(key_cache_seconds), then sojourn keys activate {visible(str(file))} {made}"
        )
        show(made)


@commands.command("activate", epilog=epilog("sojourn keys activate keys.json 0f1e2d3c4b5a6978"))
def _activate(file: _File, key: _MasterId) -> None:
    """Let a master key of a file wrap new data keys: the second step of a rotation.

    Give the file to all processes once more, then run `sojourn keys rotate`.
    """
    with one_line_errors():
        KeyRing.edit(file, lambda ring: ring.activate(key))
        show(f"{key} is the active key of {visible(str(file))}.")


@commands.command("migrating", epilog=epilog("sojourn keys migrating keys.json off"))
def _migrating(
    file: _File,
    state: Annotated[
        str, typer.Argument(metavar="on|off", show_default=False, help="Whether it is.")
    ],
) -> None:
    """Say whether records in plain text are accepted, while a store with data is being sealed."""
    with one_line_errors():
        if state not in ("on", "off"):
            raise InvalidInput("It is on or off.")
        KeyRing.edit(file, lambda ring: ring.migrate(migrating=state == "on"))
        accepted = "accepted" if state == "on" else "refused"
        show(f"Plain text is {accepted} by who opens a store with {visible(str(file))}.")


@commands.command(
    "ls",
    epilog=epilog(
        "sojourn keys ls --keys keys.json",
        "sojourn keys ls redis://localhost:6379 --keys keys.json --json",
    ),
)
def _ls(
    server: Server = None,
    *,
    keys: Keys = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """List the master keys by their ids, and how many data keys of the store each wraps."""
    with connect_to(server, url, namespace, keys=keys) as store:
        usage = store.run(store.admin.keys.usage())
        rows = [
            (name, name == usage.active, name not in usage.missing, count)
            for name, count in usage.wraps.items()
        ]
        if as_json:
            names = ("id", "active", "known", "data_keys")
            write_json(dict(zip(names, row, strict=True)) for row in rows)
        else:
            columns = (Column("id", whole=True), Column("data keys", right=True), Column("state"))
            table = [
                (name, f"{count:,}", "active" if active else "" if known else "missing here")
                for name, active, known, count in rows
            ]
            show(Table(columns, table))
        if usage.missing:
            note(
                f"{counted(len(usage.missing), 'master key')} that data keys need "
                "are not in this file: add them, or what these seal cannot be read"
            )
        if usage.unreadable:
            note(
                f"the data keys of {counted(usage.unreadable, 'user or app', 'users and apps')} "
                "cannot be read: they were damaged, or a newer version wrote them"
            )


@commands.command(
    "rotate",
    epilog=epilog(
        "sojourn keys rotate --keys keys.json",
        more="Stopped half-way, run it again: it finishes. It may run under live traffic.",
    ),
)
def _rotate(
    server: Server = None,
    *,
    keys: Keys = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Wrap all data keys by the active master key: the last step of a rotation.

    No record is read or written. Afterwards `sojourn keys retire` takes the old key out.
    """
    with connect_to(server, url, namespace, keys=keys) as store:
        with _progress("rewrapping") as progress:
            done = store.run(store.admin.keys.rotate(progress=progress))
        if as_json:
            write_json([{**done._asdict(), "masters": sorted(done.masters)}])
        else:
            show(
                f"Rewrapped {counted(done.rewrapped, 'data key')} of "
                f"{counted(done.owners, 'user or app', 'users and apps')} on {store.where}; "
                f"{done.already:,} were wrapped by the active key already."
            )
        if done.failed:
            needed = f" They need: {', '.join(sorted(done.masters))}." if done.masters else ""
            raise Ended(
                f"error: {counted(done.failed, 'data key')} cannot be opened and stay as they "
                f"were.{needed}",
                ExitCode.NEEDS_CHANGE,
            )


@commands.command(
    "retire",
    epilog=epilog(
        "sojourn keys retire keys.json 0f1e2d3c4b5a6978 redis://localhost:6379",
        more="Where several stores use one file, run sojourn keys ls on each of them first.",
    ),
)
def _retire(
    file: _File,
    key: _MasterId,
    server: Server = None,
    *,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Take a master key out of a file, if it wraps no data key of the store any more.

    Backups that were made before the rotation need it: keep a copy as long as you keep them.
    """
    with connect_to(server, url, namespace, keys=str(file)) as store:
        KeyRing.load(file).remove(key)  # unless it cannot be
        usage = store.run(store.admin.keys.usage())
        if usage.wraps.get(key):
            raise Ended(
                f"error: {key} wraps {counted(usage.wraps[key], 'data key')} on {store.where}: run "
                "sojourn keys rotate first.",
                ExitCode.NEEDS_CHANGE,
            )
        if usage.unreadable:
            raise Ended(
                "error: the data keys of "
                f"{counted(usage.unreadable, 'user or app', 'users and apps')} cannot be read, so "
                "nobody knows which master key they need.",
                ExitCode.NEEDS_CHANGE,
            )
        KeyRing.edit(file, lambda ring: ring.remove(key))
        show(f"{key} is no more in {visible(str(file))}.")


@commands.command("sweep", epilog=epilog("sojourn keys sweep"))
def _sweep(
    *,
    keys: Keys = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Remove the data keys of users of whom nothing is left. Looks at every key of the server.

    It takes two sweeps, 30 days apart: the first one only notes of whom nothing is left.
    """
    with connect(url, namespace, keys=keys) as store:
        done = store.run(store.admin.keys.sweep())
        if as_json:
            write_json([done._asdict()])
        else:
            show(
                f"Of {counted(done.looked, 'user or app', 'users and apps')} with data keys, "
                f"{done.idle:,} have no record any more; the keys of {done.removed:,} were removed."
            )


@commands.command("readmit", epilog=epilog("sojourn keys readmit shop ada"))
def _readmit(app: App, user: User, *, url: Url = None, namespace: Namespace = None) -> None:
    """Let a user who was forgotten, and returns within 30 days, have a new data key.

    What was sealed before stays unreadable.
    """
    with connect(url, namespace) as store:
        whom = f"User {visible(user)} of app {visible(app)}"
        if store.run(store.admin.keys.readmit(app, user)):
            show(f"{whom} gets a new data key with the next write.")
        else:
            show(f"{whom} was not forgotten, or not within 30 days.")


@contextmanager
def _progress(title: str) -> Generator[Callable[[int, int], object]]:
    with bar(TextColumn(title), BarColumn(), MofNCompleteColumn()) as progress:
        task = progress.add_task(title, total=None)

        def told(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield told
