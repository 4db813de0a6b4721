"""Read an entry for an export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sojourn.cache.operations.fetch import FetchCached
from sojourn.cache.store import ArchivedResult, EntryKey
from sojourn.calls.call import Call
from sojourn.calls.operation import Operation
from sojourn.codecs.growth import unknown
from sojourn.errors import CorruptRecord

if TYPE_CHECKING:
    from sojourn.cache.inmemory import InMemoryCache
    from sojourn.cache.redis import RedisCache

_KNOWN = frozenset({b"format", b"value", b"since", b"fresh", b"tags", b"stamped"})


class ReadCached(Operation[ArchivedResult | None], frozen=True):
    """An entry as it is kept, or None where none counts. To import it, `PutCached` takes it.

    Raises as `FetchCached`, and `CorruptRecord` where it cannot be read.

    Attributes:
        key: which entry.
    """

    key: EntryKey

    async def on_server(self, server: RedisCache) -> ArchivedResult | None:
        """Two round trips."""
        found = await server.run(FetchCached(self.key))
        if found.status == "miss":
            return None
        entry = server.keys.cache(*self.key).entry
        call: Call[list[Any]] = Call(
            "cache.kept",
            (entry,),
            list,
            commands=[("HGETALL", entry), ("PTTL", entry), ("TIME",)],
        )
        flat, left, clock = await server.engine.run(call)
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        fresh, tags = fields.get(b"fresh"), fields.get(b"tags", b"")
        if fresh is None or left < 0:  # expired between the two
            return None
        now = int(clock[0]) + int(clock[1]) / 1_000_000
        try:
            words = [word for word in tags.decode().split("\n") if word]
            instant = int(fresh) / 1_000_000
        except ValueError as error:
            raise CorruptRecord(f"{entry} cannot be read.", key=entry, raw=fresh) from error
        more = unknown(fields, _KNOWN)
        return ArchivedResult(found.value, instant, now + left / 1000, words, more)

    async def in_memory(self, memory: InMemoryCache) -> ArchivedResult | None:
        """As `Operation`."""
        entry = memory.valid(self.key)
        if entry is None:
            return None
        memory.entries.move_to_end(self.key)
        return ArchivedResult(entry.value, entry.fresh, entry.ends, entry.tags)
