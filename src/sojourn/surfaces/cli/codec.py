"""`sojourn codec`: dictionaries for compression, trained on what an app has stored."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, TextColumn

from sojourn.errors import InvalidInput
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import bar, note, show, write_json
from sojourn.surfaces.cli.jobs import Rate, progress_bar, report
from sojourn.surfaces.cli.options import App, Json, Namespace, Url
from sojourn.surfaces.cli.plain import counted, visible
from sojourn.surfaces.cli.root import CHECK, epilog, group
from sojourn.surfaces.cli.tables import Column, Table
from sojourn.transfer.training import train

_Keys = Annotated[
    str | None,
    typer.Option(
        "--keys",
        metavar="FILE",
        show_default=False,
        help="The file of master keys, or env:VARIABLE; else the environment's SOJOURN_KEYS.",
    ),
]

commands = group("codec", "Train and retire dictionaries for compression.", CHECK)


@commands.command(
    "train",
    epilog=epilog(
        "sojourn codec train --app shop --out shop.dictionary",
        "sojourn codec train --app shop --store",
        more="A dictionary holds pieces of what users have stored. With keys it is sealed, and "
        "holds only pieces that 20 users have.",
    ),
)
def _train(
    *,
    app: Annotated[str, typer.Option("--app", metavar="APP", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", show_default=False, help="Write it here."),
    ] = None,
    store_it: Annotated[
        bool,
        typer.Option("--store", help="Store it, and compress the app's new values with it."),
    ] = False,
    keys: _Keys = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Train a dictionary on the sessions of an app, which makes its records smaller.

    With neither --out nor --store it only says what came of it.
    """
    with connect(url, namespace, keys=keys) as store:
        if out is not None and out.exists():
            raise InvalidInput(f"{visible(str(out))} is there already.")
        with _progress("reading") as progress:
            made = store.run(train(store.store, app, progress=progress))
        name, content = made.dictionary.id, made.dictionary.content
        if out is not None:
            out.touch(mode=0o600, exist_ok=False)
            out.write_bytes(content)
            note(f"written: {visible(str(out))}. It holds pieces of what users have stored")
        if store_it:
            admin = store.admin.dictionaries
            added = admin.add(app, made.dictionary, users=made.users, seen_by=made.seen_by)
            store.run(added)
        if as_json:
            write_json(
                [
                    {
                        "id": name,
                        "size": len(content),
                        "samples": made.samples,
                        "users": len(made.users),
                        "seen_by": made.seen_by,
                        "stored": store_it,
                    }
                ]
            )
        else:
            show(
                f"{name}: {len(content):,} bytes, of {counted(made.samples, 'value')} of "
                f"{counted(len(made.users), 'user')}"
                + (f", each piece of {made.seen_by} users" if made.seen_by > 1 else "")
                + (f"; new values of {visible(app)} get it within a minute." if store_it else ".")
            )


@commands.command("ls", epilog=epilog("sojourn codec ls shop"))
def _ls(
    app: App,
    *,
    keys: _Keys = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """List the dictionaries that an app can use; the active one compresses new values."""
    with connect(url, namespace, keys=keys) as store:
        found = store.run(store.admin.dictionaries.ls(app))
        if as_json:
            write_json(each._asdict() for each in found)
            return
        columns = (
            Column("id", whole=True),
            Column("bytes", right=True),
            Column("users", right=True),
            Column("state"),
        )
        rows = [
            (
                each.id,
                f"{each.size:,}",
                f"{each.users:,}" if each.made else "",
                ", ".join(
                    word
                    for word, holds in (
                        ("active", each.active),
                        ("shipped", not each.made),
                        ("sealed", each.sealed),
                        (f"of {each.seen_by} users", each.seen_by > 1),
                    )
                    if holds
                ),
            )
            for each in found
        ]
        show(Table(columns, rows))


@commands.command("retire", epilog=epilog("sojourn codec retire shop k3J9xQ"))
def _retire(
    app: App,
    name: Annotated[
        str, typer.Argument(metavar="ID", show_default=False, help="Of a dictionary: codec ls.")
    ],
    *,
    keys: _Keys = None,
    rate: Rate = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Write all that needs a dictionary anew, under live traffic, then delete it.

    It may be stopped at any moment and run again, and takes a minute at least. Run it with the
    settings of the application: SOJOURN_COMPRESSION, SOJOURN_KEYS, SOJOURN_SERIALIZER.
    """
    with connect(url, namespace, keys=keys) as store:
        with progress_bar("retiring") as tell:
            work = store.admin.retire_dictionary(app, name, rate=rate, progress=tell)
            done = store.run(work)
        report(done, f"{store.where}: dictionary {visible(name)}", as_json=as_json)


@contextmanager
def _progress(title: str) -> Generator[Callable[[int, int], object]]:
    with bar(TextColumn(title), BarColumn(), TextColumn("{task.completed:,} bytes")) as progress:
        task = progress.add_task(title, total=None)

        def told(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield told
