"""Delete a thread, checkpoints of one, or all that is stored of a user."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from sojourn.calls.call import Call, Script, only
from sojourn.calls.operation import Operation
from sojourn.checkpoints.keys import SHARDS
from sojourn.checkpoints.model import ThreadKey
from sojourn.ids import UserKey, escape

if TYPE_CHECKING:
    from sojourn.checkpoints.inmemory import InMemoryCheckpoints
    from sojourn.checkpoints.redis import RedisCheckpoints

_DELETE, _REMOVE = (Script.beside(__name__, name) for name in ("delete", "remove"))


class DeleteThread(Operation[bool], frozen=True):
    """Delete a thread; whether there was one.

    Attributes:
        key: which.
        operation_id: repeated with the same id it takes effect once.
    """

    key: ThreadKey
    operation_id: str

    async def on_server(self, server: RedisCheckpoints) -> bool:
        """One round trip."""
        keys = server.keys.thread(self.key)
        (found,) = await server.script(
            _DELETE, keys, self.key.thread, self.operation_id, operation_id=self.operation_id
        )
        return bool(found)

    async def in_memory(self, memory: InMemoryCheckpoints) -> bool:
        """As `Operation`."""
        operation = ("delete", self.key, self.operation_id)
        if operation not in memory.done:
            found = memory.alive(self.key) is not None
            memory.threads.pop(self.key, None)
            memory.remember(operation, found)
        return bool(memory.done[operation])


class RemoveCheckpoints(Operation[int], frozen=True):
    """Delete checkpoints with their writes, and the thread when none is left; how many.

    Raises CorruptRecord, NewerFormat.

    Attributes:
        key: of which thread.
        places: which; None for all but the newest.
        keep: how many of each namespace are kept, if `places` is None.
        operation_id: repeated with the same id it takes effect once.
    """

    key: ThreadKey
    places: Sequence[str] | None
    keep: int
    operation_id: str

    async def on_server(self, server: RedisCheckpoints) -> int:
        """One round trip."""
        what = ("keep", self.keep) if self.places is None else ("these", *self.places)
        _, removed = await server.script(
            _REMOVE,
            server.keys.thread(self.key),
            *(self.key.thread, self.operation_id, *what),
            operation_id=self.operation_id,
        )
        return int(removed)

    async def in_memory(self, memory: InMemoryCheckpoints) -> int:
        """As `Operation`."""
        operation = ("write", self.key, self.operation_id)
        found = memory.alive(self.key)
        if found is None or operation in memory.done:
            return 0
        if self.places is not None:
            removed = found.remove(self.places)
        else:
            spaces = {place.partition(":")[0] for place in found.checkpoints}
            removed = sum(found.prune(space, self.keep) for space in spaces)
        if not found.checkpoints:
            del memory.threads[self.key]
        memory.remember(operation)
        return removed


class ForgetThreads(Operation[int], frozen=True):
    """Delete all that is stored of a user; how many threads.

    Attributes:
        user: which user.
    """

    user: UserKey

    async def on_server(self, server: RedisCheckpoints) -> int:
        """A round trip for each 1,000 keys of the server, and for each 500 that are deleted."""
        keys: dict[str, str] = {}
        for pattern in server.keys.threads_by(self.user):
            keys |= await server.find(pattern)
        await server.unlink(
            name for name, kind in keys.items() if kind not in {"threadowners", "threadruns"}
        )
        app, user = escape(self.user.app), escape(self.user.user)
        for shard in range(SHARDS):
            await _forget(server, server.keys.shard(self.user.app, shard), f"{user}:")
        for word in ("threadowners", "threadruns"):
            async for index, _ in server.scan(server.keys.pattern(word)):
                await _forget(server, index, f"{app}:{user}")
        return list(keys.values()).count("thread")

    async def in_memory(self, memory: InMemoryCheckpoints) -> int:
        """As `Operation`."""
        ours = [key for key in memory.threads if key.owner == self.user and memory.alive(key)]
        for key in [key for key in memory.threads if key.owner == self.user]:
            del memory.threads[key]
        for operation in [each for each in memory.done if each[1].owner == self.user]:
            del memory.done[operation]
        for names in memory.registered.values():
            names.difference_update([name for name in names if name[:2] == self.user])
        return len(ours)


async def _forget(server: RedisCheckpoints, index: str, start: str) -> None:
    """Take a user's names out of an index: those that are `start`, or go on behind it."""
    async for name in _members(server, index):
        if name.startswith(start if start.endswith(":") else f"{start}:") or name == start:
            call: Call[Any] = Call("threads.forget", (index,), only, [("ZREM", index, name)])
            await server.engine.run(call)


async def _members(server: RedisCheckpoints, index: str) -> AsyncIterator[str]:
    cursor = 0
    while True:
        call: Call[Any] = Call(
            "threads.members", (index,), only, [("ZSCAN", index, cursor, "COUNT", 1000)]
        )
        after, flat = await server.engine.run(call)
        for name in flat[::2]:
            yield name.decode(errors="replace")
        cursor = int(after)
        if cursor == 0:
            return
