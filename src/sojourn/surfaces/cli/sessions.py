"""`sojourn sessions`: list, show, follow and delete the sessions of a store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Annotated

import typer
from rich.text import Text

from sojourn.admin import Admin
from sojourn.codecs.codec import Sealed
from sojourn.errors import KeyMissing
from sojourn.ids import SessionKey
from sojourn.sessions import Event, Swept, event_document
from sojourn.surfaces.cli import documents
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import note, show, write_json
from sojourn.surfaces.cli.detail import detail
from sojourn.surfaces.cli.events import event_block
from sojourn.surfaces.cli.exits import EPILOG, Ended, ExitCode, one_line_errors
from sojourn.surfaces.cli.following import follow
from sojourn.surfaces.cli.listing import (
    Batch,
    SkippedSessions,
    every_app,
    list_sessions,
    note_left_out,
    number_of_sessions,
    pages,
    table,
    total,
    walk,
)
from sojourn.surfaces.cli.options import (
    App,
    Json,
    Limit,
    Namespace,
    Oldest,
    OnlyApp,
    OnlyUser,
    SessionId,
    Url,
    User,
    Yes,
)
from sojourn.surfaces.cli.plain import named, visible
from sojourn.surfaces.cli.prefixes import missing, whole_key, whole_key_to_delete
from sojourn.surfaces.cli.removal import (
    UNTOUCHED,
    Removal,
    RemovalScope,
    confirm,
    progress_of,
    tally,
)
from sojourn.surfaces.cli.revoking import revoke
from sojourn.surfaces.cli.root import epilog, group
from sojourn.surfaces.cli.sealed import (
    sealed_member,
    sealed_session,
    sealed_sessions,
    sealed_text,
)
from sojourn.surfaces.cli.tables import Column, Table

_SHORT = "SESSION may be the beginning of an id that only one session of the user has. " + EPILOG
_SHORT_ASKED = (
    "SESSION may be the beginning of an id that only one session of the user has, where you are "
    "asked at a terminal. " + EPILOG
)

commands = group("sessions", "Look into the sessions of a store.")


@commands.command(
    "ls",
    epilog=epilog(
        "sojourn sessions ls",
        "sojourn sessions ls --app shop --user ada --limit 20",
        "sojourn sessions ls --label flow=returns --json",
        "sojourn sessions ls --url redis://localhost:6379 --oldest",
    ),
)
def _ls(
    *,
    app: OnlyApp = None,
    user: OnlyUser = None,
    pattern: Annotated[
        str | None, typer.Option(metavar="GLOB", help="Only ids that match, as 'order-*'.")
    ] = None,
    status: Annotated[str | None, typer.Option(metavar="WORD", help="Only of this status.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=WORD", help="Only with this label; may be given repeatedly."),
    ] = None,
    oldest: Oldest = False,
    limit: Limit = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """List sessions: of a user, of an app, or all, app by app. Those changed last come first."""
    with connect(url, namespace) as store:
        left_out = SkippedSessions()
        labels = dict(map(_label, label or ())) or None
        found = walk(
            store.store,
            app,
            user,
            left_out,
            pattern=pattern,
            status=status,
            labels=labels,
            newest_first=not oldest,
        )
        count = store.run(list_sessions(found, limit, _rows_as_json if as_json else _rows))
        sealed = store.run(sealed_sessions(store.store, left_out.newer))
        left_out.newer = [key for key in left_out.newer if key not in sealed]
        if as_json:
            write_json({**key._asdict(), **sealed_member(each)} for key, each in sealed.items())
        elif sealed:
            show(_sealed_table(sealed))
        note(count)
        if sealed:
            note(f"{number_of_sessions(len(sealed))} more, sealed with keys that are not here")
        note_left_out(left_out, "not listed")


def _sealed_table(sealed: Mapping[SessionKey, Sealed]) -> Table:
    columns = (*(Column(name, whole=True) for name in SessionKey._fields), Column("content"))
    rows = [[*map(visible, key), sealed_text(each)] for key, each in sealed.items()]
    return Table(columns, rows)


def _label(option: str) -> tuple[str, str]:
    name, equals, word = option.partition("=")
    if not equals:
        raise typer.BadParameter(f"{option!r} is no label: give it as NAME=WORD.")
    return name, word


def _rows(batch: Batch) -> None:
    show(table(batch))


def _rows_as_json(batch: Batch) -> None:
    write_json(map(documents.summary, batch))


@commands.command(
    "show",
    epilog=epilog(
        "sojourn sessions show shop ada 8e42",
        "sojourn sessions show shop ada 8e --last 5",
        "sojourn sessions show shop ada 8e42 --json",
        more=_SHORT,
    ),
)
def _show(
    app: App,
    user: User,
    session: SessionId,
    *,
    last: Annotated[int | None, typer.Option(min=0, help="Only the last N events.")] = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Show a session: its fields, its state and its events, the newest last."""
    with connect(url, namespace) as store:
        key = SessionKey.of(app, user, session)
        try:
            found = store.run(store.sessions.get(key, last=last))
            if found is None:
                key = store.run(whole_key(store.sessions, key))
                found = store.run(store.sessions.get(key, last=last))
        except KeyMissing:
            sealed = store.run(sealed_session(store.store, key))
            if sealed is None:
                raise
            if as_json:
                write_json([{**key._asdict(), **sealed_member(sealed)}])
            else:
                show(Text(f"{named(key)}: {sealed_text(sealed)}"))
            raise typer.Exit(ExitCode.SERVER) from None
        if found is None:
            raise missing(key)
        if as_json:
            write_json([documents.whole(found)])
        else:
            show(*detail(found))


@commands.command(
    "tail",
    epilog=epilog(
        "sojourn sessions tail shop ada 8e42",
        "sojourn sessions tail shop ada 8e --last 0 --json",
        more=_SHORT,
    ),
)
def _tail(
    app: App,
    user: User,
    session: SessionId,
    *,
    last: Annotated[int, typer.Option(min=0, help="First the last N events.")] = 10,
    interval: Annotated[float, typer.Option(min=0.01, help="Seconds between two looks.")] = 0.5,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Follow a session: show events as they come, until Ctrl-C or until the session ends."""
    with connect(url, namespace) as store:
        key = SessionKey.of(app, user, session)
        if store.run(store.sessions.get(key, last=0)) is None:
            key = store.run(whole_key(store.sessions, key))
        news = follow(store.sessions, key, last=last, interval=interval)
        with suppress(KeyboardInterrupt):
            store.run(_print(news, as_json=as_json))


async def _print(news: AsyncIterator[list[Event]], *, as_json: bool) -> None:
    async for events in news:
        if as_json:
            write_json(map(event_document, events))
        else:
            show(*map(event_block, events))


@commands.command(
    "rm",
    epilog=epilog(
        "sojourn sessions rm shop ada 8e42",
        "sojourn sessions rm shop ada 8e",
        more=_SHORT_ASKED,
    ),
)
def _rm(
    app: App,
    user: User,
    session: SessionId,
    *,
    yes: Yes = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Delete one session, without asking. State of its user and its app stays."""
    with connect(url, namespace) as store:
        key = SessionKey.of(app, user, session)
        if not store.run(store.sessions.delete(key)):
            key = store.run(whole_key_to_delete(store.sessions, key, yes=yes))
            confirm(f"Delete {named(key)} on {store.where}? {UNTOUCHED}")
            if not store.run(store.sessions.delete(key)):
                raise missing(key)
        show(f"Deleted {named(key)}. {UNTOUCHED}")


@commands.command(
    "clear",
    epilog=epilog(
        "sojourn sessions clear --app shop --user ada",
        "sojourn sessions clear --app shop --yes",
        "sojourn sessions clear --all",
    ),
)
def _clear(
    *,
    app: OnlyApp = None,
    user: OnlyUser = None,
    everything: Annotated[bool, typer.Option("--all", help="Those of all apps.")] = False,
    yes: Yes = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Delete all sessions of a user, of an app, or with --all everything, after asking.

    State of users and apps stays.
    """
    with one_line_errors():
        scope = _scope(app, user, everything=everything)
    with connect(url, namespace) as store:
        left_out = SkippedSessions()
        count = store.run(tally(scope.walk(store.store, left_out)))
        if not count.sessions:
            what = "sessions that can be read" if left_out else "sessions"
            show(f"There are no {what} of {scope} on {store.where}.")
            note_left_out(left_out, "not deleted")
            return
        if not yes:
            confirm(f"Delete {count} ({scope}) on {store.where}? {UNTOUCHED}")
        removal = Removal(store.sessions)
        left_out.clear()
        try:
            with progress_of(count.sessions) as progress:
                store.run(removal.run(scope.walk(store.store, left_out), progress))
        finally:
            show(f"Deleted {removal.done:,} of {count} ({scope}) on {store.where}. {UNTOUCHED}")
            note_left_out(left_out, "not deleted")


@commands.command(
    "sweep", epilog=epilog("sojourn sessions sweep", "sojourn sessions sweep --app shop --json")
)
def _sweep(
    *,
    app: OnlyApp = None,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Repair the indexes of an app or of all: for a timer, while agents work.

    Nothing depends on it: what has expired is never listed. It frees what nobody lists, finds again
    what an index has lost, and finishes what clients left that have died.
    """
    with connect(url, namespace) as store:
        done = store.run(total(Swept, _swept(store.admin, app)))
        if as_json:
            write_json([{name: getattr(done, name) for name in done.__struct_fields__[:-1]}])
        else:
            show(
                f"Looked at {done.users:,} users on {store.where}: {done.expired:,} expired and "
                f"{done.dropped:,} vanished sessions taken off their lists, {done.restored:,} put "
                f"back, {done.carried:,} unfinished changes of app state finished."
            )
            if done.corrupt:
                note(f"{done.corrupt:,} users were left out: their index is a key of another type.")


async def _swept(admin: Admin, app: str | None) -> AsyncIterator[Swept]:
    async for name in every_app(admin, app):
        async for page in pages(admin.sweep, name):
            yield page


commands.command(
    "revoke",
    epilog=epilog(
        "sojourn sessions revoke shop ada 8e42",
        "sojourn sessions revoke shop ada",
        "sojourn sessions revoke shop --yes",
        more=_SHORT_ASKED,
    ),
)(revoke)


def _scope(app: str | None, user: str | None, *, everything: bool) -> RemovalScope:
    if everything and (app is not None or user is not None):
        raise Ended("error: --all stands alone: leave out --app and --user.", ExitCode.WRONG_INPUT)
    if user is not None and app is None:
        raise Ended("error: --user needs the --app whose user it is.", ExitCode.WRONG_INPUT)
    if app is None and not everything:
        raise Ended(
            "error: clear what? --app APP, --app APP --user USER, or --all for everything.",
            ExitCode.WRONG_INPUT,
        )
    return RemovalScope(app, user)
