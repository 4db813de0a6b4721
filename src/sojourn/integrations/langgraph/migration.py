"""Sources of threads for a migration: LangGraph's own checkpointers, and files of SqliteSaver.

report = await sojourn.migrate(ThreadSource(InMemorySaver()), store)
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.event_hooks import register_serde_event_listener
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from sojourn.checkpoints.model import Branch, CheckpointPlace, Content, ThreadKey
from sojourn.errors import ConfigurationError, InvalidId, InvalidInput, TooLarge, Unavailable
from sojourn.integrations.langgraph.saver import CheckpointSaver
from sojourn.integrations.langgraph.values import to_content
from sojourn.transfer.migration.adk_sql import SqliteFile
from sojourn.transfer.migration.model import Outcome, Record, SourceThread, UnreadableRecord

if TYPE_CHECKING:
    from sojourn.client import Sojourn
    from sojourn.integrations.langgraph.saver import Owner

    Written: TypeAlias = tuple[str, str, Any]

APP: Final = "langgraph"
"""The app of threads, if no other is named: that of `CheckpointSaver`."""

_FORMAT = 4
"""Of checkpoints: older ones keep what tasks send elsewhere."""


class ThreadSource:
    """The threads of a checkpointer, for `sojourn.migrate`. It is only read.

    Checkpoints keep their ids, parents, namespaces and metadata, and the writes of their tasks.
    What is here already is compared; run it again at any time. `owner` is looked up in the metadata
    of a thread's last checkpoint: LangGraph puts `configurable` there.

    Args:
        source: InMemorySaver, SqliteSaver, PostgresSaver, or another, of LangGraph's or anyone's.
        app: the app of the threads here.
        owner: as for `CheckpointSaver`.
        where: what to call the source in reports.
        close: called when the migration is done.
    """

    layout = "langgraph"

    def __init__(
        self,
        source: BaseCheckpointSaver[Any],
        *,
        app: str = APP,
        owner: Owner | None = None,
        where: str = "",
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.where = where or type(source).__name__
        self._source = source
        self._app = app
        self._owner = owner
        self._close = close
        self._one_by_one = asyncio.Lock()  # what is blocked is told to all who listen

    async def records(self) -> AsyncIterator[Record]:
        """All threads."""
        last: dict[str, Mapping[str, Any]] = {}
        for each in await self._list(None):
            last.setdefault(_named(each.config)["thread_id"], each.metadata)
        for thread, metadata in last.items():
            where = f"thread {thread}"
            try:
                key = self._key(thread, metadata)
            except (InvalidId, InvalidInput) as error:
                yield UnreadableRecord(where, str(error))
                continue
            bring = partial(self._bring, key)
            yield SourceThread(where=where, app=key.app, user=key.user, bring=bring)

    async def close(self) -> None:
        """Close what was opened for it."""
        await asyncio.to_thread(self._close)

    def _key(self, thread: str, metadata: Mapping[str, Any]) -> ThreadKey:
        probe = CheckpointSaver("memory://", app=self._app, owner=self._owner)
        return probe._key({"configurable": {**metadata, "thread_id": thread}})  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    async def _list(self, config: RunnableConfig | None) -> list[CheckpointTuple]:
        with suppress(NotImplementedError):
            return [each async for each in self._source.alist(config)]
        return await asyncio.to_thread(lambda: list(self._source.list(config)))

    async def _bring(self, key: ThreadKey, store: Sojourn, dry_run: bool) -> tuple[Outcome, str]:
        blocked = set[str]()
        async with self._one_by_one:
            stop = register_serde_event_listener(lambda event: _note(blocked, event))
            try:
                found = await self._list({"configurable": {"thread_id": key.thread}})
            finally:
                stop()
        found.sort(key=lambda each: each.checkpoint["id"])
        if blocked:
            names = ", ".join(sorted(blocked))
            return Outcome.REFUSED, f"it holds objects of {names}: name these with allow="
        if any(each.checkpoint["v"] < _FORMAT for each in found):
            return Outcome.REFUSED, "it has checkpoints in a form before 4"
        owner: Owner | None = None if self._owner is None else lambda _: (key.app, key.user)
        saver = CheckpointSaver(store, app=self._app, owner=owner)
        try:
            return await _Thread(key, saver, found).bring(dry_run=dry_run)
        except (InvalidInput, TooLarge) as error:
            return Outcome.REFUSED, str(error)


class _Thread:
    """A thread of a source, and the same here."""

    def __init__(
        self,
        key: ThreadKey,
        saver: CheckpointSaver,
        found: Sequence[CheckpointTuple],
    ) -> None:
        self._key = key
        self._saver = saver
        self._found = found

    async def bring(self, *, dry_run: bool) -> tuple[Outcome, str]:
        """Store what is not here, the oldest first."""
        threads = self._saver.store.threads
        places = await threads.places(self._key)
        here = {each.place: each for each in await threads.read(self._key, places)}
        todo: list[tuple[CheckpointTuple, bool, list[Written]]] = []
        for each in self._found:
            own, writes = here.get(_place(each)), list(each.pending_writes or ())
            if own is not None:
                if own.parent != _parent(each) or not self._has_values(each, own.values):
                    return Outcome.DIFFERS, f"checkpoint {own.place.id} is another here"
                there = Counter((one.task, one.channel, _plain(one.value)) for one in own.writes)
                wanted = Counter(
                    (task, channel, _plain(to_content(value, self._saver.serde)))
                    for task, channel, value in writes
                )
                if wanted <= there:
                    continue
            todo.append((each, own is None, writes))
        if not todo:
            ahead = len(here) > len(self._found)
            return (Outcome.AHEAD if ahead else Outcome.SAME), ""
        if not dry_run:
            for each, new, writes in todo:
                await self._store(each, writes, new=new)
        return (Outcome.CAUGHT_UP if here else Outcome.WRITTEN), ""

    def _has_values(self, each: CheckpointTuple, values: Mapping[str, Content]) -> bool:
        return all(
            own is not None and _plain(own) == _plain(to_content(value, self._saver.serde))
            for name, value in each.checkpoint["channel_values"].items()
            for own in [values.get(f"@{name}" if name.startswith("@") else name)]
        )

    async def _store(self, each: CheckpointTuple, writes: Sequence[Written], *, new: bool) -> None:
        place, saver = _place(each), self._saver
        if new:
            config = _config(self._key.thread, place.namespace, _parent(each))
            checkpoint, versions = each.checkpoint, each.checkpoint["channel_versions"]
            await saver.aput(config, checkpoint, each.metadata, versions)
        tasks: dict[str, list[tuple[str, Any]]] = {}
        for task, channel, value in writes:
            tasks.setdefault(task, []).append((channel, value))
        config = _config(self._key.thread, place.namespace, place.id)
        for number, (task, some) in enumerate(tasks.items()):  # their order is that of the paths
            await saver.aput_writes(config, some, task, f"{number:06}")


async def sqlite_source(
    url: str,
    *,
    app: str = APP,
    owner: Owner | None = None,
    allow: Collection[tuple[str, str]] | None = None,
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
    try:
        from langgraph.checkpoint.sqlite import SqliteSaver  # noqa: PLC0415 - not all have it
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "A file of SqliteSaver is read by it: pip install langgraph-checkpoint-sqlite."
        ) from error
    where = SqliteFile(url).where
    folder = tempfile.TemporaryDirectory(prefix="sojourn-migrate-")
    copy = sqlite3.connect(Path(folder.name) / "copy.db", check_same_thread=False)

    def close() -> None:
        copy.close()
        folder.cleanup()

    try:
        await asyncio.to_thread(_copy, where.removeprefix("sqlite:///"), copy)
    except sqlite3.Error as error:
        close()
        raise Unavailable(f"{where} cannot be read: {error}.") from error
    serde: SerializerProtocol = JsonPlusSerializer(allowed_msgpack_modules=allow)
    saver = cast("BaseCheckpointSaver[Any]", SqliteSaver(copy, serde=serde))
    return ThreadSource(saver, app=app, owner=owner, where=where, close=close)


def _copy(path: str, copy: sqlite3.Connection) -> None:
    address = f"{Path(path).absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as source:
        source.backup(copy)


def _note(blocked: set[str], event: Mapping[str, Any]) -> None:
    if "blocked" in str(event.get("kind")):
        blocked.add(f"{event.get('module')}.{event.get('name')}")


def _config(thread: str, namespace: str, checkpoint: str) -> RunnableConfig:
    named = {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint}
    return {"configurable": named}


def _named(config: RunnableConfig) -> dict[str, Any]:
    return config.get("configurable") or {}


def _place(each: CheckpointTuple) -> CheckpointPlace:
    named = _named(each.config)
    return CheckpointPlace(named.get("checkpoint_ns", ""), named["checkpoint_id"])


def _parent(each: CheckpointTuple) -> str:
    config = each.parent_config
    return str(_named(config).get("checkpoint_id") or "") if config else ""


def _plain(content: Content) -> Any:
    """A content that compares: by what is in it, whatever holds it."""
    if isinstance(content, Branch):
        return (content.template, tuple(map(_plain, content.children)))
    return (bytes(content.body), content.kind, content.id)
