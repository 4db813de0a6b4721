"""Add, rewrap, drop, destroy and sweep data keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from sojourn.calls.call import Argument, Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.keys.inmemory import REMEMBERED, mark_of
from sojourn.keys.keys import name_of
from sojourn.keys.model import KeyOwner, StoredKeys
from sojourn.keys.operations.reads import stored_reply

if TYPE_CHECKING:
    from sojourn.keys.inmemory import InMemoryDataKeys
    from sojourn.keys.redis import RedisDataKeys

_ADD, _RESTORE, _REWRAP, _DROP, _DESTROY, _READMIT, _SWEEP = (
    Script.beside(__name__, name)
    for name in ("add", "restore", "rewrap", "drop", "destroy", "readmit", "sweep")
)

Dropped = Literal["dropped", "absent", "active", "early"]
SweptKeys = Literal["removed", "idle", "young"]


class AddDataKey(Operation[StoredKeys], frozen=True):
    """Add a data key as the active one, if no other process was faster; what is there then.

    Attributes:
        owner: whose.
        id: of the key.
        value: its master key's id, a blank, and the wrapped key in base64.
        follows: the id of the active key that it takes the place of; empty for the first.
    """

    owner: KeyOwner
    id: str
    value: bytes
    follows: str = ""

    async def on_server(self, server: RedisDataKeys) -> StoredKeys:
        """One round trip."""
        keys = server.keys.data_keys(self.owner)
        args = (name_of(self.owner), self.id, self.value, self.follows)
        call: Call[Any] = Call("keys.add", keys, only, script=_ADD, args=args, operation_id=self.id)
        return stored_reply(keys[0], await server.engine.run(call))

    async def in_memory(self, memory: InMemoryDataKeys) -> StoredKeys:
        """As `Operation`."""
        fields = memory.records.get(self.owner, {})
        free = fields.get(b"active", b"").decode() == self.follows
        if free and not memory.erased(self.owner):
            memory.records[self.owner] = fields
            key = b"key:%b" % self.id.encode()
            value = b"%b %d" % (self.value, memory.now())
            fields.setdefault(b"format", b"1")
            fields |= {b"active": self.id.encode(), key: value}
            fields.pop(b"idle", None)
            memory.changed = True
        return memory.read(self.owner)


class RestoreDataKey(Operation[StoredKeys], frozen=True):
    """Store a data key again that its store has lost, unless it was destroyed; what is there then.

    Attributes:
        owner: whose.
        id: of the key.
        value: as it was stored.
    """

    owner: KeyOwner
    id: str
    value: bytes

    async def on_server(self, server: RedisDataKeys) -> StoredKeys:
        """One round trip."""
        keys = server.keys.data_keys(self.owner)
        args = (name_of(self.owner), self.id, self.value)
        call: Call[Any] = Call(
            "keys.restore", keys, only, script=_RESTORE, args=args, operation_id=self.id
        )
        return stored_reply(keys[0], await server.engine.run(call))

    async def in_memory(self, memory: InMemoryDataKeys) -> StoredKeys:
        """As `Operation`."""
        if not memory.marks_of(self.owner):
            fields = memory.records.setdefault(self.owner, {})
            fields.setdefault(b"format", b"1")
            fields.setdefault(b"active", self.id.encode())
            fields.setdefault(b"key:%b" % self.id.encode(), self.value)
            memory.changed = True
        return memory.read(self.owner)


class RewrapDataKeys(Operation[int], frozen=True):
    """Replace wrapped keys, each only if it is still as it was read; how many are written now.

    Attributes:
        owner: whose.
        keys: ids, the values that were read, and those to write.
    """

    owner: KeyOwner
    keys: Sequence[tuple[str, bytes, bytes]]

    async def on_server(self, server: RedisDataKeys) -> int:
        """One round trip."""
        name, _ = server.keys.data_keys(self.owner)
        args: list[Argument] = [part for each in self.keys for part in each]
        call: Call[int] = Call(
            "keys.rewrap", (name,), only, script=_REWRAP, args=args, operation_id=self.keys[0][0]
        )
        return await server.engine.run(call)

    async def in_memory(self, memory: InMemoryDataKeys) -> int:
        """As `Operation`."""
        fields, count = memory.records.get(self.owner, {}), 0
        for name, old, new in self.keys:
            field = b"key:%b" % name.encode()
            if fields.get(field) in (old, new):
                fields[field] = new
                memory.changed = True
                count += 1
        return count


class DropDataKey(Operation[Dropped], frozen=True):
    """Remove a data key that seals nothing any more: what it has sealed is lost.

    Attributes:
        owner: whose.
        id: of the key.
        settled: seconds for which the active key has to be there, so that every process uses it.
    """

    owner: KeyOwner
    id: str
    settled: float

    async def on_server(self, server: RedisDataKeys) -> Dropped:
        """One round trip."""
        name, _ = server.keys.data_keys(self.owner)
        args = (self.id, round(self.settled * 1000))
        call: Call[bytes] = Call("keys.drop", (name,), only, script=_DROP, args=args)
        return cast("Dropped", (await server.engine.run(call)).decode())

    async def in_memory(self, memory: InMemoryDataKeys) -> Dropped:
        """As `Operation`."""
        found = memory.read(self.owner)
        if self.id == found.active:
            return "active"
        if self.id not in found.keys:
            return "absent"
        if memory.now() - found.keys[found.active].made < self.settled * 1000:
            return "early"
        del memory.records[self.owner][b"key:%b" % self.id.encode()]
        memory.changed = True
        return "dropped"


class DestroyDataKeys(Operation[int], frozen=True):
    """Destroy the data keys of an owner, and remember that for 30 days; how many there were.

    Attributes:
        owner: whose.
    """

    owner: KeyOwner

    async def on_server(self, server: RedisDataKeys) -> int:
        """One round trip."""
        keys = server.keys.data_keys(self.owner)
        mark = mark_of(self.owner)
        call: Call[int] = Call("keys.destroy", keys, only, script=_DESTROY, args=(mark,))
        return await server.engine.run(call)

    async def in_memory(self, memory: InMemoryDataKeys) -> int:
        """As `Operation`."""
        fields = memory.records.pop(self.owner, None)
        if fields is None:
            return 0
        since = memory.now() - REMEMBERED * 1000
        for mark in [mark for mark, at in memory.destroyed.items() if abs(at) < since]:
            del memory.destroyed[mark]
        memory.destroyed[mark_of(self.owner)] = memory.now()
        memory.changed = True
        return sum(each.startswith(b"key:") for each in fields)


class ReadmitOwner(Operation[bool], frozen=True):
    """Let an owner have data keys again after theirs were destroyed; whether they were.

    Attributes:
        owner: whose.
    """

    owner: KeyOwner

    async def on_server(self, server: RedisDataKeys) -> bool:
        """One round trip."""
        _, marks = server.keys.data_keys(self.owner)
        args = (name_of(self.owner),)
        call: Call[int] = Call("keys.readmit", (marks,), only, script=_READMIT, args=args)
        return await server.engine.run(call) == 1

    async def in_memory(self, memory: InMemoryDataKeys) -> bool:
        """As `Operation`."""
        found = memory.erased(self.owner) > 0
        for mark in memory.marks_of(self.owner):
            memory.destroyed[mark] = -abs(memory.destroyed[mark])
            memory.changed = True
        return found


class SweepDataKeys(Operation[SweptKeys], frozen=True):
    """Remove the data keys of an owner who has no record left, once that is known for long enough.

    Attributes:
        owner: whose.
        idle: seconds for which it has to be known; whoever uses them meanwhile keeps them.
        age: seconds that the keys have to be old.
    """

    owner: KeyOwner
    idle: float
    age: float

    async def on_server(self, server: RedisDataKeys) -> SweptKeys:
        """One round trip."""
        name, _ = server.keys.data_keys(self.owner)
        args = (round(self.idle * 1000), round(self.age * 1000))
        call: Call[bytes] = Call("keys.sweep", (name,), only, script=_SWEEP, args=args)
        return cast("SweptKeys", (await server.engine.run(call)).decode())

    async def in_memory(self, memory: InMemoryDataKeys) -> SweptKeys:
        """As `Operation`."""
        found, now = memory.read(self.owner), memory.now()
        if not found.keys or any(now - key.made < self.age * 1000 for key in found.keys.values()):
            return "young"
        fields = memory.records[self.owner]
        memory.changed = True
        since = int(fields.setdefault(b"idle", b"%d" % now))
        if now - since < self.idle * 1000:
            return "idle"
        del memory.records[self.owner]
        return "removed"
