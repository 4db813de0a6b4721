"""The memory as a room of a store."""

from __future__ import annotations

from functools import partial
from importlib import import_module

from sojourn.calls.coded import CodedStore
from sojourn.calls.operation import RoomStore
from sojourn.calls.room import OpenRoom, Room, RoomContext, at_once
from sojourn.ids import UserKey
from sojourn.memory.admin import MemoryAdmin
from sojourn.memory.inmemory import InMemoryMemory
from sojourn.memory.keys import SHARDS, MemoryRoomKeys
from sojourn.memory.model import OF_USERS
from sojourn.memory.recoding import MemoryRecoding
from sojourn.memory.redis import RedisMemory
from sojourn.memory.scope import MemoryScope
from sojourn.memory.search import Searcher
from sojourn.memory.service import Lives, Memory
from sojourn.memory.traces import apps_naming


def _open(at: RoomContext) -> OpenRoom:
    options = at.options
    store: RoomStore
    recoding: MemoryRecoding | None = None
    if at.engine is None:
        store = memories = InMemoryMemory()
        apps_of = at_once(lambda user: memories.apps_of(user, OF_USERS))
    else:
        keys = MemoryRoomKeys(options.namespace)
        store, recoding = RedisMemory(at.engine, keys), MemoryRecoding(keys)
        apps_of = partial(apps_naming, at.engine, keys)
    store = CodedStore(store, at.codec)
    searcher = Searcher(store)
    memory = Memory(
        store,
        Lives(options.memory_ttl, options.knowledge_ttl, options.history_ttl),
        searcher,
        max_bytes=options.max_event_bytes,
        operation_timeout=options.operation_timeout,
    )
    admin = MemoryAdmin(
        store,
        searcher,
        operation_timeout=options.operation_timeout,
        shards=1 if at.engine is None else SHARDS,
    )
    return OpenRoom(
        service=memory,
        admin=admin,
        store=store,
        forget={"memories": lambda owner: admin.forget(owner.user, app=owner.app)},
        apps_of=apps_of,
        recoding=recoding,
        close=memory.close,
    )


def _user(memory: Memory, of: UserKey) -> MemoryScope:
    return memory.user(of.user, app=of.app, tenant="")


def _sessions(memory: Memory, of: UserKey) -> MemoryScope:
    return memory.sessions(of.user, app=of.app, tenant="")


def _events(memory: Memory, of: UserKey) -> MemoryScope:
    return memory.events(of.user, app=of.app, tenant="")


ROOM = Room(
    name="memory",
    keys=MemoryRoomKeys,
    open=_open,
    wraps=(Memory, MemoryScope, MemoryAdmin),
    commands=lambda: import_module("sojourn.surfaces.cli.memory"),
    tools=lambda: import_module("sojourn.surfaces.mcp.memory").TOOLS,
    handles={"memory": _user, "remembered": _sessions, "said": _events},
    routes=lambda: import_module("sojourn.surfaces.http.memory").ROUTES,
)
