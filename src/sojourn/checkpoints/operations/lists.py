"""List the threads of a user, of an app, and those that indexes name; enter a thread into these."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from sojourn.calls.call import Call, only
from sojourn.calls.operation import Operation
from sojourn.checkpoints import coded as content
from sojourn.checkpoints.keys import SHARDS
from sojourn.checkpoints.model import ThreadKey
from sojourn.checkpoints.store import ThreadRow
from sojourn.codecs.growth import FORMAT, major_of
from sojourn.ids import UserKey, escape, unescape

if TYPE_CHECKING:
    from sojourn.calls.coded import CodedStore
    from sojourn.checkpoints.inmemory import InMemoryCheckpoints
    from sojourn.checkpoints.redis import RedisCheckpoints

Indexes = Sequence[tuple[str, str]]


class RegisterThread(Operation[None], frozen=True):
    """Enter a thread into the index of its app's threads, and of those of an id and of a run.

    Attributes:
        key: which thread.
        scope: the app under which its id and run are looked up.
        by_owner: whether its id is to be found without its owner.
        run: the run that stores a checkpoint in it; empty for none.
        ttl: seconds that the thread lives; None for ever.
    """

    key: ThreadKey
    scope: str
    by_owner: bool
    run: str
    ttl: float | None

    async def on_server(self, server: RedisCheckpoints) -> None:
        """One round trip, or none when this process did so lately."""
        names = [server.keys.app_index(self.key)]
        app, user, thread = map(escape, self.key)
        if self.by_owner:
            names.append((server.keys.owners(self.scope, self.key.thread), f"{app}:{user}"))
        if self.run:
            names.append((server.keys.runs(self.scope, self.run), f"{app}:{user}:{thread}"))
        await server.register(names, self.ttl)

    async def in_memory(self, memory: InMemoryCheckpoints) -> None:
        """As `Operation`."""
        if self.by_owner:
            owners = memory.registered.setdefault((self.scope, f"thread {self.key.thread}"), set())
            owners.add(tuple(self.key))
        if self.run:
            memory.registered.setdefault((self.scope, f"run {self.run}"), set()).add(
                tuple(self.key)
            )


class FindThreads(Operation[list[ThreadKey]], frozen=True):
    """The threads that an index names, some of them gone perhaps.

    Attributes:
        scope: the app under which it was registered.
        thread: those of this id; empty if `run` is given.
        run: those in which this run has stored checkpoints.
    """

    scope: str
    thread: str = ""
    run: str = ""

    async def on_server(self, server: RedisCheckpoints) -> list[ThreadKey]:
        """One round trip."""
        keys = server.keys
        index = (
            keys.runs(self.scope, self.run) if self.run else keys.owners(self.scope, self.thread)
        )
        call: Call[Any] = Call("threads.find", (index,), only, [("ZRANGE", index, 0, -1)])
        names = [each.decode().split(":") for each in await server.engine.run(call)]
        return sorted(
            ThreadKey.of(*map(unescape, name if self.run else [*name, escape(self.thread)]))
            for name in names
        )

    async def in_memory(self, memory: InMemoryCheckpoints) -> list[ThreadKey]:
        """As `Operation`."""
        name = f"run {self.run}" if self.run else f"thread {self.thread}"
        return sorted(ThreadKey(*each) for each in memory.registered.get((self.scope, name), ()))  # type: ignore[arg-type]


class UnregisterRun(Operation[None], frozen=True):
    """Forget in which threads a run has stored checkpoints.

    Attributes:
        scope: the app under which it was registered.
        run: which.
    """

    scope: str
    run: str

    async def on_server(self, server: RedisCheckpoints) -> None:
        """One round trip."""
        index = server.keys.runs(self.scope, self.run)
        call: Call[Any] = Call("threads.unregister", (index,), only, [("UNLINK", index)])
        await server.engine.run(call)

    async def in_memory(self, memory: InMemoryCheckpoints) -> None:
        """As `Operation`."""
        memory.registered.pop((self.scope, f"run {self.run}"), None)


class ListApp(Operation[list[ThreadKey]], frozen=True):
    """The threads of an app, some of them gone perhaps, in order.

    Attributes:
        app: which.
    """

    app: str

    async def on_server(self, server: RedisCheckpoints) -> list[ThreadKey]:
        """One round trip to each node."""
        shards = [server.keys.shard(self.app, shard) for shard in range(SHARDS)]
        calls = [
            Call[Any](
                "threads.app", (shard,), only, [("ZRANGE", shard, 0, -1)], separate_connection=True
            )
            for shard in shards
        ]
        return sorted(
            ThreadKey.of(self.app, *map(unescape, name.decode().split(":")))
            for names in await server.engine.run_all(calls)
            for name in names
        )

    async def in_memory(self, memory: InMemoryCheckpoints) -> list[ThreadKey]:
        """As `Operation`."""
        return sorted(
            key for key in list(memory.threads) if key.app == self.app and memory.alive(key)
        )


class ListThreads(Operation[tuple[list[ThreadRow], int]], frozen=True):
    """Threads of a user, the newest first, and how many there are in all.

    Attributes:
        owner: whose.
        start: how many newer ones are left out.
        limit: how many at most.
    """

    owner: UserKey
    start: int
    limit: int

    async def on_server(self, server: RedisCheckpoints) -> tuple[list[ThreadRow], int]:
        """Two round trips."""
        index, _ = server.keys.threads(self.owner)
        last = self.start + self.limit - 1
        call: Call[Any] = Call(
            "threads.index",
            (index,),
            list,
            [("ZREVRANGE", index, self.start, last), ("ZCARD", index)],
        )
        names, number = await server.engine.run(call)
        threads = [name.decode(errors="replace") for name in names]
        calls = [_head(server, ThreadKey(*self.owner, thread)) for thread in threads]
        rows = [
            row
            for thread, reply in zip(threads, await server.engine.run_all(calls), strict=True)
            if (row := _row(thread, *reply)) is not None
        ]
        return rows, int(number)

    async def in_memory(self, memory: InMemoryCheckpoints) -> tuple[list[ThreadRow], int]:
        """As `Operation`."""
        ours = [
            (key, found)
            for key in list(memory.threads)
            if key.owner == self.owner and (found := memory.alive(key)) is not None
        ]
        ours.sort(key=lambda each: (each[1].updated, each[0]), reverse=True)
        rows = [
            ThreadRow(
                *(key.thread, found.title, found.updated, found.created, found.expires),
                len(found.checkpoints),
            )
            for key, found in ours[self.start : self.start + self.limit]
        ]
        return rows, len(ours)

    async def decoded(
        self, result: tuple[list[ThreadRow], int], coded: CodedStore
    ) -> tuple[list[ThreadRow], int]:
        """As `Operation`."""
        rows, number = result
        return await content.decoded_titles(coded, self.owner, rows), number


class EveryThread(Operation[AsyncIterator[ThreadKey]], frozen=True):
    """All threads, some perhaps twice."""

    async def on_server(self, server: RedisCheckpoints) -> AsyncIterator[ThreadKey]:
        """A round trip for each 1,000 keys of the server, as they are wanted."""
        return server.every_thread()

    async def in_memory(self, memory: InMemoryCheckpoints) -> AsyncIterator[ThreadKey]:
        """As `Operation`."""
        return _each([key for key in list(memory.threads) if memory.alive(key)])


async def _each(keys: Sequence[ThreadKey]) -> AsyncIterator[ThreadKey]:
    for key in keys:
        yield key


class ReadThread(Operation[ThreadRow | None], frozen=True):
    """What a list shows of a thread; None when there is none.

    Attributes:
        key: which.
    """

    key: ThreadKey

    async def on_server(self, server: RedisCheckpoints) -> ThreadRow | None:
        """One round trip."""
        return _row(self.key.thread, *await server.engine.run(_head(server, self.key)))

    async def in_memory(self, memory: InMemoryCheckpoints) -> ThreadRow | None:
        """As `Operation`."""
        found = memory.alive(self.key)
        if found is None:
            return None
        return ThreadRow(
            *(self.key.thread, found.title, found.updated, found.created, found.expires),
            len(found.checkpoints),
        )

    async def decoded(self, result: ThreadRow | None, coded: CodedStore) -> ThreadRow | None:
        """As `Operation`."""
        if result is None:
            return None
        return (await content.decoded_titles(coded, self.key.owner, [result]))[0]


def _head(server: RedisCheckpoints, key: ThreadKey) -> Call[Any]:
    """Reads what a list shows of a thread."""
    keys = server.keys.thread(key)
    return Call(
        "threads.head",
        (keys.head, keys.checkpoints),
        list,
        [
            ("HMGET", keys.head, "format", "title", "updated", "created", "expires"),
            ("HLEN", keys.checkpoints),
        ],
        allow_wrong_type=True,
    )


def _row(thread: str, head: object, number: object) -> ThreadRow | None:
    """What a list shows; None for a thread that is gone or cannot be read."""
    if not isinstance(head, list) or not isinstance(number, int):
        return None
    form, title, updated, created, expires = cast("Sequence[bytes | None]", head)
    if form is None:
        return None
    try:
        if major_of(form) > FORMAT:
            return ThreadRow(thread, b"", 0.0, 0.0, None, number, newer=True)
        return ThreadRow(
            thread,
            title or b"",
            float(updated or 0),
            float(created or 0),
            int(expires) / 1000 if expires else None,
            number,
        )
    except ValueError:
        return None
