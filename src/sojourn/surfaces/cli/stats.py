"""`sojourn stats`: whether a store answers, and how much it holds."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import typer

from sojourn.client import Sojourn
from sojourn.stats import Health
from sojourn.surfaces.cli.connection import connect_to
from sojourn.surfaces.cli.console import note, show, write_json
from sojourn.surfaces.cli.listing import SkippedSessions, every_app, every_user, note_left_out, walk
from sojourn.surfaces.cli.options import Json, Namespace, Server, Url
from sojourn.surfaces.cli.plain import age, counted, prose, visible
from sojourn.surfaces.cli.root import LOOK, app, epilog
from sojourn.surfaces.cli.tables import Column, Table


class _Figures(NamedTuple):
    """What an app has; sessions and events only where they were counted."""

    app: str
    users: int
    sessions: int | None = None
    events: int | None = None
    updated: float | None = None


@app.command(
    "stats",
    rich_help_panel=LOOK,
    epilog=epilog(
        "sojourn stats",
        "sojourn stats redis://localhost:6379 --namespace shop",
        "sojourn stats --sessions --json",
        more="Figures of a process, as its retries and cache hits, are in `store.stats()` there.",
    ),
)
def stats(
    server: Server = None,
    *,
    sessions: Annotated[
        bool, typer.Option("--sessions", help="Count sessions and events; reads all sessions.")
    ] = False,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Say whether a store answers and how fast, and count its apps and users. It only reads."""
    with connect_to(server, url, namespace) as store:
        left_out = SkippedSessions()
        health = store.run(store.store.health())
        figures = store.run(_figures(store.store, left_out, sessions_too=sessions))
        if as_json:
            write_json([_document(store.store, health, figures)])
        else:
            show(_nodes(health))
            if figures:
                show("", _apps(figures))
        note(counted(len(figures), "app"))
        note_left_out(left_out, "not counted")


async def _figures(
    store: Sojourn, left_out: SkippedSessions, *, sessions_too: bool
) -> list[_Figures]:
    figures: list[_Figures] = []
    async for name in every_app(store.admin, None):
        users = 0
        async for _ in every_user(store.admin, name):
            users += 1
        found = _Figures(name, users)
        if sessions_too:
            found = await _counted(store, found, left_out)
        figures.append(found)
    return figures


async def _counted(store: Sojourn, found: _Figures, left_out: SkippedSessions) -> _Figures:
    count = events = 0
    updated: float | None = None
    async for session in walk(store, found.app, None, left_out):
        count += 1
        events += session.length
        updated = session.updated if updated is None else max(updated, session.updated)
    return found._replace(sessions=count, events=events, updated=updated)


def _document(store: Sojourn, health: Health, figures: list[_Figures]) -> dict[str, Any]:
    return {
        "kind": store.stats().kind,
        "where": store.where,
        "available": health.available,
        "nodes": [node._asdict() for node in health.nodes],
        "apps": [each._asdict() for each in figures],
    }


def _nodes(health: Health) -> Table:
    columns = (
        Column("server", whole=True),
        Column("answers"),
        Column("problem", text=True, optional=""),
    )
    rows = [
        (
            prose(node.where),
            "no" if node.latency is None else f"in {1000 * node.latency:.1f} ms",
            prose(node.problem),
        )
        for node in health.nodes
    ]
    return Table(columns, rows)


def _apps(figures: list[_Figures]) -> Table:
    columns = (
        Column("app", whole=True),
        Column("users", right=True),
        Column("sessions", right=True, optional=""),
        Column("events", right=True, optional=""),
        Column("updated", optional=""),
    )
    rows = [
        (
            visible(each.app),
            f"{each.users:,}",
            "" if each.sessions is None else f"{each.sessions:,}",
            "" if each.events is None else f"{each.events:,}",
            "" if each.updated is None else age(each.updated),
        )
        for each in figures
    ]
    return Table(columns, rows)
