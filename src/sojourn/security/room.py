"""Owners of session ids, and counters of guards, as a room of a store."""

from __future__ import annotations

from sojourn.calls.room import OpenRoom, Room, RoomContext
from sojourn.security.counters import Counters, InMemoryCounters, RedisCounters
from sojourn.security.inmemory import InMemorySecurity
from sojourn.security.keys import SecurityRoomKeys
from sojourn.security.redis import RedisSecurity
from sojourn.security.store import SecurityStore


def _open(at: RoomContext) -> OpenRoom:
    store: SecurityStore
    counters: Counters
    if at.engine is None:
        store, counters = InMemorySecurity(at.options.state_ttl), InMemoryCounters()
    else:
        keys = SecurityRoomKeys(at.options.namespace)
        store = RedisSecurity(at.engine, keys, at.options.state_ttl)
        counters = RedisCounters(at.engine, keys)
    return OpenRoom(service=store, store=counters, forget={"claims": store.forget})


ROOM = Room(name="security", keys=SecurityRoomKeys, open=_open, public=False)
