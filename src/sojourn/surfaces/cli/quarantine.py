"""`sojourn quarantine`: what could not be read of a store, with its bytes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sojourn.sessions import Quarantined, Sessions
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import note, show, write_json
from sojourn.surfaces.cli.events import Hanging
from sojourn.surfaces.cli.exits import EPILOG, HELP, Ended, ExitCode
from sojourn.surfaces.cli.listing import PAGE, every_app
from sojourn.surfaces.cli.options import (
    App,
    Json,
    Namespace,
    OnlyApp,
    OnlyUser,
    RecordId,
    Url,
    User,
    Yes,
)
from sojourn.surfaces.cli.plain import age, lines, moment, prose, visible

commands = typer.Typer(rich_markup_mode="markdown", epilog=HELP)

_SHOWN = 4096
"""Bytes that people are shown; `--json` has all."""
_ROW = 16
"""Bytes of a line of a dump."""


class _Found(NamedTuple):
    """A record, and whose quarantine it is in."""

    app: str
    user: str
    record: Quarantined

    def document(self) -> dict[str, Any]:
        """A line of `ls --json`: all but the bytes."""
        record = self.record
        return {
            "app": self.app,
            "user": self.user,
            "id": record.id,
            "key": record.key,
            "field": record.field,
            "reason": record.reason,
            "time": record.time,
            "size": record.size,
        }


@commands.command("ls", epilog=HELP)
def _ls(
    *,
    app: OnlyApp = None,
    user: OnlyUser = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """List what could not be read: of a user, of an app, or all. Oldest first for each user."""
    with connect(url, namespace) as store:
        note(store.run(_list(_walk(store.sessions, app, user), as_json=as_json)))


@commands.command("show", epilog=f"{EPILOG}\n\n{HELP}")
def _show(
    app: App,
    user: User,
    record: RecordId,
    *,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Show a record: what was wrong, and its bytes as text and in hexadecimal."""
    with connect(url, namespace) as store:
        kept = store.run(store.sessions.quarantined(app, user))
        found = next((_Found(app, user, each) for each in kept if each.id == record), None)
        if found is None:
            raise _missing(app, user, record)
        if as_json:
            raw = b64encode(found.record.raw).decode()
            write_json([{**found.document(), "raw": raw}])
        else:
            show(*_detail(found))


@commands.command("rm", epilog=f"{EPILOG}\n\n{HELP}")
def _rm(
    app: App,
    user: User,
    record: RecordId,
    *,
    yes: Yes = False,  # noqa: ARG001 - one needs no confirmation, but scripts may give it
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Take one record out of the quarantine, without asking. What still stands elsewhere stays."""
    with connect(url, namespace) as store:
        if not store.run(store.sessions.release(app, user, record)):
            raise _missing(app, user, record)
        show(f"Removed {_named(app, user, record)}. Where it came from, nothing was changed.")


async def _walk(
    sessions: Sessions, app: str | None, user: str | None
) -> AsyncIterator[Sequence[_Found]]:
    """What is in the quarantines, user by user."""
    async for name in every_app(sessions, app):
        async for each in _users(sessions, name, user):
            records = await sessions.quarantined(name, each)
            if records:
                yield [_Found(name, each, record) for record in records]


async def _users(sessions: Sessions, app: str, user: str | None) -> AsyncIterator[str]:
    if user is not None:
        yield user
        return
    cursor = None
    while True:
        page = await sessions.users(app, limit=PAGE, cursor=cursor)
        for name in page.names:
            yield name
        cursor = page.cursor
        if cursor is None:
            return


async def _list(found: AsyncIterator[Sequence[_Found]], *, as_json: bool) -> str:
    """Show the records, user by user; returns what to note about their number."""
    count = 0
    async for records in found:
        if as_json:
            write_json(each.document() for each in records)
        else:
            show(_table(records))
        count += len(records)
    return {0: "no records", 1: "1 record"}.get(count, f"{count:,} records")


def _table(records: Sequence[_Found]) -> Table:
    """Records as rows. What is needed to copy folds and is never cut."""
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("app", "user", "id", "key", "field"):
        rows.add_column(name, overflow="fold")
    rows.add_column("bytes", justify="right", no_wrap=True)
    rows.add_column("found", no_wrap=True)
    rows.add_column("reason", overflow="fold")
    for app, user, record in records:
        rows.add_row(
            *(Text(visible(part)) for part in (app, user, record.id, record.key)),
            Text(visible(record.field) if record.field else ""),
            Text(f"{record.size:,}"),
            Text(age(record.time)),
            Text(prose(record.reason)),
        )
    return rows


def _detail(found: _Found) -> Iterator[RenderableType]:
    app, user, record = found
    fields = {
        "app": visible(app),
        "user": visible(user),
        "id": visible(record.id),
        "key": visible(record.key),
        "field": visible(record.field) if record.field else "(the whole key)",
        "reason": prose(record.reason),
        "found": f"{moment(record.time)}  ({age(record.time)})",
        "bytes": _bytes(record),
    }
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields.items():
        grid.add_row(name, Text(value))
    yield grid
    if record.raw:
        data = record.raw[:_SHOWN]
        yield Text("\ntext", "bold")
        text = "\n".join(lines(data.decode(errors="backslashreplace")))
        yield Hanging(Text(text), first=4)
        yield Text("\nhexadecimal", "bold")
        yield Text("\n".join(_dump(data)), no_wrap=True, overflow="ignore")


def _bytes(record: Quarantined) -> str:
    words = [f"{record.size:,}"]
    if len(record.raw) < record.size:
        words.append(f"the first {len(record.raw):,} are kept")
    if len(record.raw) > _SHOWN:
        words.append(f"the first {_SHOWN:,} are shown, --json has all that are kept")
    return "; ".join(words)


def _dump(data: bytes) -> Iterator[str]:
    """Lines of offset, bytes in hexadecimal, and what of them is printable ASCII."""
    for start in range(0, len(data), _ROW):
        row = data[start : start + _ROW]
        text = row.decode("ascii", "replace")
        safe = "".join(each if each.isascii() and each.isprintable() else "." for each in text)
        yield f"    {start:08x}  {row.hex(' '):<{3 * _ROW - 1}}  {safe}"


def _named(app: str, user: str, record: str) -> str:
    return f"record {visible(record)} of user {visible(user)} of app {visible(app)}"


def _missing(app: str, user: str, record: str) -> Ended:
    name = _named(app, user, record)
    return Ended(f"error: there is no {name} in the quarantine", ExitCode.NOT_FOUND)
