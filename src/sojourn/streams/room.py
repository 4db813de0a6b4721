"""Connections of MCP clients as a room of a store."""

from __future__ import annotations

from sojourn.calls.room import OpenRoom, Room, RoomContext, at_once, nobodys
from sojourn.streams.inmemory import InMemoryStreams
from sojourn.streams.keys import StreamRoomKeys
from sojourn.streams.redis import RedisStreams
from sojourn.streams.service import Streams
from sojourn.streams.store import Reach, StreamStore


def _open(at: RoomContext) -> OpenRoom:
    store: StreamStore
    if at.engine is None:
        store = memory = InMemoryStreams(Reach())
        apps_of = at_once(memory.apps_of)
    else:
        store = RedisStreams(at.engine, StreamRoomKeys(at.options.namespace), Reach())
        apps_of = nobodys
    return OpenRoom(service=Streams(store), forget={"connections": store.forget}, apps_of=apps_of)


ROOM = Room(name="streams", keys=StreamRoomKeys, open=_open, public=False)
