"""Stream store on a server."""

from __future__ import annotations

from sojourn.engine.store import RedisStore
from sojourn.streams.keys import StreamRoomKeys

RedisStreams = RedisStore[StreamRoomKeys]
