"""Search for the apps that hold data of a user."""

from __future__ import annotations

from collections.abc import Iterable

from sojourn.calls.keys import Keys
from sojourn.calls.room import OpenRoom
from sojourn.engine.engine import Engine
from sojourn.engine.scan import found


async def find_apps(
    user: str, rooms: Iterable[OpenRoom], keys: Iterable[Keys], engine: Engine | None
) -> set[str]:
    """The apps of a user: those that rooms know, and those in the names of keys.

    On a server four round trips for each 1,000 keys.
    """
    apps: set[str] = set()
    for room in rooms:
        apps |= await room.apps_of(user)
    return apps if engine is None else apps | await _in_keys(user, list(keys), engine)


async def _in_keys(user: str, keys: list[Keys], engine: Engine) -> set[str]:
    globs = {glob for each in keys for glob in each.named_by(user)}
    names = {name for glob in sorted(globs) for name in await found(engine, glob)}
    apps = {each.app_of(name, user) for each in keys for name in names if each.kind_of(name)}
    return {app for app in apps if app is not None}
