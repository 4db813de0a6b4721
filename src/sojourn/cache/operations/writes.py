"""Store, delete and invalidate entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sojourn.cache.keys import SHARDS
from sojourn.cache.operations.reads import ListCached
from sojourn.cache.store import LONGEST, CacheEntry, EntryKey, encoded_entry
from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.codecs.growth import refusal

if TYPE_CHECKING:
    from sojourn.cache.inmemory import InMemoryCache
    from sojourn.cache.redis import RedisCache
    from sojourn.calls.coded import CodedStore

_PUT, _DELETE, _INVALIDATE = (
    Script.beside(__name__, name) for name in ("put", "delete", "invalidate")
)


class PutCached(Operation[None], frozen=True):
    """Store a value, once, and revoke the lease.

    Raises `NewerFormat` where a newer version wrote the entry in a way that this one cannot read,
    `KeyMissing` where a sealed one would be replaced by plain text, and `CorruptRecord` where a
    damaged entry looks like one of them. It stays; it can be deleted and invalidated.

    Attributes:
        key: of which entry.
        entry: the value.
        operation_id: repeated with the same one, it takes effect once.
    """

    key: EntryKey
    entry: CacheEntry
    operation_id: str

    async def encoded(self, coded: CodedStore) -> PutCached:
        """As `Operation`."""
        return replace(self, entry=await encoded_entry(coded.codec, self.key, self.entry))

    async def on_server(self, server: RedisCache) -> None:
        """One round trip."""
        keys, done = server.keys.cache(*self.key), self.operation_id
        args = (done, *self.entry.arguments())
        status, *found = await server.engine.run(
            Call("cache.put", keys, only, script=_PUT, args=args, operation_id=done)
        )
        if status == b"newer":
            raise refusal("The cached entry", keys.entry, *found)

    async def in_memory(self, memory: InMemoryCache) -> None:
        """As `Operation`."""
        operation = (self.key, "put", self.operation_id)
        if operation not in memory.done:
            memory.remember(operation, found=True)
            memory.put(self.key, self.entry, memory.stamp())
            memory.leases.pop(self.key, None)


class DeleteCached(Operation[bool], frozen=True):
    """Delete an entry, once, and revoke the lease on it; whether there was one.

    Attributes:
        key: which entry.
        operation_id: repeated with the same one, it takes effect once.
    """

    key: EntryKey
    operation_id: str

    async def on_server(self, server: RedisCache) -> bool:
        """One round trip."""
        keys, done = server.keys.cache(*self.key), self.operation_id
        call: Call[int] = Call(
            "cache.delete", keys, only, script=_DELETE, args=(done,), operation_id=done
        )
        return await server.engine.run(call) == 1

    async def in_memory(self, memory: InMemoryCache) -> bool:
        """As `Operation`."""
        operation = (self.key, "delete", self.operation_id)
        done = memory.done.get(operation)
        if done is not None:
            return done
        entry = memory.entries.pop(self.key, None)
        memory.leases.pop(self.key, None)
        found = entry is not None and entry.ends > memory.clock()
        memory.remember(operation, found=found)
        return found


class InvalidateTag(Operation[None], frozen=True):
    """Make all entries of a tag stored until now, or being computed now, count as missing.

    Attributes:
        tenant: whose entries.
        tag: which of them.
    """

    tenant: str
    tag: str

    async def on_server(self, server: RedisCache) -> None:
        """One call for each shard of a tenant's entries, all in one round trip."""
        args = (self.tag, round(LONGEST * 1000))
        await server.engine.run_all(
            [
                Call(
                    name="cache.invalidate",
                    keys=(server.keys.cache_tags(self.tenant, shard),),
                    read=only,
                    script=_INVALIDATE,
                    args=args,
                )
                for shard in range(SHARDS)
            ]
        )

    async def in_memory(self, memory: InMemoryCache) -> None:
        """As `Operation`."""
        memory.invalidated[self.tenant, self.tag] = memory.stamp()


class ForgetTenant(Operation[int], frozen=True):
    """Delete everything of a tenant; how many entries there were. It looks at every key.

    Attributes:
        tenant: whose entries.
    """

    tenant: str

    async def on_server(self, server: RedisCache) -> int:
        """A round trip for each 1,000 keys of the server, and for each 500 that are deleted."""
        keys = await server.find(server.keys.cached_by(self.tenant))
        await server.unlink(keys)
        return list(keys.values()).count("cached")

    async def in_memory(self, memory: InMemoryCache) -> int:
        """As `Operation`."""
        tenant, names = self.tenant, await ListCached(self.tenant).in_memory(memory)
        for key in [each for each in (*memory.entries, *memory.leases) if each.tenant == tenant]:
            memory.entries.pop(key, None)
            memory.leases.pop(key, None)
        for tag in [each for each in memory.invalidated if each[0] == tenant]:
            del memory.invalidated[tag]
        for operation in [each for each in memory.done if each[0].tenant == tenant]:
            del memory.done[operation]
        return len(names)
