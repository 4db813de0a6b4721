"""Store of data keys on a server."""

from __future__ import annotations

from sojourn.engine.store import RedisStore
from sojourn.keys.keys import DataKeyRoomKeys

RedisDataKeys = RedisStore[DataKeyRoomKeys]
