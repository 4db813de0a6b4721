"""Read data keys as they are stored, and list whose there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.keys.keys import name_of
from sojourn.keys.model import KeyOwner, StoredKeys, stored_keys

if TYPE_CHECKING:
    from sojourn.keys.inmemory import InMemoryDataKeys
    from sojourn.keys.redis import RedisDataKeys

_READ = Script.beside(__name__, "read")


class ReadDataKeys(Operation[StoredKeys], frozen=True):
    """The data keys of an owner. Raises `CorruptRecord` and `NewerFormat`.

    Attributes:
        owner: whose.
        use: whether they are to be used: then a sweep leaves them.
    """

    owner: KeyOwner
    use: bool = False

    async def on_server(self, server: RedisDataKeys) -> StoredKeys:
        """One round trip."""
        keys = server.keys.data_keys(self.owner)
        args = (name_of(self.owner), "1" if self.use else "")
        call: Call[Any] = Call("keys.read", keys, only, script=_READ, args=args)
        return stored_reply(keys[0], await server.engine.run(call))

    async def in_memory(self, memory: InMemoryDataKeys) -> StoredKeys:
        """As `Operation`."""
        fields = memory.records.get(self.owner, {})
        if self.use and fields.pop(b"idle", None) is not None:
            memory.changed = True
        return memory.read(self.owner)


class ListKeyOwners(Operation[list[KeyOwner]], frozen=True):
    """All users and apps that have data keys, in order."""

    async def on_server(self, server: RedisDataKeys) -> list[KeyOwner]:
        """A round trip for each 1,000 keys of the server."""
        names = await server.find(server.keys.pattern("keys"))
        return [server.keys.owner_of(name) for name in names]

    async def in_memory(self, memory: InMemoryDataKeys) -> list[KeyOwner]:
        """As `Operation`."""
        return sorted(memory.records, key=name_of)


def stored_reply(name: str, reply: Any) -> StoredKeys:
    """The reply of a script that ends with the fields."""
    erased, flat = reply
    return stored_keys(name, erased, dict(zip(flat[::2], flat[1::2], strict=True)))
