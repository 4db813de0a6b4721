"""Export of cached entries on a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sojourn.cache.archive import ArchivedResult
from sojourn.cache.keys import CacheRoomKeys
from sojourn.cache.redis import RedisCache
from sojourn.cache.store import EntryKey
from sojourn.calls.call import Call
from sojourn.codecs.growth import unknown
from sojourn.engine.engine import Engine
from sojourn.engine.scan import scan
from sojourn.errors import CorruptRecord

_KNOWN = frozenset({b"format", b"value", b"since", b"fresh", b"tags", b"stamped"})


class RedisCacheArchive:
    """A `CacheArchive` over an engine."""

    def __init__(self, engine: Engine, keys: CacheRoomKeys) -> None:
        self._engine = engine
        self._keys = keys
        self._cache = RedisCache(engine, keys)

    async def every(self) -> AsyncIterator[EntryKey]:
        """One round trip for each 500 keys."""
        async for key in scan(self._engine, self._keys.pattern("cache")):
            found = self._keys.kind_of(key)
            if found is not None and found.name == "cached":
                tenant, _, name = self._keys.named(key)
                yield EntryKey(tenant, name)

    async def kept(self, key: EntryKey) -> ArchivedResult | None:
        """Two round trips."""
        found = await self._cache.fetch(key, "", 0)
        if found.status == "miss":
            return None
        entry = self._keys.cache(*key).entry
        call: Call[list[Any]] = Call(
            "cache.kept",
            (entry,),
            list,
            commands=[("HGETALL", entry), ("PTTL", entry), ("TIME",)],
        )
        flat, left, clock = await self._engine.run(call)
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        fresh, tags = fields.get(b"fresh"), fields.get(b"tags", b"")
        if fresh is None or left < 0:  # expired between the two
            return None
        now = int(clock[0]) + int(clock[1]) / 1_000_000
        try:
            words = tags.decode().split("\n")
            instant = int(fresh) / 1_000_000
        except ValueError as error:
            raise CorruptRecord(f"{entry} cannot be read.", key=entry, raw=fresh) from error
        kept = [word for word in words if word]
        return ArchivedResult(
            found.value, instant, now + left / 1000, kept, unknown(fields, _KNOWN)
        )
