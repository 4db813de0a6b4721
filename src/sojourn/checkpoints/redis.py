"""Threads on a server: the basis of all operations."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from sojourn.calls.call import Argument, Call, Script, only
from sojourn.checkpoints import refusals
from sojourn.checkpoints.keys import CheckpointRoomKeys, ThreadKeys
from sojourn.checkpoints.model import ThreadKey
from sojourn.checkpoints.store import in_ms
from sojourn.engine.engine import Engine
from sojourn.engine.store import RedisStore

_REGISTER = Script.beside("sojourn.checkpoints.operations.register")
_REGISTERED = 10_000
"""Names that a process remembers to have registered."""
_DAY = 86_400.0


class RedisCheckpoints(RedisStore[CheckpointRoomKeys]):
    """The threads of one deployment, over an engine. Its attributes are for operations.

    Args:
        engine: where calls go.
        keys: builds the keys.
    """

    def __init__(self, engine: Engine, keys: CheckpointRoomKeys) -> None:
        super().__init__(engine, keys)
        self._registered: OrderedDict[tuple[str, str], tuple[float, float | None]] = OrderedDict()
        self._losses = 0

    def script(
        self,
        script: Script,
        keys: ThreadKeys,
        *args: Argument,
        more: Sequence[str] = (),
        operation_id: str | None = None,
        large: bool = False,
    ) -> Coroutine[Any, Any, list[Any]]:
        """Run a script of one thread. One round trip.

        Args:
            script: which one.
            keys: of the thread.
            args: what it takes.
            more: further keys.
            operation_id: of a write.
            large: its reply may be megabytes.

        Returns:
            its reply, which is none of those that are errors.

        Raises:
            CorruptRecord: the thread cannot be read, or lost a part.
            NewerFormat: a newer version of Sojourn wrote it.
        """

        def read(replies: list[Any]) -> list[Any]:
            reply: list[Any] = replies[0]
            if reply and reply[0] in refusals.UNUSABLE:
                raise refusals.unusable(keys.head, *reply)
            return reply

        return self.engine.run(
            Call(
                f"threads.{script.name}",
                (*keys, *more),
                read,
                script=script,
                args=args,
                operation_id=operation_id,
                separate_connection=large,
            )
        )

    async def register(self, names: Sequence[tuple[str, str]], ttl: float | None) -> None:
        """Enter names into indexes in slots of their own, unless this process did so lately.

        One round trip for all, or none. They live there twice as long as what they name.

        Args:
            names: each with the key of its index.
            ttl: seconds that what they name lives.
        """
        if self._losses != self.engine.tally.broken:  # the server may be another since
            self._losses = self.engine.tally.broken
            self._registered.clear()
        now, twice = time.monotonic(), None if ttl is None else 2 * ttl
        due = [name for name in names if self._is_due(name, now, ttl)]
        if not due:
            return
        await self.engine.run_all(
            [
                Call[Any](
                    "threads.register", (index,), only, script=_REGISTER, args=(name, in_ms(twice))
                )
                for index, name in due
            ]
        )
        again = now + (_DAY if ttl is None else min(_DAY, ttl / 2))
        for name in due:
            self._registered[name] = (again, ttl)
            self._registered.move_to_end(name)
        while len(self._registered) > _REGISTERED:
            self._registered.popitem(last=False)

    def _is_due(self, name: tuple[str, str], now: float, ttl: float | None) -> bool:
        again, lasting = self._registered.get(name, (0.0, 0.0))
        return again <= now or not (lasting is None or (ttl is not None and ttl <= lasting))

    async def every_thread(self) -> AsyncIterator[ThreadKey]:
        """All threads. A round trip for each 1,000 keys of the server."""
        async for key, kind in self.scan(self.keys.pattern("thread")):
            try:
                if kind == "thread":
                    yield ThreadKey.of(*self.keys.named(key))
            except ValueError:  # a key of another program
                continue

    async def unregister(self, names: Sequence[tuple[str, str]]) -> None:
        """Take names out of indexes. One round trip for all."""
        for name in names:
            self._registered.pop(name, None)
        await self.engine.run_all(
            [
                Call[Any]("threads.unregister", (index,), only, commands=[("ZREM", index, name)])
                for index, name in names
            ]
        )
