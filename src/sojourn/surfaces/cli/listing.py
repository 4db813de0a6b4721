"""`sojourn sessions ls`, and the walk over sessions that it shares with `clear`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from rich.table import Table
from rich.text import Text

from sojourn.ids import SessionKey, UserKey
from sojourn.sessions import Session, Sessions
from sojourn.surfaces.cli.console import note
from sojourn.surfaces.cli.plain import age, left, named, prose, shortened, visible

PAGE = 200
"""Rows below one table header."""
_AT_ONCE = 500
"""Sessions that are read at once."""
_TITLE, _STATUS = 30, 12
"""Characters of a title and a status in the table; `show` has them whole."""

Batch = Sequence[Session[Any]]


class LeftOut:
    """Sessions that a walk has passed over.

    Attributes:
        corrupt: those that cannot be read, and users whose index cannot.
        newer: those that only a newer version of Sojourn can read.
    """

    def __init__(self) -> None:
        self.corrupt: list[SessionKey | UserKey] = []
        self.newer: list[SessionKey] = []

    def __bool__(self) -> bool:
        return bool(self.corrupt or self.newer)

    def clear(self) -> None:
        """Begin anew."""
        self.corrupt.clear()
        self.newer.clear()


class Filters(TypedDict, total=False):
    """The filters of `Sessions.list`."""

    pattern: str | None
    status: str | None
    labels: Mapping[str, str] | None
    newest_first: bool


async def walk(
    sessions: Sessions,
    app: str | None,
    user: str | None,
    left_out: LeftOut,
    **wanted: Unpack[Filters],
) -> AsyncIterator[Session[Any]]:
    """The sessions of an app or of all apps; of one user (who may be empty) or of all users.

    Those that cannot be read are added to `left_out`; `wanted` are the filters of `Sessions.list`.
    """
    async for name in every_app(sessions, app):
        cursor = None
        while True:
            found = await sessions.list(name, user, limit=_AT_ONCE, cursor=cursor, **wanted)
            left_out.corrupt += [*found.corrupt, *found.corrupt_users]
            left_out.newer += found.newer
            for session in found.sessions:
                yield session
            cursor = found.cursor
            if cursor is None:
                break


async def every_app(sessions: Sessions, app: str | None) -> AsyncIterator[str]:
    """One app, or all."""
    if app is not None:
        yield app
        return
    cursor = None
    while True:
        found = await sessions.apps(cursor=cursor)
        for name in found.names:
            yield name
        cursor = found.cursor
        if cursor is None:
            return


async def list_sessions(
    found: AsyncIterator[Session[Any]], limit: int | None, show: Callable[[Batch], None]
) -> str:
    """Show the sessions batch by batch; returns what to note about their number."""
    batch: list[Session[Any]] = []
    count = 0
    more = False
    async for session in found:
        if count == limit:
            more = True
            break
        batch.append(session)
        count += 1
        if len(batch) == PAGE:
            show(batch)
            batch = []
    if batch:
        show(batch)
    return f"{counted(count)}; there are more" if more else counted(count)


def note_left_out(left_out: LeftOut, what: str) -> None:
    """Say that sessions were passed over because they, or the indexes of users, cannot be read."""
    corrupt = [each for each in left_out.corrupt if isinstance(each, SessionKey)]
    for keys, why in (
        (corrupt, "cannot be read"),
        (left_out.newer, "can only be read by a newer version of Sojourn"),
    ):
        if keys:
            many = f"{counted(len(keys))}, the first is " if len(keys) > 1 else ""
            note(f"{why} and {what}: {many}{named(keys[0])}")
    for owner in (each for each in left_out.corrupt if isinstance(each, UserKey)):
        who = f"user {visible(owner.user)} of app {visible(owner.app)}"
        note(f"{what}: the sessions of {who}, whose index is a key of another type")


def counted(count: int) -> str:
    """A number of sessions in words."""
    return {0: "no sessions", 1: "1 session"}.get(count, f"{count:,} sessions")


def table(batch: Batch) -> Table:
    """Sessions as rows. Ids fold and are never cut, so that they can be copied."""
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("app", "user", "session"):
        rows.add_column(name, overflow="fold")
    titled = any(session.title for session in batch)
    if titled:
        rows.add_column("title", overflow="fold")
    rows.add_column("status", no_wrap=True)
    rows.add_column("events", justify="right", no_wrap=True)
    rows.add_column("updated", no_wrap=True)
    rows.add_column("expires", no_wrap=True)
    for session in batch:
        rows.add_row(*_cells(session, titled=titled))
    return rows


def _cells(session: Session[Any], *, titled: bool) -> list[Text]:
    expires = session.expires
    return [
        *(Text(visible(part)) for part in session.key),
        *([Text(shortened(prose(session.title), _TITLE))] if titled else []),
        Text(shortened(prose(session.status), _STATUS)),
        Text(f"{session.length:,}"),
        Text(age(session.updated)),
        Text("never" if expires is None else f"in {left(expires)}"),
    ]
