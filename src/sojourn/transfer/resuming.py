"""Resumption of an export: it reads what the archive already holds.

Every run exports in the same order: users by app, part and name, then their app's state, then
memories, artifacts and the cache. The server decides the order of a user's sessions, so the ids
of the last user's sessions are remembered.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from sojourn.calls.keys import shard_of
from sojourn.ids import SessionKey
from sojourn.memory.keys import SHARDS as MEMORY_SHARDS
from sojourn.sessions.keys import SHARDS
from sojourn.transfer.lines import (
    ArtifactLine,
    CacheLine,
    Line,
    MemoryLine,
    NewerLine,
    RoomLine,
    SessionLine,
    StateLine,
    UnreadableLine,
    VoidLine,
)

Place: TypeAlias = tuple[Any, ...]
"""Where something stands in that order."""

SESSIONS, MEMORIES, ARTIFACTS, CACHE, RECORDS = range(5)


def user_place(app: str, user: str) -> Place:
    """Of a user's state and sessions."""
    return SESSIONS, app, 0, shard_of(user, SHARDS), user


def app_place(app: str) -> Place:
    """Of an app's state."""
    return SESSIONS, app, 1


def scope_place(app: str, kind: str, name: str) -> Place:
    """Of a scope of the memory."""
    return MEMORIES, app, kind, shard_of(name, MEMORY_SHARDS), name


def artifact_place(app: str, user: str, session: str, name: str) -> Place:
    """Of an artifact; those of a user have an empty session."""
    return ARTIFACTS, app, user, session, name


def cache_place(tenant: str, name: str) -> Place:
    """Of a cached value."""
    return CACHE, tenant, name


def record_place(room: str, app: str, user: str | None, key: str) -> Place:
    """Of a record of a room; those of an app come before those of its users."""
    return RECORDS, room, app, user is not None, user or "", key


class ExportProgress:
    """What stands in an archive.

    Attributes:
        last: the place of the last thing in it.
        sessions: ids of the sessions of the user at that place.
        state: whether the state of that user is there.
        key: that of the last entry of the scope at that place.
        left_out: what could not be read, or by a newer version only.
    """

    def __init__(self) -> None:
        self.last: Place = ()
        self.sessions: set[str] = set()
        self.state = False
        self.key: str | None = None
        self._begun: SessionLine | ArtifactLine | None = None
        self._void = False
        self.left_out: set[str] = set()

    def step(self, line: Line) -> None:
        """Take note of the next line."""
        match line:
            case SessionLine():
                self._at(user_place(line.app, line.user))
                self.sessions.add(line.session)
                self._begun = line
            case StateLine():
                at = app_place(line.app)
                self._at(at if line.user is None else user_place(line.app, line.user))
                self.state = True
            case MemoryLine():
                self._at(scope_place(line.app, line.scope, line.name))
                self.key = line.entries[-1].key
            case ArtifactLine():
                session = line.session or ""
                self._at(artifact_place(line.app, line.user, session, line.name))
                self._begun, self._void = line, False
            case CacheLine():
                self._at(cache_place(line.tenant, line.name))
            case RoomLine():
                self._at(record_place(line.room, line.app, line.user, line.key))
            case VoidLine() if isinstance(self._begun, SessionLine):
                self.sessions.discard(self._begun.session)
            case VoidLine():
                self._void = True
            case UnreadableLine() | NewerLine():
                self.left_out.add(line.what)
            case _:
                pass

    def _at(self, place: Place) -> None:
        if place != self.last:
            self.last, self.state, self.key = place, False, None
            self.sessions.clear()

    def has(self, place: Place) -> bool:
        """Whether a place is behind us, so that all of it is in the archive."""
        return place < self.last

    def has_whole(self, place: Place) -> bool:
        """Whether what stands at a place as a whole is in the archive."""
        return place < self.last or (place == self.last and not self._void)

    def of(self, key: SessionKey) -> bool:
        """Whether a session of the user at hand is in the archive."""
        return user_place(key.app, key.user) == self.last and key.session in self.sessions
