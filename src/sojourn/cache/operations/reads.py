"""Read an entry, for a caller or an export; list the names of entries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from sojourn.cache.store import ArchivedResult, EntryKey, Fetched, decoded_value
from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.codecs.growth import refusal, unknown
from sojourn.errors import CorruptRecord
from sojourn.ids import unescape

if TYPE_CHECKING:
    from sojourn.cache.inmemory import InMemoryCache
    from sojourn.cache.redis import RedisCache
    from sojourn.calls.coded import CodedStore

_FETCH = Script.beside(__name__, "fetch")
_KNOWN = frozenset({b"format", b"value", b"since", b"fresh", b"tags", b"stamped"})


class FetchCached(Operation[Fetched], frozen=True):
    """Read an entry; when it is not fresh and nobody computes it, take the lease on it.

    Raises `NewerFormat` for an entry of a newer format, which gets no lease; and what
    `decoded_value` raises, of which the lease may have been taken.

    Attributes:
        key: which entry.
        token: names the lease; an empty one requests none.
        lease: seconds that it is held.
    """

    key: EntryKey
    token: str = ""
    lease: float = 0.0

    async def decoded(self, result: Fetched, coded: CodedStore) -> Fetched:
        """As `Operation`."""
        if result.status == "miss":
            return result
        return result._replace(value=await decoded_value(coded, self.key, result.value))

    async def on_server(self, server: RedisCache) -> Fetched:
        """One round trip."""
        keys, args = server.keys.cache(*self.key), (self.token, round(self.lease * 1000))
        status, *found = await server.engine.run(
            Call("cache.fetch", keys, only, script=_FETCH, args=args, separate_connection=True)
        )
        if status == b"newer":
            raise refusal("The cached entry", keys.entry, *found)
        value, leased, stamp = found
        return Fetched(status.decode(), value, leased == 1, int(stamp))

    async def in_memory(self, memory: InMemoryCache) -> Fetched:
        """As `Operation`."""
        key, stamp, entry = self.key, memory.stamp(), memory.use(self.key)
        if entry is not None and entry.fresh > memory.clock():
            return Fetched("hit", entry.value, leased=False, since=stamp)
        holder = memory.holder(key)
        leased = bool(self.token) and holder in ("", self.token)
        if leased and not holder:
            memory.lend(key, self.token, self.lease)
        if entry is None:
            return Fetched("miss", b"", leased, stamp)
        return Fetched("stale", entry.value, leased, stamp)


class ReadCached(Operation[ArchivedResult | None], frozen=True):
    """An entry as it is stored, or None if there is no valid one. `PutCached` imports it.

    Raises as `FetchCached`, and `CorruptRecord` where it cannot be read.

    Attributes:
        key: which entry.
    """

    key: EntryKey

    async def decoded(
        self, result: ArchivedResult | None, coded: CodedStore
    ) -> ArchivedResult | None:
        """As `Operation`."""
        if result is None:
            return None
        return result._replace(value=await decoded_value(coded, self.key, result.value))

    async def on_server(self, server: RedisCache) -> ArchivedResult | None:
        """Two round trips."""
        found = await server.run(FetchCached(self.key))
        if found.status == "miss":
            return None
        entry = server.keys.cache(*self.key).entry
        commands = [("HGETALL", entry), ("PTTL", entry), ("TIME",)]
        flat, left, clock = await server.engine.run(
            Call("cache.kept", (entry,), list, commands=commands)
        )
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        fresh = fields.get(b"fresh")
        if fresh is None or left < 0:  # expired between the two
            return None
        ends = int(clock[0]) + int(clock[1]) / 1_000_000 + left / 1000
        try:
            tags = [tag for tag in fields.get(b"tags", b"").decode().split("\n") if tag]
            instant = int(fresh) / 1_000_000
        except ValueError as error:
            raise CorruptRecord(f"{entry} cannot be read.", key=entry, raw=fresh) from error
        return ArchivedResult(found.value, instant, ends, tags, unknown(fields, _KNOWN))

    async def in_memory(self, memory: InMemoryCache) -> ArchivedResult | None:
        """As `Operation`."""
        entry = memory.use(self.key)
        return entry and ArchivedResult(entry.value, entry.fresh, entry.ends, entry.tags)


class ListCached(Operation[list[str]], frozen=True):
    """The names of a tenant's entries, in order. It looks at every key.

    Attributes:
        tenant: whose entries.
    """

    tenant: str

    async def on_server(self, server: RedisCache) -> list[str]:
        """A round trip for each 1,000 keys of the server."""
        keys = await server.find(server.keys.cached_by(self.tenant))
        found = (key for key, kind in keys.items() if kind == "cached")
        return sorted(unescape(key.rpartition(":")[2]) for key in found)

    async def in_memory(self, memory: InMemoryCache) -> list[str]:
        """As `Operation`."""
        now, ours = memory.clock(), self.tenant
        entries = memory.entries.items()
        return sorted(key.name for key, it in entries if key.tenant == ours and it.ends > now)


class EveryCached(Operation[AsyncIterator[EntryKey]], frozen=True):
    """The keys of all entries, some perhaps twice."""

    async def on_server(self, server: RedisCache) -> AsyncIterator[EntryKey]:
        """A round trip for each 1,000 keys of the server, as they are wanted."""

        async def each() -> AsyncIterator[EntryKey]:
            async for key, kind in server.scan(server.keys.pattern("cache")):
                if kind == "cached":
                    tenant, _, name = server.keys.named(key)
                    yield EntryKey(tenant, name)

        return each()

    async def in_memory(self, memory: InMemoryCache) -> AsyncIterator[EntryKey]:
        """As `Operation`."""

        async def each() -> AsyncIterator[EntryKey]:
            for key in list(memory.entries):
                yield key

        return each()
