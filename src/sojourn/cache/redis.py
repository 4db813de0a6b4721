"""Cache store on a server."""

from __future__ import annotations

from sojourn.cache.keys import CacheRoomKeys
from sojourn.engine.store import RedisStore

RedisCache = RedisStore[CacheRoomKeys]
