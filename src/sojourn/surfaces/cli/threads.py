"""`sojourn threads`: list, show, delete and prune threads of checkpoints."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from msgspec import to_builtins

from sojourn.checkpoints import StoredCheckpoint, ThreadKey
from sojourn.checkpoints.objects import plain
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import note, show, write_json
from sojourn.surfaces.cli.exits import Ended, ExitCode
from sojourn.surfaces.cli.options import App, Json, Namespace, Url, User
from sojourn.surfaces.cli.plain import age, counted, visible
from sojourn.surfaces.cli.root import epilog, group
from sojourn.surfaces.cli.tables import Column, Table

_Thread = Annotated[str, typer.Argument(metavar="THREAD", show_default=False)]
_OWNER = "Without an owner, LangGraph's threads belong to the app langgraph and a user of their id."

commands = group("threads", "Look at the threads of a store: checkpoints of graphs.")


@commands.command(
    "ls",
    epilog=epilog(
        "sojourn threads ls shop ada",
        "sojourn threads ls langgraph t1",
        "sojourn threads ls shop ada --json",
        more=_OWNER,
    ),
)
def _ls(
    app: App,
    user: User,
    *,
    limit: Annotated[int, typer.Option(help="How many at most.")] = 50,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """List the threads of a user, the newest first."""
    with connect(url, namespace) as store:
        page = store.run(store.store.threads.list(app, user, limit=limit))
        count = f"{counted(len(page.threads), 'thread')}{'; there are more' * bool(page.cursor)}"
        if as_json:
            write_json([{"app": app, "user": user, **to_builtins(each)} for each in page.threads])
            note(count)
            return
        columns = [
            Column("thread", whole=True),
            Column("title", text=True),
            Column("checkpoints", right=True),
            Column("updated"),
        ]
        rows = [
            [
                visible(each.thread),
                "(newer format)" if each.newer else visible(each.title),
                f"{each.checkpoints:,}",
                age(each.updated),
            ]
            for each in page.threads
        ]
        if rows:
            show(Table(columns, rows))
        note(count)


@commands.command(
    "show",
    epilog=epilog("sojourn threads show shop ada t1", more=_OWNER),
)
def _show(
    app: App,
    user: User,
    thread: _Thread,
    *,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", metavar="ID", help="This one; else the last.")
    ] = None,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Show a checkpoint with its values and writes, as JSON."""
    with connect(url, namespace) as store:
        key = ThreadKey.of(app, user, thread)
        found = store.run(store.store.threads.get(key, checkpoint))
        if found is None:
            raise Ended(f"error: there is no such thread on {store.where}.", ExitCode.NOT_FOUND)
        write_json([_document(found)])


@commands.command("rm", epilog=epilog("sojourn threads rm shop ada t1", more=_OWNER))
def _rm(
    app: App,
    user: User,
    thread: _Thread,
    *,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Delete a thread."""
    with connect(url, namespace) as store:
        if not store.run(store.store.threads.delete(ThreadKey.of(app, user, thread))):
            raise Ended(f"error: there is no such thread on {store.where}.", ExitCode.NOT_FOUND)
        show(f"Deleted thread {visible(thread)} on {store.where}.")


@commands.command("prune", epilog=epilog("sojourn threads prune shop ada t1 --keep 10"))
def _prune(
    app: App,
    user: User,
    thread: _Thread,
    *,
    keep: Annotated[int, typer.Option(help="Checkpoints that stay, of each namespace.")] = 1,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Delete all but the newest checkpoints of a thread, and those that these need."""
    with connect(url, namespace) as store:
        removed = store.run(store.store.threads.prune(ThreadKey.of(app, user, thread), keep=keep))
        show(f"Deleted {counted(removed, 'checkpoint', 'checkpoints')} on {store.where}.")


def _document(found: StoredCheckpoint) -> dict[str, Any]:
    return {
        "namespace": found.place.namespace,
        "checkpoint": found.place.id,
        "parent": found.parent or None,
        "data": found.data,
        "metadata": found.metadata,
        "values": {name: plain(value) for name, value in found.values.items()},
        "writes": [
            {"task": each.task, "channel": each.channel, "value": plain(each.value)}
            for each in found.writes
        ],
    }
