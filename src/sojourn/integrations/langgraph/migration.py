"""Sources of threads for a migration: LangGraph's checkpointers, and what they have stored.

report = await sojourn.migrate(ThreadSource(InMemorySaver()), store)
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP, BaseCheckpointSaver, CheckpointTuple

from sojourn.checkpoints import DEFAULT_TTL
from sojourn.checkpoints.model import Branch, CheckpointPlace, Content, ThreadKey
from sojourn.errors import InvalidId, InvalidInput, TooLarge
from sojourn.integrations.langgraph.saver import CheckpointSaver
from sojourn.integrations.langgraph.sources import (
    FoundThread,
    PlainRedisReader,
    PostgresReader,
    SaverReader,
    SqliteReader,
    ThreadReader,
    config_of,
    place_of,
)
from sojourn.integrations.langgraph.strict import blocked_classes, strict_serializer
from sojourn.integrations.langgraph.values import to_content
from sojourn.transfer.migration.keyspace import Keyspace
from sojourn.transfer.migration.lifetimes import is_over, remaining
from sojourn.transfer.migration.model import Outcome, Record, SourceThread, UnreadableRecord
from sojourn.transfer.migration.parsing import NotReadable

if TYPE_CHECKING:
    from sojourn.client import Sojourn
    from sojourn.integrations.langgraph.saver import Owner

    Written: TypeAlias = tuple[str, str, Any]
    Allowed: TypeAlias = Collection[tuple[str, str]]

APP: Final = "langgraph"
"""The app of threads, if no other is named: that of `CheckpointSaver`."""

_FORMAT = 4
"""Of checkpoints: older ones keep what tasks send elsewhere."""
_PAGE = 20
"""Checkpoints that are compared at once."""


class ThreadSource:
    """The threads of a checkpointer, for `sojourn.migrate`. It is only read.

    Checkpoints keep their ids, parents, namespaces and metadata, and the writes of their tasks.
    What is here already is compared; run it again at any time. `owner` is looked up in the metadata
    of a thread's last checkpoint: LangGraph puts `configurable` there.

    Args:
        source: InMemorySaver or another checkpointer, of LangGraph's or anyone's; it stays open.
            For files and databases see `sqlite_source` and `postgres_source`.
        app: the app of the threads here.
        owner: as for `CheckpointSaver`.
    """

    layout = "langgraph"

    def __init__(
        self,
        source: BaseCheckpointSaver[Any] | ThreadReader,
        *,
        app: str = APP,
        owner: Owner | None = None,
    ) -> None:
        self._reader = SaverReader(source) if isinstance(source, BaseCheckpointSaver) else source
        self.where = self._reader.where
        self._app = app
        self._owner = owner
        self._one_by_one = asyncio.Lock()  # what is blocked is told to all who listen

    async def records(self) -> AsyncIterator[SourceThread | UnreadableRecord]:
        """All threads."""
        async for found in self._reader.threads():
            where = f"thread {found.id}"
            try:
                key = self._key(found)
            except (InvalidId, InvalidInput) as error:
                yield UnreadableRecord(where, str(error))
                continue
            bring = partial(self._bring, key, found.expires)
            yield SourceThread(where=where, app=key.app, user=key.user, bring=bring)

    async def close(self) -> None:
        """Close what was opened for it."""
        await self._reader.close()

    def _key(self, found: FoundThread) -> ThreadKey:
        probe = CheckpointSaver("memory://", app=self._app, owner=self._owner)
        return probe._key({"configurable": {**found.metadata, "thread_id": found.id}})  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    async def _bring(
        self, key: ThreadKey, expires: float | None, store: Sojourn, dry_run: bool
    ) -> tuple[Outcome, str]:
        if is_over(expires):
            return Outcome.EXPIRED, ""
        owner: Owner | None = None if self._owner is None else lambda _: (key.app, key.user)
        left = remaining(expires)
        ttl = DEFAULT_TTL if left is None else max(left, 1.0)
        saver = CheckpointSaver(store, app=self._app, owner=owner, ttl=ttl)
        thread = _Thread(key, saver, self._reader)
        try:
            async with self._one_by_one:
                with blocked_classes() as blocked:
                    outcome, why = await thread.compare()
            if blocked:
                names = ", ".join(sorted(blocked))
                return Outcome.REFUSED, f"it holds objects of {names}: name these with allow="
            if not dry_run:
                await thread.store()
        except (InvalidInput, TooLarge, NotReadable) as error:
            return Outcome.REFUSED, str(error)
        return outcome, why


class _Thread:
    """A thread of a source, and the same here."""

    def __init__(self, key: ThreadKey, saver: CheckpointSaver, reader: ThreadReader) -> None:
        self._key = key
        self._saver = saver
        self._reader = reader
        self._todo: dict[CheckpointPlace, bool] = {}
        """Checkpoints that are not here as they are there; whether they are new here."""

    async def compare(self) -> tuple[Outcome, str]:
        """Look what is to be stored; nothing is."""
        todo: dict[CheckpointPlace, bool] = {}
        here, seen = set(await self._saver.store.threads.places(self._key)), 0
        page: list[CheckpointTuple] = []
        async for each in self._reader.checkpoints(self._key.thread):
            if each.checkpoint["v"] < _FORMAT and not self._reader.converts:
                return Outcome.REFUSED, "it has checkpoints in a form before 4"
            page.append(each)
            seen += 1
            if len(page) == _PAGE:
                if (other := await self._differs(page, here, todo)) is not None:
                    return Outcome.DIFFERS, other
                page = []
        if (other := await self._differs(page, here, todo)) is not None:
            return Outcome.DIFFERS, other
        if not todo:
            return (Outcome.AHEAD if len(here) > seen else Outcome.SAME), ""
        self._todo = todo
        return (Outcome.CAUGHT_UP if here else Outcome.WRITTEN), ""

    async def store(self) -> None:
        """Store what is not here, the oldest first."""
        if not self._todo:
            return
        async for each in self._reader.checkpoints(self._key.thread, self._todo):
            await self._store(each, new=self._todo[place_of(each)])

    async def _differs(
        self,
        page: Sequence[CheckpointTuple],
        here: Collection[CheckpointPlace],
        todo: dict[CheckpointPlace, bool],
    ) -> str | None:
        """Add to what is to be stored; or how one of them differs from the same here."""
        wanted = [place for each in page if (place := place_of(each)) in here]
        found = await self._saver.store.threads.read(self._key, wanted)
        stored = {each.place: each for each in found}
        for each in page:
            own = stored.get(place_of(each))
            if own is not None:
                if own.parent != _parent(each) or not self._has_values(each, own.values):
                    return f"checkpoint {own.place.id} is another here"
                there = Counter((one.task, one.channel, _plain(one.value)) for one in own.writes)
                if self._writes(each) <= there:
                    continue
            todo[place_of(each)] = own is None
        return None

    def _writes(self, each: CheckpointTuple) -> Counter[tuple[str, str, Any]]:
        return Counter(
            (task, channel, _plain(to_content(value, self._saver.serde)))
            for task, channel, value in each.pending_writes or ()
        )

    def _has_values(self, each: CheckpointTuple, values: Mapping[str, Content]) -> bool:
        return all(
            own is not None and _plain(own) == _plain(to_content(value, self._saver.serde))
            for name, value in each.checkpoint["channel_values"].items()
            for own in [values.get(f"@{name}" if name.startswith("@") else name)]
        )

    async def _store(self, each: CheckpointTuple, *, new: bool) -> None:
        place, saver = place_of(each), self._saver
        if new:
            config = config_of(self._key.thread, place._replace(id=_parent(each)))
            checkpoint, versions = each.checkpoint, each.checkpoint["channel_versions"]
            await saver.aput(config, checkpoint, each.metadata, versions)
        tasks: dict[str, list[tuple[str, Any]]] = {}
        for task, channel, value in each.pending_writes or ():
            tasks.setdefault(task, []).append((channel, value))
        config = config_of(self._key.thread, place)
        for number, (task, some) in enumerate(tasks.items()):  # their order is that of the paths
            some.sort(
                key=lambda write: write[0] in WRITES_IDX_MAP
            )  # these have places of their own
            await saver.aput_writes(config, some, task, f"{number:06}")


async def sqlite_source(
    url: str,
    *,
    app: str = APP,
    owner: Owner | None = None,
    allow: Allowed | None = None,
) -> ThreadSource:
    """The threads in a file of SqliteSaver or AsyncSqliteSaver, as they are now.

    They are read from a copy, which needs as much room in the folder of temporary files; the file
    itself is opened so that nothing can be written.

    Args:
        url: `sqlite:///FILE`.
        app: the app of the threads here.
        owner: as for `CheckpointSaver`.
        allow: classes of which objects are made, as (module, name). A thread with objects of others
            is named and left out.

    Raises:
        ConfigurationError: there is no such file, or langgraph-checkpoint-sqlite is missing.
        Unavailable: the file cannot be read.
    """
    reader = SqliteReader(url, strict_serializer(allow))
    await reader.open()
    return ThreadSource(reader, app=app, owner=owner)


async def postgres_source(
    url: str,
    *,
    app: str = APP,
    owner: Owner | None = None,
    allow: Allowed | None = None,
) -> ThreadSource:
    """The threads of PostgresSaver or AsyncPostgresSaver in a database.

    Each checkpoint is read by itself, in a transaction that can only read.

    Args:
        url: `postgresql://user:password@host:port/database`, with libpq's parameters.
        app: the app of the threads here.
        owner: as for `CheckpointSaver`.
        allow: as for `sqlite_source`.

    Raises:
        ConfigurationError: the URL; the database has no checkpoints; or
            langgraph-checkpoint-postgres is missing.
        Unavailable: the server does not answer.
        AccessDenied: it refuses.
    """
    reader = PostgresReader(url, strict_serializer(allow))
    await reader.open()
    return ThreadSource(reader, app=app, owner=owner)


async def read_threads(
    keyspace: Keyspace,
    app: str | None = None,
    *,
    owner: Owner | None = None,
    allow: Allowed | None = None,
) -> AsyncIterator[Record]:
    """The threads of langgraph-checkpoint-plainredis on a server, for `source_at(threads=)`.

    Args:
        keyspace: the server's keys.
        app: the app of the threads here.
        owner: as for `CheckpointSaver`.
        allow: as for `sqlite_source`.
    """
    seen = set[str]()
    async for reader in PlainRedisReader.found(keyspace, strict_serializer(allow)):
        async for record in ThreadSource(reader, app=app or APP, owner=owner).records():
            if record.where in seen:
                yield UnreadableRecord(record.where, "a thread of this id has another prefix, too")
            else:
                yield record
            seen.add(record.where)


def _parent(each: CheckpointTuple) -> str:
    config: RunnableConfig = each.parent_config or {}
    return str((config.get("configurable") or {}).get("checkpoint_id") or "")


def _plain(content: Content) -> Any:
    """A content that compares: by what is in it, whatever holds it."""
    if isinstance(content, Branch):
        return (content.template, tuple(map(_plain, content.children)))
    return (bytes(content.body), content.kind, content.id)
