"""The cache as a room of a store."""

from __future__ import annotations

from importlib import import_module

from sojourn.cache.admin import CacheAdmin
from sojourn.cache.inmemory import InMemoryCache
from sojourn.cache.keys import CacheRoomKeys
from sojourn.cache.recoding import CacheRecoding
from sojourn.cache.redis import RedisCache
from sojourn.cache.service import Cache
from sojourn.calls.coded import CodedStore
from sojourn.calls.operation import RoomStore
from sojourn.calls.room import OpenRoom, Room, RoomContext, at_once, nobodys
from sojourn.ids import tenant_of


def _open(at: RoomContext) -> OpenRoom:
    store: RoomStore
    recoding: CacheRecoding | None = None
    if at.engine is None:
        store = InMemoryCache()
        apps_of = at_once(store.apps_of)
    else:
        keys = CacheRoomKeys(at.options.namespace)
        store, recoding = RedisCache(at.engine, keys), CacheRecoding(keys)
        apps_of = nobodys
    coded = CodedStore(store, at.codec)
    cache, admin = Cache(coded, at.options.max_event_bytes), CacheAdmin(coded)
    return OpenRoom(
        service=cache,
        admin=admin,
        store=coded,
        forget={"cached": lambda owner: admin.forget(tenant_of(owner))},
        apps_of=apps_of,
        recoding=recoding,
        close=cache.close,
    )


ROOM = Room(
    name="cache",
    keys=CacheRoomKeys,
    open=_open,
    wraps=(Cache, CacheAdmin),
    commands=lambda: import_module("sojourn.surfaces.cli.cache"),
    handles={"cache": None},
    routes=lambda: import_module("sojourn.surfaces.http.cache").ROUTES,
)
