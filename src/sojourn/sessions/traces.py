"""Search of the indexes of sessions for a user."""

from __future__ import annotations

from typing import Any, cast

from sojourn.calls.call import Call, only
from sojourn.engine.engine import Engine
from sojourn.engine.scan import found, members, naming
from sojourn.ids import UserKey, escape
from sojourn.sessions.keys import SessionRoomKeys


async def apps_naming(engine: Engine, keys: SessionRoomKeys, user: str) -> set[str]:
    """The apps whose indexes name a user. A round trip for each 1,000 keys, and two."""
    apps = await _all_apps(engine, keys.apps())
    indexes = [(app, keys.users_of(UserKey.of(app, user))) for app in apps]
    recent = {
        keys.tag_of(key)[0]
        for key in await found(engine, keys.recent_by(user))
        if keys.kind_of(key) and await members(engine, key, f"{escape(user)}:*")
    }
    return recent | await naming(engine, user, indexes)


async def _all_apps(engine: Engine, key: str) -> list[str]:
    call: Call[Any] = Call(
        "sessions.index", (key,), only, commands=[("ZRANGE", key, 0, -1)], allow_wrong_type=True
    )
    names = await engine.run(call)
    if not isinstance(names, list):
        return []
    return [name.decode() for name in cast("list[bytes]", names)]
