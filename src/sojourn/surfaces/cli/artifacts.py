"""`sojourn artifacts`: list, save and delete the files of agents."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from msgspec import to_builtins
from rich.filesize import decimal

from sojourn.artifacts import ArtifactVersion
from sojourn.client import Sojourn
from sojourn.errors import CorruptRecord, Erased, SessionNotFound, Undecodable
from sojourn.ids import SessionKey, UserKey
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import note, show, write_json
from sojourn.surfaces.cli.exits import EPILOG, Ended, ExitCode
from sojourn.surfaces.cli.files import new_file
from sojourn.surfaces.cli.options import App, Json, Namespace, Oldest, Url, User
from sojourn.surfaces.cli.plain import age, counted, named, prose, visible
from sojourn.surfaces.cli.prefixes import whole_key
from sojourn.surfaces.cli.root import epilog, group
from sojourn.surfaces.cli.sealed import sealed_text
from sojourn.surfaces.cli.tables import Column, Table

_Owner = SessionKey | UserKey
_Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
_OfSession = Annotated[
    str | None,
    typer.Option("--session", metavar="SESSION", help="Of this session; else the user's own."),
]

commands = group("artifacts", "Look at the artifacts of a store: files, in versions.")


class _FoundArtifact(NamedTuple):
    """An artifact, and its versions; none when they cannot be read."""

    owner: _Owner
    name: str
    versions: Sequence[ArtifactVersion]

    @property
    def saved(self) -> float:
        return self.versions[-1].created if self.versions else 0.0

    def document(self) -> dict[str, Any]:
        owner = {"session": None, **self.owner._asdict()}
        return {**owner, "name": self.name, "versions": to_builtins(list(self.versions))}


@commands.command(
    "ls",
    epilog=epilog(
        "sojourn artifacts ls shop ada",
        "sojourn artifacts ls shop ada --session 8e42",
        "sojourn artifacts ls shop ada --json",
        more=EPILOG,
    ),
)
def _ls(
    app: App,
    user: User,
    *,
    session: Annotated[
        str | None, typer.Option("--session", metavar="SESSION", help="Only of this session.")
    ] = None,
    oldest: Oldest = False,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """List the artifacts of a user and of the user's sessions, those saved last first.

    Without --session it looks at every key of the server: sessions that have ended may have some.
    """
    with connect(url, namespace) as store:
        owner = None if session is None else store.run(_reader(store.store, app, user, session))
        found = store.run(_found(store.store, app, user, owner))
        found.sort(key=lambda each: each.saved, reverse=not oldest)
        if as_json:
            write_json(each.document() for each in found)
        elif found:
            show(_table(found))
        note(counted(len(found), "artifact"))
        unread = [each for each in found if not each.versions]
        if unread:
            note(f"cannot be read here: {', '.join(visible(each.name) for each in unread[:10])}")


@commands.command(
    "save",
    epilog=epilog(
        "sojourn artifacts save shop ada photo.png ./photo.png",
        "sojourn artifacts save shop ada notes.md - --session 8e42 --version 0",
        more=EPILOG,
    ),
)
def _save(
    app: App,
    user: User,
    name: _Name,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="A new file that only you can read, or -.",
        ),
    ],
    *,
    session: _OfSession = None,
    version: Annotated[
        int | None, typer.Option(min=0, show_default=False, help="Which; else the last.")
    ] = None,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Save a version of an artifact to a file. Its lifetime in the store starts anew."""
    with connect(url, namespace) as store:
        owner = store.run(_reader(store.store, app, user, session))
        found = store.run(store.store.artifacts.load(owner, name, version=version))
        if found is None:
            raise _missing(owner, name)
        if str(file) == "-":
            sys.stdout.flush()
            sys.stdout.buffer.write(found.data)
            sys.stdout.buffer.flush()
        else:
            with new_file(file) as out:
                out.write(found.data)
        where = "stdout" if str(file) == "-" else str(file)
        note(
            f"saved version {found.version} of {_named(owner, name)} to {where}: "
            f"{prose(found.mime_type)}, {decimal(found.size)}"
        )


@commands.command(
    "rm",
    epilog=epilog(
        "sojourn artifacts rm shop ada photo.png",
        "sojourn artifacts rm shop ada notes.md --session 8e42",
        more=EPILOG,
    ),
)
def _rm(
    app: App,
    user: User,
    name: _Name,
    *,
    session: _OfSession = None,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Delete an artifact with all of its versions, without asking."""
    with connect(url, namespace) as store:
        owner = _owner(app, user, session)
        if not store.run(store.store.artifacts.delete(owner, name)):
            raise _missing(owner, name)
        show(f"Deleted {_named(owner, name)}.")


def _owner(app: str, user: str, session: str | None) -> _Owner:
    return UserKey.of(app, user) if session is None else SessionKey.of(app, user, session)


async def _reader(store: Sojourn, app: str, user: str, session: str | None) -> _Owner:
    """The owner; of a session without artifacts the one whose id begins so, if only one does."""
    owner = _owner(app, user, session)
    if isinstance(owner, SessionKey) and not await store.artifacts.names(owner):
        with suppress(SessionNotFound):
            return await whole_key(store.sessions, owner)
    return owner


async def _found(store: Sojourn, app: str, user: str, owner: _Owner | None) -> list[_FoundArtifact]:
    artifacts = store.artifacts
    owners = await store.admin.artifacts.owners(app, user) if owner is None else [owner]
    found: list[_FoundArtifact] = []
    for each in owners:
        for name in await artifacts.names(each):
            try:
                versions = await artifacts.versions(each, name)
            except (CorruptRecord, Undecodable, Erased):
                versions = []
            found.append(_FoundArtifact(each, name, versions))
    return found


def _table(found: Sequence[_FoundArtifact]) -> Table:
    columns = (
        Column("name", whole=True),
        Column("session", whole=True, optional=""),
        Column("versions", right=True),
        Column("size", right=True),
        Column("type", text=True),
        Column("saved"),
    )
    return Table(columns, [_cells(each) for each in found])


def _cells(found: _FoundArtifact) -> list[str]:
    owner, name, versions = found
    session = visible(owner.session) if isinstance(owner, SessionKey) else ""
    if not versions:
        return [visible(name), session, "?", "?", "cannot be read", ""]
    last = versions[-1]
    return [
        visible(name),
        session,
        f"{len(versions):,}",
        decimal(last.size) if last.sealed is None else "",
        prose(last.mime_type) if last.sealed is None else sealed_text(last.sealed),
        age(last.created),
    ]


def _named(owner: _Owner, name: str) -> str:
    if isinstance(owner, SessionKey):
        return f"artifact {visible(name)} of {named(owner)}"
    return f"artifact {visible(name)} of user {visible(owner.user)} of app {visible(owner.app)}"


def _missing(owner: _Owner, name: str) -> Ended:
    return Ended(f"error: there is no {_named(owner, name)}", ExitCode.NOT_FOUND)
