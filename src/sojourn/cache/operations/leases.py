"""Hold a lease for longer, or give it back. `FetchCached` takes it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sojourn.cache.store import CacheEntry, EntryKey, encoded_entry
from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.errors import SojournError

if TYPE_CHECKING:
    from sojourn.cache.inmemory import InMemoryCache
    from sojourn.cache.redis import RedisCache
    from sojourn.calls.coded import CodedStore

log = logging.getLogger("sojourn.cache")

_FULFIL, _RENEW = (Script.beside(__name__, name) for name in ("fulfil", "renew"))


class RenewLease(Operation[bool], frozen=True):
    """Hold a lease for longer; whether it was still held.

    Attributes:
        key: of which entry.
        token: names the lease.
        lease: seconds from now.
    """

    key: EntryKey
    token: str
    lease: float

    async def on_server(self, server: RedisCache) -> bool:
        """One round trip."""
        keys, args = server.keys.cache(*self.key), (self.token, round(self.lease * 1000))
        call: Call[int] = Call("cache.renew", keys, only, script=_RENEW, args=args)
        return await server.engine.run(call) == 1

    async def in_memory(self, memory: InMemoryCache) -> bool:
        """As `Operation`."""
        held = memory.holder(self.key) == self.token
        if held:
            memory.lend(self.key, self.token, self.lease)
        return held


class FulfilLease(Operation[bool], frozen=True):
    """Give back a lease with the value that was computed; whether it was still held.

    If it was not, nothing is stored. Nor is it where the entry was written meanwhile in a way that
    the value may not replace, or where the value cannot be encoded: its key is not at hand.

    Attributes:
        key: of which entry.
        entry: the value; None to store nothing.
        token: names the lease.
        since: when it was taken, as `Fetched` says.
    """

    key: EntryKey
    entry: CacheEntry | None
    token: str
    since: int

    async def encoded(self, coded: CodedStore) -> FulfilLease:
        """As `Operation`."""
        if self.entry is None:
            return self
        try:
            return replace(self, entry=await encoded_entry(coded.codec, self.key, self.entry))
        except SojournError as error:  # others wait for the lease
            log.warning("A computed value is not stored: %s", error)
            return replace(self, entry=None)

    async def on_server(self, server: RedisCache) -> bool:
        """One round trip."""
        call: Call[int] = Call(
            name="cache.fulfil",
            keys=server.keys.cache(*self.key),
            read=only,
            script=_FULFIL,
            args=(self.token, self.since, *(self.entry.arguments() if self.entry else ())),
            operation_id=self.token,
        )
        return await server.engine.run(call) == 1

    async def in_memory(self, memory: InMemoryCache) -> bool:
        """As `Operation`."""
        if memory.holder(self.key) != self.token:
            return False
        del memory.leases[self.key]
        if self.entry is not None:
            memory.put(self.key, self.entry, self.since)
        return True
