"""Connections of MCP clients as a room of a store."""

from __future__ import annotations

from sojourn.calls.coded import CodedStore
from sojourn.calls.operation import RoomStore
from sojourn.calls.room import OpenRoom, Room, RoomContext, at_once, nobodys
from sojourn.streams.inmemory import InMemoryStreams
from sojourn.streams.keys import StreamRoomKeys
from sojourn.streams.operations.connections import ForgetConnections
from sojourn.streams.recoding import StreamRecoding
from sojourn.streams.redis import RedisStreams
from sojourn.streams.service import Streams


def _open(at: RoomContext) -> OpenRoom:
    store: RoomStore
    recoding: StreamRecoding | None = None
    if at.engine is None:
        store = memory = InMemoryStreams()
        apps_of = at_once(memory.apps_of)
    else:
        keys = StreamRoomKeys(at.options.namespace)
        store, recoding = RedisStreams(at.engine, keys), StreamRecoding(keys)
        apps_of = nobodys
    return OpenRoom(
        service=Streams(CodedStore(store, at.codec)),
        forget={"connections": lambda owner: store.run(ForgetConnections(owner))},
        apps_of=apps_of,
        recoding=recoding,
    )


ROOM = Room(
    name="streams", keys=StreamRoomKeys, open=_open, public=False, handles={"streams": None}
)
