"""Read an entry, or take the lease on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sojourn.cache.store import EntryKey, Fetched
from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.codecs.growth import refusal

if TYPE_CHECKING:
    from sojourn.cache.inmemory import InMemoryCache
    from sojourn.cache.redis import RedisCache

SCRIPT = Script.beside(__name__)


class FetchCached(Operation[Fetched], frozen=True):
    """Read an entry; when it is not fresh and nobody computes it, take the lease on it.

    Raises as `PutCached`; such an entry gets no lease.

    Attributes:
        key: which entry.
        token: names the lease; an empty one requests none.
        lease: seconds that it is held.
    """

    key: EntryKey
    token: str = ""
    lease: float = 0.0

    async def on_server(self, server: RedisCache) -> Fetched:
        """One round trip."""
        keys = server.keys.cache(*self.key)
        call: Call[list[Any]] = Call(
            name="cache.fetch",
            keys=(keys.entry, keys.lease, keys.tags),
            read=only,
            script=SCRIPT,
            args=(self.token, round(self.lease * 1000)),
            separate_connection=True,
        )
        status, *found = await server.engine.run(call)
        if status == b"newer":
            raise refusal("The cached entry", keys.entry, *found)
        value, leased, stamp = found
        return Fetched(status.decode(), value, leased == 1, int(stamp))

    async def in_memory(self, memory: InMemoryCache) -> Fetched:
        """As `Operation`."""
        key, now, stamp = self.key, memory.clock(), memory.stamp()
        entry = memory.valid(key)
        if entry is not None:
            memory.entries.move_to_end(key)
            if entry.fresh > now:
                return Fetched("hit", entry.value, leased=False, since=stamp)
        holder = memory.holder(key)
        leased = bool(self.token) and holder in ("", self.token)
        if leased and not holder:
            memory.lend(key, self.token, self.lease)
        if entry is None:
            return Fetched("miss", b"", leased, stamp)
        return Fetched("stale", entry.value, leased, stamp)
