"""Checkpoints as a room of a store."""

from __future__ import annotations

from importlib import import_module

from sojourn.calls.coded import CodedStore
from sojourn.calls.operation import RoomStore
from sojourn.calls.room import OpenRoom, Room, RoomContext, at_once, nobodys
from sojourn.checkpoints.admin import ThreadAdmin
from sojourn.checkpoints.archive import ThreadArchive
from sojourn.checkpoints.history import ThreadHistory
from sojourn.checkpoints.inmemory import InMemoryCheckpoints
from sojourn.checkpoints.keys import CheckpointRoomKeys
from sojourn.checkpoints.own import OwnThreads
from sojourn.checkpoints.redis import RedisCheckpoints
from sojourn.checkpoints.service import Threads


def _open(at: RoomContext) -> OpenRoom:
    options = at.options
    store: RoomStore
    if at.engine is None:
        store = memory = InMemoryCheckpoints()
        apps_of = at_once(memory.apps_of)
    else:
        store, apps_of = RedisCheckpoints(at.engine, CheckpointRoomKeys(options.namespace)), nobodys
    coded = CodedStore(store, at.codec)
    admin = ThreadAdmin(coded)
    threads = Threads(
        *(coded, at.codec, options.thread_ttl),
        *(options.max_event_bytes, options.operation_timeout),
        damaged=at.damaged,
    )
    archive = ThreadArchive(threads, coded)
    return OpenRoom(
        service=threads,
        records=archive.records,
        restore=archive.restore,
        admin=admin,
        store=coded,
        forget={"threads": lambda owner: admin.forget(*owner)},
        apps_of=apps_of,
    )


ROOM = Room(
    name="threads",
    keys=CheckpointRoomKeys,
    open=_open,
    wraps=(Threads, OwnThreads, ThreadHistory, ThreadAdmin),
    handles={"threads": OwnThreads},
    commands=lambda: import_module("sojourn.surfaces.cli.threads"),
    tools=lambda: import_module("sojourn.surfaces.mcp.threads").TOOLS,
    routes=lambda: import_module("sojourn.surfaces.http.threads").ROUTES,
)
