"""The entries of a cache on a server."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from sojourn.cache.keys import SHARDS, CacheRoomKeys
from sojourn.cache.store import LONGEST, CacheEntry, EntryKey, Fetched
from sojourn.calls.call import Argument, Call, Script, only
from sojourn.codecs.growth import refusal
from sojourn.engine.engine import Engine
from sojourn.engine.scan import found, unlink
from sojourn.ids import unescape

_LUA = files("sojourn.cache") / "lua"
_FETCH, _PUT, _FULFIL, _RENEW, _DELETE, _INVALIDATE = (
    Script.load(_LUA, name) for name in ("fetch", "put", "fulfil", "renew", "delete", "invalidate")
)


class RedisCache:
    """A `CacheStore` over an engine.

    Args:
        engine: where calls go.
        keys: builds the keys.
    """

    def __init__(self, engine: Engine, keys: CacheRoomKeys) -> None:
        self._engine = engine
        self._keys = keys

    async def fetch(self, key: EntryKey, token: str, lease: float) -> Fetched:
        """An entry, or the lease on it."""
        ours = self._keys.cache(*key)
        call: Call[list[Any]] = Call(
            name="cache.fetch",
            keys=(ours.entry, ours.lease, ours.tags),
            read=only,
            script=_FETCH,
            args=(token, _ms(lease)),
            separate_connection=True,
        )
        status, *found = await self._engine.run(call)
        if status == b"newer":
            raise refusal("The cached entry", ours.entry, *found)
        value, leased, stamp = found
        return Fetched(status.decode(), value, leased == 1, int(stamp))

    async def put(self, key: EntryKey, entry: CacheEntry, operation_id: str) -> None:
        """Store a value."""
        ours = self._keys.cache(*key)
        call: Call[list[bytes]] = Call(
            name="cache.put",
            keys=(ours.entry, ours.lease, ours.operations, ours.tags),
            read=only,
            script=_PUT,
            args=(operation_id, *_flat(entry)),
            operation_id=operation_id,
        )
        status, *found = await self._engine.run(call)
        if status == b"newer":
            raise refusal("The cached entry", ours.entry, *found)

    async def fulfil(self, key: EntryKey, entry: CacheEntry | None, token: str, since: int) -> bool:
        """Give back a lease."""
        ours = self._keys.cache(*key)
        call: Call[int] = Call(
            name="cache.fulfil",
            keys=(ours.entry, ours.lease, ours.tags),
            read=only,
            script=_FULFIL,
            args=(token, since, *(() if entry is None else _flat(entry))),
            operation_id=token,
        )
        return await self._engine.run(call) == 1

    async def renew(self, key: EntryKey, token: str, lease: float) -> bool:
        """Hold a lease for longer."""
        call: Call[int] = Call(
            name="cache.renew",
            keys=(self._keys.cache(*key).lease,),
            read=only,
            script=_RENEW,
            args=(token, _ms(lease)),
        )
        return await self._engine.run(call) == 1

    async def delete(self, key: EntryKey, operation_id: str) -> bool:
        """Delete an entry."""
        ours = self._keys.cache(*key)
        call: Call[int] = Call(
            name="cache.delete",
            keys=(ours.entry, ours.lease, ours.operations),
            read=only,
            script=_DELETE,
            args=(operation_id,),
            operation_id=operation_id,
        )
        return await self._engine.run(call) == 1

    async def invalidate(self, tenant: str, tag: str) -> None:
        """One call for each part of a tenant's entries, all in one round trip."""
        calls = [
            Call(
                name="cache.invalidate",
                keys=(self._keys.cache_tags(tenant, shard),),
                read=only,
                script=_INVALIDATE,
                args=(tag, _ms(LONGEST)),
            )
            for shard in range(SHARDS)
        ]
        await self._engine.run_all(calls)

    async def names(self, tenant: str) -> list[str]:
        """A round trip for each 1,000 keys of the server."""
        return [unescape(key.rpartition(":")[2]) for key in await self._all(tenant, "cached")]

    async def forget(self, tenant: str) -> int:
        """A round trip for each 1,000 keys of the server, and for each 500 that are deleted."""
        keys = await self._all(tenant, "cached", "lease", "tags", "cacheops")
        await unlink(self._engine, keys)
        return sum(":entry:" in key for key in keys)

    async def _all(self, tenant: str, *kinds: str) -> list[str]:
        keys = await found(self._engine, self._keys.cached_by(tenant))
        return [key for key in keys if (kind := self._keys.kind_of(key)) and kind.name in kinds]


def _flat(entry: CacheEntry) -> tuple[Argument, ...]:
    life = entry.life
    return entry.value, _ms(life.fresh), _ms(life.stale), "\n".join(entry.tags)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
