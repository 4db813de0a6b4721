"""`sojourn sessions revoke`: sessions that end everywhere, and with them what waits for them."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from sojourn.errors import SessionNotFound
from sojourn.ids import SessionKey, parse_app, user_key
from sojourn.sessions import Revoked
from sojourn.surfaces.cli.connection import connect
from sojourn.surfaces.cli.console import show, write_json
from sojourn.surfaces.cli.exits import Ended, ExitCode
from sojourn.surfaces.cli.listing import number_of_sessions, pages, total
from sojourn.surfaces.cli.options import App, Json, Namespace, Url, Yes
from sojourn.surfaces.cli.plain import counted, named
from sojourn.surfaces.cli.prefixes import whole_key_to_delete
from sojourn.surfaces.cli.removal import UNTOUCHED, RemovalScope, confirm

_User = Annotated[str | None, typer.Argument(metavar="USER", show_default=False)]
_Session = Annotated[str | None, typer.Argument(metavar="SESSION", show_default=False)]


def revoke(
    app: App,
    user: _User = None,
    session: _Session = None,
    *,
    yes: Yes = False,
    as_json: Json = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Revoke a session, all of a user, or all of an app; of more than one after asking.

    They are deleted with their artifacts, and what other processes have buffered for them in an
    outage is refused when that is over. State of users and apps stays.
    """
    with connect(url, namespace) as store:
        parse_app(app)
        key = None if user is None or session is None else SessionKey.of(app, user, session)
        what = str(RemovalScope(app, user)) if key is None else named(key)
        if key is None and not yes:
            confirm(f"Revoke all sessions of {what} on {store.where}? {UNTOUCHED}")
        if key is not None:
            done = store.run(store.admin.revoke(key))
            with suppress(SessionNotFound):
                if not done.sessions:
                    key = store.run(whole_key_to_delete(store.sessions, key, yes=yes))
                    what = named(key)
                    confirm(f"Revoke {what} on {store.where}? {UNTOUCHED}")
                    done = store.run(store.admin.revoke(key))
        elif user is not None:
            done = store.run(store.admin.revoke_user(*user_key(app, user)))
        else:
            done = store.run(total(Revoked, pages(store.admin.revoke_app, app)))
        if as_json:
            write_json([{name: getattr(done, name) for name in done.__struct_fields__[:-1]}])
        else:
            show(
                f"Revoked {number_of_sessions(done.sessions)} ({what}) on {store.where}, with "
                f"{counted(done.artifacts, 'artifact')}. {UNTOUCHED}"
            )
        if key is not None and not done.sessions:
            raise Ended("There is no such session any more.", ExitCode.NOT_FOUND)
