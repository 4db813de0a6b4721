"""`sojourn memory`: list, show, search and delete what is remembered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from msgspec import to_builtins
from rich.console import RenderableType
from rich.text import Text

from sojourn.admin import Admin
from sojourn.codecs.codec import Sealed
from sojourn.errors import KeyMissing
from sojourn.memory import Entry, Hit, Kind, Memory, MemoryPage, MemoryScope
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import note, show, write_json
from sojourn.surfaces.cli.events import Hanging, pretty_json
from sojourn.surfaces.cli.exits import EPILOG, Ended, ExitCode
from sojourn.surfaces.cli.listing import pages
from sojourn.surfaces.cli.options import App, FirstOnly, Json, Namespace, Oldest, Url
from sojourn.surfaces.cli.plain import age, counted, left, lines, moment, prose, shortened, visible
from sojourn.surfaces.cli.root import epilog, group
from sojourn.surfaces.cli.sealed import sealed_entries, sealed_member, sealed_text
from sojourn.surfaces.cli.tables import Column, Fields, Table

_VALUE = 60
"""Characters of a value in a table; `show` has it whole."""
_AT_ONCE = 500


class _ScopeKind(StrEnum):
    """Whose memory: `Kind` as typer wants it."""

    USER = "user"
    AGENT = "agent"
    KNOWLEDGE = "knowledge"
    SESSIONS = "sessions"
    EVENTS = "events"


_Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
_AnyName = Annotated[str | None, typer.Argument(metavar="[NAME]", show_default=False)]
_Key = Annotated[str, typer.Argument(metavar="KEY", show_default=False)]
_Whose = Annotated[_ScopeKind, typer.Option("--kind", help="What NAME is.", show_choices=True)]

_NAMES = (
    "NAME is a user, an agent (--kind agent) or a category (--kind knowledge); --kind sessions and "
    "--kind events have what is remembered of a user's sessions. Entries that were stored without "
    "an app are in the app `memory`. "
) + EPILOG

commands = group("memory", "Look into the memory of a store.")


@commands.command(
    "ls",
    epilog=epilog(
        "sojourn memory ls shop",
        "sojourn memory ls shop ada",
        "sojourn memory ls shop ada --prefix tea --oldest",
        "sojourn memory ls shop --kind agent --json",
        more=_NAMES,
    ),
)
def _ls(
    app: App,
    name: _AnyName = None,
    *,
    kind: _Whose = _ScopeKind.USER,
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="Only keys that begin so.")] = "",
    limit: FirstOnly = 100,
    oldest: Oldest = False,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """List what is remembered of NAME, those changed last first; without NAME, who has entries."""
    with connect(url, namespace) as store:
        if name is None:
            names = store.run(_names(store.admin, app, kind.value, limit))
            if as_json:
                write_json({"app": app, "kind": kind.value, "name": each} for each in names)
            else:
                show(*(Text(visible(each)) for each in names))
            note(counted(len(names), "name"))
            return
        scope = _scope(store.store.memory, app, kind, name)
        found, more = store.run(_entries(scope, prefix, limit, oldest=oldest))
        sealed = store.run(sealed_entries(store.store, scope.key, found.newer))
        if as_json:
            write_json(_document(scope, each) for each in found.entries)
            write_json(_sealed_document(scope, *each) for each in sealed.items())
        elif found.entries or sealed:
            show(_table(found.entries, sealed))
        count = counted(len(found.entries) + len(sealed), "entry", "entries")
        note(f"{count}{'; there are more' * more}")
        for keys, why in (
            (found.corrupt, "cannot be read"),
            (
                [key for key in found.newer if key not in sealed],
                "can only be read by a newer version of Sojourn",
            ),
        ):
            if keys:
                note(f"{why} and not listed: {', '.join(map(visible, keys[:10]))}")


@commands.command(
    "show",
    epilog=epilog(
        "sojourn memory show shop ada preferences",
        "sojourn memory show shop ada preferences --json",
        more=_NAMES,
    ),
)
def _show(
    app: App,
    name: _Name,
    key: _Key,
    *,
    kind: _Whose = _ScopeKind.USER,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Show an entry: its value, its metadata and its times."""
    with connect(url, namespace) as store:
        scope = _scope(store.store.memory, app, kind, name)
        try:
            entry = store.run(scope.entry(key))
        except KeyMissing:
            sealed = store.run(sealed_entries(store.store, scope.key, [key])).get(key)
            if sealed is None:
                raise
            if as_json:
                write_json([_sealed_document(scope, key, sealed)])
            else:
                show(Text(f"{_named(scope, key)}: {sealed_text(sealed)}"))
            raise typer.Exit(ExitCode.SERVER) from None
        if entry is None:
            raise _missing(scope, key)
        if as_json:
            write_json([_document(scope, entry)])
        else:
            show(*_detail(scope, entry))


@commands.command(
    "search",
    epilog=epilog(
        'sojourn memory search shop ada "which tea"',
        'sojourn memory search shop tea --kind knowledge "green" --limit 3',
        more=_NAMES,
    ),
)
def _search(
    app: App,
    name: _Name,
    query: Annotated[str, typer.Argument(metavar="TEXT", show_default=False)],
    *,
    kind: _Whose = _ScopeKind.USER,
    limit: FirstOnly = 10,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Search what is remembered of NAME by words, the best first."""
    with connect(url, namespace) as store:
        scope = _scope(store.store.memory, app, kind, name)
        hits = store.run(scope.search(query, limit=limit))
        if as_json:
            write_json({**_document(scope, hit.entry), "score": hit.score} for hit in hits)
        elif hits:
            show(_hits(hits))
        note(counted(len(hits), "entry", "entries"))


@commands.command("rm", epilog=epilog("sojourn memory rm shop ada preferences", more=_NAMES))
def _rm(
    app: App,
    name: _Name,
    key: _Key,
    *,
    kind: _Whose = _ScopeKind.USER,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Delete one entry, without asking; also one that cannot be read."""
    with connect(url, namespace) as store:
        scope = _scope(store.store.memory, app, kind, name)
        if not store.run(scope.delete(key)):
            raise _missing(scope, key)
        show(f"Deleted {_named(scope, key)}.")


def _scope(memory: Memory, app: str, kind: _ScopeKind, name: str) -> MemoryScope:
    scope: MemoryScope = getattr(memory, kind)(name, app=app)
    return scope


async def _names(admin: Admin, app: str, kind: Kind, limit: int) -> list[str]:
    names: list[str] = []
    async for page in pages(admin.memory.scopes, kind, app=app, limit=_AT_ONCE):
        names += page.names
        if len(names) >= limit:
            break
    return sorted(names)[:limit]


async def _entries(
    scope: MemoryScope, prefix: str, limit: int, *, oldest: bool
) -> tuple[MemoryPage, bool]:
    """Entries by their last change, and whether there are more; for the oldest all are read."""
    found = MemoryPage([], None)
    async for page in pages(scope.list, limit=_AT_ONCE, prefix=prefix, newest_first=True):
        found.entries.extend(page.entries)
        found.corrupt.extend(page.corrupt)
        found.newer.extend(page.newer)
        if len(found.entries) > limit and not oldest:
            break
    if oldest:
        found.entries.reverse()
    more = len(found.entries) > limit
    del found.entries[limit:]
    return found, more


def _table(entries: Sequence[Entry], sealed: Mapping[str, Sealed]) -> Table:
    columns = (
        Column("key", whole=True),
        Column("value", text=True),
        Column("updated"),
        Column("expires"),
    )
    rows = [(*_row(each), age(each.updated), _left(each)) for each in entries]
    unread = [(visible(key), sealed_text(each), "", "") for key, each in sealed.items()]
    return Table(columns, [*rows, *unread])


def _hits(hits: Sequence[Hit]) -> Table:
    columns = (Column("score", right=True), Column("key", whole=True), Column("value", text=True))
    return Table(columns, [(f"{hit.score:.3g}", *_row(hit.entry)) for hit in hits])


def _row(entry: Entry) -> tuple[str, str]:
    value = prose(json.dumps(entry.value, ensure_ascii=False))
    return visible(entry.key), shortened(value, _VALUE)


def _left(entry: Entry) -> str:
    return "never" if entry.expires is None else f"in {left(entry.expires)}"


def _detail(scope: MemoryScope, entry: Entry) -> Iterator[RenderableType]:
    until = "" if entry.expires is None else f", {moment(entry.expires)}"
    shown = {
        "app": visible(scope.key.app),
        scope.key.kind: visible(scope.key.name),
        "key": visible(entry.key),
        "version": f"{entry.version:,}",
        "created": f"{moment(entry.created)}  ({age(entry.created)})",
        "updated": f"{moment(entry.updated)}  ({age(entry.updated)})",
        "expires": _left(entry) + until,
        **({"tenant": visible(entry.tenant)} if entry.tenant else {}),
    }
    yield Fields({name: Text(value) for name, value in shown.items()}, (*shown,)[:3])
    yield Text("\nvalue", "bold")
    yield Hanging(pretty_json(entry.value), first=4)
    if entry.metadata:
        yield Text("\nmetadata", "bold")
        yield Hanging(pretty_json(entry.metadata), first=4)
    if entry.text is not None:
        yield Text("\ntext for the search", "bold")
        yield Hanging(Text("\n".join(lines(entry.text))), first=4)


def _document(scope: MemoryScope, entry: Entry) -> dict[str, Any]:
    return {**scope.key._asdict(), **to_builtins(entry)}


def _sealed_document(scope: MemoryScope, key: str, sealed: Sealed) -> dict[str, Any]:
    return {**scope.key._asdict(), "key": key, **sealed_member(sealed)}


def _named(scope: MemoryScope, key: str) -> str:
    of, kind, name = scope.key
    return f"entry {visible(key)} of {kind} {visible(name)} of app {visible(of)}"


def _missing(scope: MemoryScope, key: str) -> Ended:
    return Ended(f"error: there is no {_named(scope, key)}", ExitCode.NOT_FOUND)
