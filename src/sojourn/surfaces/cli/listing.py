"""`sojourn sessions ls`, and the walk over sessions that it shares with `clear`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypedDict, TypeVar, Unpack

import msgspec
from msgspec.structs import astuple

from sojourn.admin import Admin
from sojourn.client import Sojourn
from sojourn.ids import SessionKey, UserKey
from sojourn.sessions import Session
from sojourn.surfaces.cli.console import note
from sojourn.surfaces.cli.plain import age, counted, left, named, prose, shortened, visible
from sojourn.surfaces.cli.tables import Column, Table

PAGE = 200
"""Rows below one table header."""
_AT_ONCE = 500
"""Sessions that are read at once."""
_TITLE, _STATUS = 30, 12
"""Characters of a title and a status in the table; `show` has them whole."""

Batch = Sequence[Session[Any]]


class SkippedSessions:
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


class _Page(Protocol):
    @property
    def cursor(self) -> str | None: ...


P = TypeVar("P", bound=_Page)


async def pages(
    listed: Callable[..., Awaitable[P]], *args: Any, **options: Any
) -> AsyncIterator[P]:
    """The pages of a list, each from the cursor of the one before."""
    page = await listed(*args, **options)
    yield page
    while page.cursor is not None:
        page = await listed(*args, **options, cursor=page.cursor)
        yield page


S = TypeVar("S", bound=msgspec.Struct)


async def total(kind: type[S], parts: AsyncIterator[S]) -> S:
    """The sum of what was done page by page: their numbers; the last field is the cursor."""
    numbers = [0] * (len(kind.__struct_fields__) - 1)
    async for part in parts:
        numbers = [a + b for a, b in zip(numbers, astuple(part), strict=False)]
    return kind(*numbers, None)


class Filters(TypedDict, total=False):
    """The filters of `Sessions.list`."""

    pattern: str | None
    status: str | None
    labels: Mapping[str, str] | None
    newest_first: bool


async def walk(
    store: Sojourn,
    app: str | None,
    user: str | None,
    left_out: SkippedSessions,
    **wanted: Unpack[Filters],
) -> AsyncIterator[Session[Any]]:
    """The sessions of an app or of all apps; of one user (who may be empty) or of all users.

    Those that cannot be read are added to `left_out`; `wanted` are the filters of `Sessions.list`.
    """
    async for name in every_app(store.admin, app):
        async for found in pages(store.sessions.list, name, user, limit=_AT_ONCE, **wanted):
            left_out.corrupt += [*found.corrupt, *found.corrupt_users]
            left_out.newer += found.newer
            for session in found.sessions:
                yield session


async def every_app(admin: Admin, app: str | None) -> AsyncIterator[str]:
    """One app, or all."""
    if app is not None:
        yield app
        return
    async for found in pages(admin.apps):
        for name in found.names:
            yield name


async def every_user(admin: Admin, app: str, user: str | None = None) -> AsyncIterator[str]:
    """One user of an app, or all."""
    if user is not None:
        yield user
        return
    async for found in pages(admin.users, app, limit=_AT_ONCE):
        for name in found.names:
            yield name


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
    return f"{number_of_sessions(count)}; there are more" if more else number_of_sessions(count)


def note_left_out(left_out: SkippedSessions, what: str) -> None:
    """Say that sessions were passed over because they, or the indexes of users, cannot be read."""
    corrupt = [each for each in left_out.corrupt if isinstance(each, SessionKey)]
    for keys, why in (
        (corrupt, "cannot be read"),
        (left_out.newer, "can only be read by a newer version of Sojourn"),
    ):
        if keys:
            many = f"{counted(len(keys), 'session')}, the first is " if len(keys) > 1 else ""
            note(f"{why} and {what}: {many}{named(keys[0])}")
    for owner in (each for each in left_out.corrupt if isinstance(each, UserKey)):
        who = f"user {visible(owner.user)} of app {visible(owner.app)}"
        note(f"{what}: the sessions of {who}, whose index is a key of another type")


def number_of_sessions(count: int) -> str:
    """A number of sessions in words."""
    return counted(count, "session") if count else "no sessions"


def table(batch: Batch) -> Table:
    """Sessions as rows; a status only where one is not the usual."""
    return Table(_COLUMNS, [_cells(session) for session in batch])


_COLUMNS = (
    Column("app", whole=True),
    Column("user", whole=True),
    Column("session", whole=True),
    Column("title", text=True, optional=""),
    Column("status", optional="active"),
    Column("events", right=True),
    Column("updated"),
    Column("expires"),
)


def _cells(session: Session[Any]) -> list[str]:
    expires = session.expires
    return [
        *map(visible, session.key),
        shortened(prose(session.title), _TITLE),
        shortened(prose(session.status), _STATUS),
        f"{session.length:,}",
        age(session.updated),
        "never" if expires is None else f"in {left(expires)}",
    ]
