"""Description of a room, and what a room gives to the store that opens it.

A room is a folder with a `room.py`, or one file outside the package. All that concerns every room
(opening, closing, erasure, the ACL rule, the doctor, export and import, the synchronous calls, the
command line, the tools for models, the HTTP API) walks over `sojourn.rooms.ROOMS` and asks these.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from sojourn.calls.keys import Keys
from sojourn.codecs.codec import Codec
from sojourn.codecs.recoding import RoomRecoding
from sojourn.errors import CorruptRecord
from sojourn.ids import SessionKey, UserKey

if TYPE_CHECKING:
    from sojourn.engine.engine import Engine
    from sojourn.options import Options
    from sojourn.telemetry import Hooks

Forget = Callable[[UserKey], Awaitable[int]]
"""Deletes all of a kind that is a user's, and says how many there were."""

Part = Callable[[Any, UserKey], Any]
"""Makes a user's part of a service."""

Handles = Mapping[str, tuple[Any, Part | None]]
"""The handles of a user: of which service, and what makes the user's part of it. Without that the
handle takes the methods of the service in which an identity is a parameter."""


Damaged = Callable[[UserKey, CorruptRecord], None]
"""Keeps a user's record that cannot be read in the quarantine. Nobody waits for it."""


class RoomRecord(NamedTuple):
    """A record of a room, as it is exported: of a user, or of an app when `user` is None.

    Attributes:
        app: whose app.
        user: whose.
        key: what names it within the room and its user.
        value: JSON.
    """

    app: str
    user: str | None
    key: str
    value: Any


def at_once(find: Callable[[str], set[str]]) -> Callable[[str], Awaitable[set[str]]]:
    """The apps of a user that a store in memory knows, as `OpenRoom.apps_of`."""

    async def found(user: str) -> set[str]:
        return find(user)

    return found


nobodys = at_once(lambda _: set())
"""No app."""


async def _nothing() -> None:
    pass


Restored: TypeAlias = Literal["restored", "identical", "exists"]
"""What became of a record: it was written, was there, or another was there and stays."""


class WriteBuffer(Protocol):
    """Writes that wait in this process for the server."""

    @property
    def waiting(self) -> int:
        """How many there are."""
        ...

    @property
    def age(self) -> float:
        """For how many seconds the oldest has waited; 0 when there is none."""
        ...

    async def close(self) -> None:
        """Try them once more."""
        ...


class OpenRoom(msgspec.Struct, frozen=True, kw_only=True):
    """A room of an open store. Each room fills in what it has.

    Attributes:
        service: what users call.
        admin: what operators call, as `store.admin.NAME`.
        store: what keeps its records: for export and import.
        parts: what else of the store is made of.
        forget: what erasure deletes of a user, by kind.
        apps_of: the apps that keep something about a user; on a server only those that no key of
            the user's own shows.
        session_ended: deletes what belongs to a session that was revoked; how many records.
        damaged: keeps records that another room cannot read.
        session_changed: called in memory with each change of a session: what and its version.
        records: what an export writes, of an app or user or of all.
        restore: writes an exported record; another that is there stays, or is replaced.
        recoding: encodes the content of its records anew.
        moved_within: whether records of a user have got other keys in the last so many seconds.
        buffer: writes that wait for the server.
        close: ends what it has begun.
    """

    service: Any
    admin: Any = None
    store: Any = None
    parts: Any = None
    forget: Mapping[str, Forget] = {}
    apps_of: Callable[[str], Awaitable[set[str]]] = nobodys
    session_ended: Callable[[SessionKey], Awaitable[int]] | None = None
    damaged: Damaged | None = None
    session_changed: Callable[[SessionKey, Any, int], None] | None = None
    records: Callable[[str | None, str | None], AsyncIterator[RoomRecord]] | None = None
    restore: Callable[[RoomRecord, Literal["skip", "replace"]], Awaitable[Restored]] | None = None
    recoding: RoomRecoding | None = None
    moved_within: Callable[[UserKey, float], Awaitable[bool]] | None = None
    buffer: WriteBuffer | None = None
    close: Callable[[], Awaitable[None]] = _nothing


class RoomContext(NamedTuple):
    """What a room stands on.

    Attributes:
        options: of the store.
        hooks: of the store.
        engine: sends calls to the server; None in memory.
        rooms: all rooms that are open, by name; it grows while they are opened.
        codec: how content is written.
    """

    options: Options
    hooks: Hooks
    engine: Engine | None
    rooms: dict[str, OpenRoom]
    codec: Codec

    async def session_ended(self, key: SessionKey) -> int:
        """Delete what rooms keep of a session that was revoked; how many records."""
        ended = [room.session_ended for room in self.rooms.values() if room.session_ended]
        return sum([await each(key) for each in ended])

    def damaged(self, owner: UserKey, error: CorruptRecord) -> None:
        """Keep a record that a room cannot read in the user's quarantine, once."""
        for room in self.rooms.values():
            if room.damaged:
                room.damaged(owner, error)

    def session_changed(self, key: SessionKey, what: Any, version: int) -> None:
        """Tell all rooms that a session has changed in memory."""
        for room in self.rooms.values():
            if room.session_changed:
                room.session_changed(key, what, version)


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of data of a store. One module makes it; nothing else names it.

    Attributes:
        name: `store.room(name)` is its service, and so is `store.NAME` if `public`.
        keys: builds its keys, and says of which kinds they are.
        open: opens it, on a server or in memory.
        public: whether the store has an attribute of its name.
        wraps: classes whose calls `sojourn.sync` makes synchronous.
        handles: what a user's handle has of it, by name: the methods of the service in which an
            identity is a parameter, or all of what is made of the service and the user.
        commands: registers commands of `sojourn …`, called when the command line starts.
        tools: tools of the MCP server, called when that starts.
        routes: FastAPI routers of the HTTP API, below `/v1`, called when that starts.
    """

    name: str
    keys: type[Keys]
    open: Callable[[RoomContext], OpenRoom]
    public: bool = True
    wraps: tuple[type, ...] = ()
    handles: Mapping[str, Part | None] = {}
    commands: Callable[[], object] = tuple
    tools: Callable[[], Sequence[Any]] = tuple
    routes: Callable[[], Sequence[Any]] = tuple
