"""The rooms of a store, in one list."""

from __future__ import annotations

from importlib.metadata import entry_points

from sojourn.artifacts.room import ROOM as ARTIFACTS
from sojourn.cache.room import ROOM as CACHE
from sojourn.calls.keys import Keys
from sojourn.calls.room import OpenRoom, Room, RoomContext, RoomRecord
from sojourn.checkpoints.room import ROOM as CHECKPOINTS
from sojourn.dictionaries.room import ROOM as DICTIONARIES
from sojourn.errors import InvalidInput
from sojourn.jobs.room import ROOM as JOBS
from sojourn.keys.room import ROOM as KEYS
from sojourn.memory.room import ROOM as MEMORY
from sojourn.notices.room import ROOM as NOTICES
from sojourn.security.room import ROOM as SECURITY
from sojourn.sessions.room import ROOM as SESSIONS
from sojourn.streams.room import ROOM as STREAMS

__all__ = [
    "ROOMS",
    "OpenRoom",
    "Room",
    "RoomContext",
    "RoomRecord",
    "StoreKeys",
    "register",
    "register_installed",
]

ROOMS = [
    *(SESSIONS, MEMORY, ARTIFACTS, CHECKPOINTS, CACHE, NOTICES, STREAMS, SECURITY),
    *(KEYS, DICTIONARIES, JOBS),
]
"""In the order in which they are shown and forgotten. `register` adds to it."""

_OF_USERS = frozenset({"owner", "history", "bind", "bound", "rotate", "remember"})
"""Names of a user's handle that are no room's."""


def register(room: Room) -> None:
    """Add a room to all stores that are opened from now on.

    Args:
        room: what it is. Its name, those of its handles and of its kinds of keys, and the words
            that these begin with may not be those of another room.

    Raises:
        InvalidInput: one of them is.
    """
    if room in ROOMS:
        return
    kinds = [kind for each in ROOMS for kind in each.keys.kinds]
    taken = {each.name for each in ROOMS}
    names, words = {kind.name for kind in kinds}, {kind.word for kind in kinds}
    for what, given, others in (
        ("name", {room.name}, taken),
        ("handle", {*room.handles}, {name for each in ROOMS for name in each.handles} | _OF_USERS),
        ("kind of key", {kind.name for kind in room.keys.kinds}, names),
        ("first word of keys", {kind.word for kind in room.keys.kinds}, words),
    ):
        if given & others:
            raise InvalidInput(
                f"Another room has the {what} {', '.join(sorted(given & others))}: choose another."
            )
    ROOMS.append(room)


def register_installed() -> None:
    """Register the rooms of installed packages: their entry points of the group `sojourn.rooms`.

    The command line and the MCP server do it; a program registers the rooms that it wants.
    """
    for each in entry_points(group="sojourn.rooms"):
        register(each.load())


class StoreKeys(Keys):
    """The keys of all rooms of one deployment.

    Args:
        namespace: stands before every key.

    Raises:
        InvalidId: the namespace is not letters, digits, `_.-`, or is a word that keys begin with.
    """

    def __init__(self, namespace: str = "") -> None:
        self.kinds = tuple(kind for room in ROOMS for kind in room.keys.kinds)
        super().__init__(namespace)
