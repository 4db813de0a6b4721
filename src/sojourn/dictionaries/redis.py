"""Store of dictionaries on a server."""

from __future__ import annotations

from sojourn.dictionaries.keys import DictionaryRoomKeys
from sojourn.engine.store import RedisStore

RedisDictionaries = RedisStore[DictionaryRoomKeys]
