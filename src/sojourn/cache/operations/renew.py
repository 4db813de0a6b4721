"""Hold a lease for longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.cache.store import EntryKey
from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation

if TYPE_CHECKING:
    from sojourn.cache.inmemory import InMemoryCache
    from sojourn.cache.redis import RedisCache

SCRIPT = Script.beside(__name__)


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
        call: Call[int] = Call(
            name="cache.renew",
            keys=(server.keys.cache(*self.key).lease,),
            read=only,
            script=SCRIPT,
            args=(self.token, round(self.lease * 1000)),
        )
        return await server.engine.run(call) == 1

    async def in_memory(self, memory: InMemoryCache) -> bool:
        """As `Operation`."""
        if memory.holder(self.key) != self.token:
            return False
        memory.lend(self.key, self.token, self.lease)
        return True
