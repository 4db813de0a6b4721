"""Search of the index of scopes for a user."""

from __future__ import annotations

from sojourn.engine.engine import Engine
from sojourn.engine.scan import found, naming
from sojourn.memory.keys import MemoryRoomKeys
from sojourn.memory.model import OF_USERS


async def apps_naming(engine: Engine, keys: MemoryRoomKeys, user: str) -> set[str]:
    """The apps in whose index of scopes a user is. A round trip for each 1,000 keys, and one."""
    indexes: list[tuple[str, str]] = []
    for key in await found(engine, keys.memories_by(user)):
        app, of = keys.tag_of(key) if keys.kind_of(key) else ("", "")
        if of in OF_USERS and not key.endswith(":expiry"):
            indexes.append((app, key))
    return await naming(engine, user, indexes)
