"""LangGraph's checkpointer over the checkpoints room."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.types import INTERRUPT

from sojourn.checkpoints import (
    DEFAULT_TTL,
    CheckpointPlace,
    PendingWrite,
    StoredCheckpoint,
    ThreadKey,
    Threads,
)
from sojourn.checkpoints.model import Content
from sojourn.checkpoints.service import StoreTtl
from sojourn.errors import InvalidInput
from sojourn.ids import UserKey, parse_app
from sojourn.integrations.langgraph.strict import StrictSerializer, strict_serializer
from sojourn.integrations.langgraph.values import is_just, of_content, to_content
from sojourn.integrations.opened import BlockingStoreUser
from sojourn.process import Opened

if TYPE_CHECKING:
    from sojourn.integrations.opened import Where

    Owner: TypeAlias = str | Callable[[Mapping[str, Any]], str | tuple[str, str]]

_PAGE: Final = 20
"""Checkpoints that a list reads at once."""
_TITLE = 120
"""Characters of a title."""

_DATA = "@checkpoint."
"""Starts the name of a value that is a member of the checkpoint and no JSON."""
_METADATA = "@metadata."
"""Starts the name of a value that is metadata and no JSON."""
_COUNTERS = "counters_since_delta_snapshot"

_TRANSIENT = ("__", "branch:to:")
"""Start names of LangGraph's own channels: what they hold is gone with the next step."""

_PLAIN = (str, int, float, bool)

_DELETE = ("delete", "delete_all")
"""What pruning everything is called: by LangGraph's savers, and by its API server."""


class CheckpointSaver(BlockingStoreUser, BaseCheckpointSaver[Any]):
    """Checkpoints of LangGraph's graphs, in Redis or Valkey, without server modules.

    Each message and each value is stored once in a thread, however many checkpoints have it. A
    `put` is one round trip, and so is reading the state of a thread; nothing is acknowledged before
    it is stored. Messages and JSON values are stored as JSON.

    Nothing that is read from a server is imported or called, but for LangChain's messages and the
    types that LangGraph lists as safe: others come back as plain data, unless `with_allowlist` or
    `serde` names them.

    Every method has one for event loops, with an `a` before its name, and all may raise
    `sojourn.Unavailable`, `sojourn.AccessDenied` and their kin: an outage never looks like a new
    thread.

    Args:
        url_or_store: a URL or redis-py client as `sojourn.open` takes them, or an open store, which
            `close()` then leaves open. Objects of this process with the same URL and options share
            one store.
        app: the application.
        ttl: seconds that a thread lives after its last write; None for ever; the store's
            `thread_ttl` (30 days) if not given.
        keep: how many checkpoints of a thread and namespace are kept; None for all. Those that a
            kept one needs stay, and those where a task waits for an answer.
        owner: whose a thread is: the name of a member of `configurable` that is the user's id, or a
            function that gets `configurable` and gives the user, or app and user. Without it each
            thread belongs to a user of its own name.
        serde: what makes bytes of values; LangGraph's, in its strict form, if not given.
        options: further arguments of `sojourn.open`.

    Raises:
        sojourn.ConfigurationError: the URL; nothing is sent yet.
        sojourn.InvalidInput: one of the other arguments.
    """

    def __init__(
        self,
        url_or_store: Where,
        *,
        app: str = "langgraph",
        ttl: float | StoreTtl | None = DEFAULT_TTL,
        keep: int | None = None,
        owner: Owner | None = None,
        serde: SerializerProtocol | None = None,
        **options: Any,
    ) -> None:
        super().__init__(serde=serde or strict_serializer())
        self._app = parse_app(app)
        self._ttl: float | StoreTtl | None = ttl
        self._keep = keep
        self._owner = owner
        self._opened = Opened(url_or_store, options)

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> CheckpointSaver:
        """Another saver over the same store, which also makes objects of these classes."""
        if isinstance(self.serde, StrictSerializer):  # LangGraph's own has no such method then
            made = copy(self)
            made.serde = self.serde.with_msgpack_allowlist(extra_allowlist)
            return made
        other = super().with_allowlist(extra_allowlist)
        return cast("CheckpointSaver", other)

    def __copy__(self) -> CheckpointSaver:
        made = CheckpointSaver.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    # ── reading ────────────────────────────────────────────────────────────────────────────────

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `aget_tuple`."""
        return self._tuple(config, self._run(partial(self._get, config)))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """A checkpoint, the last if the config names none; None when there is none.

        One round trip.

        Raises:
            sojourn.CorruptRecord: it is there, and cannot be read.
        """
        return self._tuple(config, await self._wait(partial(self._get, config)))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """As `alist`."""
        listing = _Listing(self, config, filter, before, limit)
        while (page := self._run(listing.page)) is not None:
            yield from page

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints of a thread, the newest first. A round trip for the first, and for 20 more.

        Args:
            config: names the thread, and perhaps a namespace and a checkpoint; None for all threads
                of this app.
            filter: what their metadata must be.
            before: only those before the checkpoint that this config names.
            limit: how many at most.

        Raises:
            sojourn.CorruptRecord: one of them cannot be read.
        """
        listing = _Listing(self, config, filter, before, limit)
        while (page := await self._wait(listing.page)) is not None:
            for each in page:
                yield each

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, Any]:
        """As `aget_delta_channel_history`."""
        return self._history(channels, self._run(partial(self._before, config, channels)))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, Any]:
        """What delta channels are made of: a value of each, and later writes. Two round trips."""
        found = await self._wait(partial(self._before, config, channels))
        return self._history(channels, found)

    # ── writing ────────────────────────────────────────────────────────────────────────────────

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: Mapping[str, str | int | float],
    ) -> RunnableConfig:
        """As `aput`."""
        self._run(partial(self._put, config, checkpoint, metadata, new_versions))
        return self._config(config, checkpoint["id"])

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: Mapping[str, str | int | float],
    ) -> RunnableConfig:
        """Store a checkpoint. One round trip; one more for the first that this process stores.

        Args:
            config: names the thread, the namespace, and the checkpoint before it.
            checkpoint: what to store.
            metadata: kept with it.
            new_versions: of the channels that have changed since the checkpoint before it.

        Returns:
            the config that names it.

        Raises:
            sojourn.TooLarge: a value is over `max_event_bytes`; nothing was sent.
            sojourn.OutcomeUnknown: whether it was stored is not known.
        """
        await self._wait(partial(self._put, config, checkpoint, metadata, new_versions))
        return self._config(config, checkpoint["id"])

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """As `aput_writes`."""
        self._run(partial(self._put_writes, config, writes, task_id, task_path))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store the writes of a task beside the checkpoint that it started from. One round trip.

        Args:
            config: names the checkpoint.
            writes: channel and value of each. The first of a place stays; of errors, interrupts,
                answers and schedules the last.
            task_id: of the task.
            task_path: of the task: writes are read in its order.

        Raises:
            sojourn.TooLarge: a value is over `max_event_bytes`; nothing was sent.
            sojourn.OutcomeUnknown: whether they were stored is not known.
        """
        await self._wait(partial(self._put_writes, config, writes, task_id, task_path))

    def get_next_version(self, current: Any, channel: None) -> Any:  # noqa: ARG002 - LangGraph's
        """The version after another: a number, or text where another saver has begun with text."""
        if current is None:
            return 1
        if isinstance(current, str):
            return f"{int(current.split('.')[0]) + 1:032}.{0:016}"
        return int(current) + 1

    # ── threads ────────────────────────────────────────────────────────────────────────────────

    def delete_thread(self, thread_id: str) -> None:
        """As `adelete_thread`."""
        self._run(partial(self._delete, thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete a thread, of whichever owner. One round trip; with `owner` two."""
        await self._wait(partial(self._delete, thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `adelete_for_runs`."""
        self._run(partial(self._delete_runs, run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of runs, but for those that others need for delta channels.

        A few round trips for each thread of a run. Repeat it after an error.
        """
        await self._wait(partial(self._delete_runs, run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `acopy_thread`."""
        self._run(partial(self._copy, source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread, of whichever owner: it is seen when all of it is there.

        Raises:
            sojourn.Conflict: there is a thread of the target's id.
        """
        await self._wait(partial(self._copy, source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `aprune`."""
        self._run(partial(self._prune, thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete checkpoints of threads. A round trip for each thread; with `owner` two.

        Args:
            thread_ids: which threads.
            strategy: `keep_latest` keeps the last of each namespace, what that needs, and where a
                task waits for an answer; `delete`, or `delete_all`, deletes all.
        """
        await self._wait(partial(self._prune, thread_ids, strategy))

    # ── steps ──────────────────────────────────────────────────────────────────────────────────

    @property
    def _threads(self) -> Threads:
        return self.store.threads

    def _key(self, config: RunnableConfig) -> ThreadKey:
        """The thread that a config names."""
        named = _configurable(config)
        thread = str(named["thread_id"])
        if self._owner is None:
            return ThreadKey.of(self._app, thread, thread)
        if isinstance(self._owner, str):
            if self._owner not in named:
                raise InvalidInput(
                    f"The config names no owner: give configurable a member {self._owner!r}."
                )
            return ThreadKey.of(self._app, str(named[self._owner]), thread)
        owner = self._owner(named)
        app, user = (self._app, owner) if isinstance(owner, str) else UserKey.of(*owner)
        return ThreadKey.of(app, user, thread)

    async def _keys(self, thread_id: str) -> Sequence[ThreadKey]:
        """The threads of an id, of whichever owner."""
        thread = str(thread_id)
        if self._owner is None:
            return [ThreadKey.of(self._app, thread, thread)]
        return await self._threads.owners(self._app, thread)

    def _config(self, config: RunnableConfig, checkpoint: str) -> RunnableConfig:
        """The config of a checkpoint of the same thread and namespace."""
        named = _configurable(config)
        kept: dict[str, Any] = {}
        if isinstance(self._owner, str):
            kept[self._owner] = named[self._owner]
        elif self._owner is not None:
            kept = {
                name: value
                for name, value in named.items()
                if not name.startswith("__") and isinstance(value, _PLAIN)
            }
        return {
            "configurable": {
                **kept,
                "thread_id": named["thread_id"],
                "checkpoint_ns": named.get("checkpoint_ns", ""),
                "checkpoint_id": checkpoint,
            }
        }

    def _config_of(self, key: ThreadKey) -> RunnableConfig:
        """A config that names a thread which was found without one."""
        named: dict[str, Any] = {"thread_id": key.thread}
        if isinstance(self._owner, str):
            named[self._owner] = key.user
        return {"configurable": named}

    async def _get(self, config: RunnableConfig) -> StoredCheckpoint | None:
        named = _configurable(config)
        return await self._threads.get(
            self._key(config),
            get_checkpoint_id(config) or None,
            namespace=named.get("checkpoint_ns", ""),
        )

    def _tuple(
        self, config: RunnableConfig, found: StoredCheckpoint | None
    ) -> CheckpointTuple | None:
        if found is None:
            return None
        serde = self.serde
        channels: dict[str, Any] = {}
        data, metadata = dict(found.data), dict(found.metadata)
        for name, content in found.values.items():
            value = of_content(content, serde)
            if name.startswith(_DATA):
                data[name.removeprefix(_DATA)] = value
            elif name.startswith(_METADATA):
                metadata[name.removeprefix(_METADATA)] = value
            else:
                channels[name.removeprefix("@") if name.startswith("@@") else name] = value
        place = found.place
        there: RunnableConfig = {
            "configurable": {**_configurable(config), "checkpoint_ns": place.namespace}
        }
        return CheckpointTuple(
            config=self._config(there, place.id),
            checkpoint=cast("Checkpoint", {**data, "id": place.id, "channel_values": channels}),
            metadata=cast("CheckpointMetadata", metadata),
            parent_config=self._config(there, found.parent) if found.parent else None,
            pending_writes=[
                (write.task, write.channel, of_content(write.value, serde))
                for write in found.writes
            ],
        )

    async def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: Mapping[str, str | int | float],
    ) -> None:
        named, key = _configurable(config), self._key(config)
        values: dict[str, Callable[[], Content]] = {}
        channels = checkpoint["channel_values"]
        for name, value in channels.items():
            values[_name(name)] = partial(to_content, value, self.serde)
        changed = {_name(name) for name in new_versions}
        data = self._json(checkpoint, _DATA, values, changed)
        told = self._json(get_checkpoint_metadata(config, metadata), _METADATA, values, changed)
        missing = [
            name
            for name in checkpoint["channel_versions"]
            if name not in channels and not name.startswith(_TRANSIENT)
        ]
        counters: Mapping[str, Any] = cast("dict[str, Any]", metadata).get(_COUNTERS) or {}
        parent = get_checkpoint_id(config) or ""
        run = told.get("run_id")
        await self._threads.register(
            key,
            scope=self._app,
            by_owner=self._owner is not None,
            run=run if isinstance(run, str) else "",
            ttl=self._ttl,
        )
        await self._threads.put(
            key,
            checkpoint["id"],
            namespace=named.get("checkpoint_ns", ""),
            parent=parent,
            data=data,
            metadata=told,
            values=values,
            changed=changed,
            missing=missing,
            delta=[name for name in missing if name in counters],
            ttl=self._ttl,
            keep=self._keep,
            title="" if parent else _title_of(channels),
        )

    def _json(
        self,
        members: Mapping[str, Any],
        prefix: str,
        values: dict[str, Callable[[], Content]],
        changed: set[str],
    ) -> dict[str, Any]:
        """Those members that are JSON; the others become values."""
        plain: dict[str, Any] = {}
        for name, value in members.items():
            if name in ("channel_values", "id") and prefix == _DATA:
                continue
            if _is_json(value):
                plain[name] = value
            else:
                values[prefix + name] = partial(to_content, value, self.serde)
                changed.add(prefix + name)
        return plain

    async def _put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> None:
        named = _configurable(config)
        await self._threads.put_writes(
            self._key(config),
            named["checkpoint_id"],
            task_id,
            [
                PendingWrite(
                    task=task_id,
                    index=WRITES_IDX_MAP.get(channel, index),
                    channel=channel,
                    path=task_path,
                    value=to_content(value, self.serde),
                    waits=channel == INTERRUPT,
                )
                for index, (channel, value) in enumerate(writes)
            ],
            namespace=named.get("checkpoint_ns", ""),
            ttl=self._ttl,
        )

    async def _before(
        self, config: RunnableConfig, channels: Sequence[str]
    ) -> Sequence[StoredCheckpoint]:
        if not channels:
            return []
        return await self._threads.before(
            self._key(config),
            channels,
            get_checkpoint_id(config) or None,
            namespace=_configurable(config).get("checkpoint_ns", ""),
        )

    def _history(
        self, channels: Sequence[str], found: Sequence[StoredCheckpoint]
    ) -> Mapping[str, Any]:
        """Of each channel the nearest value, and the writes from there on, the oldest first."""
        made: dict[str, Any] = {}
        for channel in channels:
            writes: list[tuple[str, str, Any]] = []
            entry: dict[str, Any] = {"writes": writes}
            for each in found:
                writes += [
                    (write.task, write.channel, of_content(write.value, self.serde))
                    for write in reversed(each.writes)
                    if write.channel == channel
                ]
                if _name(channel) in each.values:
                    entry["seed"] = of_content(each.values[_name(channel)], self.serde)
                    break
            writes.reverse()
            made[channel] = entry
        return made

    async def _delete(self, thread_id: str) -> None:
        for key in await self._keys(thread_id):
            await self._threads.delete(key)

    async def _delete_runs(self, run_ids: Sequence[str]) -> None:
        for run in run_ids:
            for key in await self._threads.of_run(self._app, run):
                await self._remove_run(key, run)
            await self._threads.forget_run(self._app, run)

    async def _remove_run(self, key: ThreadKey, run: str) -> None:
        places = await self._threads.places(key)
        found = await self._threads.read(key, places, bare=True)
        gone = {each.place for each in found if each.metadata.get("run_id") == run}
        needed = _needed({each.place: each for each in found}, gone)
        await self._threads.remove(key, gone - needed)

    async def _copy(self, source: str, target: str) -> None:
        for key in await self._keys(source):
            user = target if self._owner is None else key.user
            there = ThreadKey.of(key.app, user, str(target))
            await self._threads.register(
                there, scope=self._app, by_owner=self._owner is not None, ttl=self._ttl
            )
            await self._threads.copy(key, there, ttl=self._ttl)

    async def _prune(self, thread_ids: Sequence[str], strategy: str) -> None:
        if strategy not in ("keep_latest", *_DELETE):
            raise InvalidInput(f"strategy is 'keep_latest' or 'delete', not {strategy!r}.")
        for thread_id in thread_ids:
            for key in await self._keys(thread_id):
                if strategy in _DELETE:
                    await self._threads.delete(key)
                else:
                    await self._threads.prune(key)


class _Listing:
    """Checkpoints of one thread or of all, page by page."""

    def __init__(
        self,
        saver: CheckpointSaver,
        config: RunnableConfig | None,
        wanted: Mapping[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> None:
        self._saver = saver
        self._config = config
        self._wanted = wanted or {}
        self._before = get_checkpoint_id(before) if before else None
        self._left = limit
        self._threads: list[tuple[ThreadKey, RunnableConfig]] | None = None
        self._places: list[CheckpointPlace] = []

    async def page(self) -> Sequence[CheckpointTuple] | None:
        """The next ones, none perhaps; None when there are no more."""
        if self._left is not None and self._left <= 0:
            return None
        if self._threads is None:
            self._threads = await self._all()
        while not self._places:
            if not self._threads:
                return None
            self._places = await self._of(*self._threads[0])
            if not self._places:
                self._threads.pop(0)
        key, config = self._threads[0]
        some, self._places = self._places[:_PAGE], self._places[_PAGE:]
        if not self._places:
            self._threads.pop(0)
        return await self._read(key, config, some)

    async def _all(self) -> list[tuple[ThreadKey, RunnableConfig]]:
        saver = self._saver
        if self._config is not None:
            return [(saver._key(self._config), self._config)]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        threads = await saver.store.threads.of_app(saver._app)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return [(key, saver._config_of(key)) for key in threads]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    async def _of(self, key: ThreadKey, config: RunnableConfig) -> list[CheckpointPlace]:
        named = _configurable(config)
        only = get_checkpoint_id(config)
        places = await self._saver.store.threads.places(key, namespace=named.get("checkpoint_ns"))
        return [
            place
            for place in places
            if (not only or place.id == only) and (not self._before or place.id < self._before)
        ]

    async def _read(
        self, key: ThreadKey, config: RunnableConfig, places: list[CheckpointPlace]
    ) -> Sequence[CheckpointTuple]:
        threads = self._saver.store.threads
        if self._wanted:
            places = [
                each.place
                for each in await threads.readable(key, places, bare=True)
                if all(each.metadata.get(name) == value for name, value in self._wanted.items())
            ]
        if self._left is not None:
            places = places[: self._left]
            self._left -= len(places)
        made = [
            self._saver._tuple(config, each)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            for each in await threads.readable(key, places)
        ]
        return [each for each in made if each is not None]


def _configurable(config: RunnableConfig) -> dict[str, Any]:
    return config.get("configurable") or {}


def _name(channel: str) -> str:
    """The name of a channel's value: those of other values start with one `@`."""
    return f"@{channel}" if channel.startswith("@") else channel


def _is_json(value: Any) -> bool:
    """Whether JSON holds it as it is."""
    if value is None or is_just(value, str) or is_just(value, bool):
        return True
    if is_just(value, int):
        return bool(-(2**63) <= value < 2**63)
    if is_just(value, float):
        return math.isfinite(value)
    if is_just(value, list):
        return all(map(_is_json, value))
    return is_just(value, dict) and all(
        is_just(name, str) and _is_json(each) for name, each in value.items()
    )


def _title_of(channels: Mapping[str, Any]) -> str:
    """How a thread begins: the first text among the messages that it is given."""
    start = channels.get("__start__")
    first: Any = (start if is_just(start, dict) else channels).get("messages")  # type: ignore[union-attr]
    for kind, place in ((list, 0), (tuple, -1)):  # the first message; of a role and text, the text
        if first and is_just(first, kind):
            first = first[place]
    if is_just(first, dict):
        first = first.get("content")
    text: Any = getattr(first, "content", first)
    return " ".join(text[: 4 * _TITLE].split())[:_TITLE] if is_just(text, str) else ""


def _needed(
    found: Mapping[CheckpointPlace, StoredCheckpoint], gone: Collection[CheckpointPlace]
) -> set[CheckpointPlace]:
    """Those of some checkpoints that stay, as others are made of them."""
    needed: set[CheckpointPlace] = set()
    for place, each in found.items():
        if place in gone:
            continue
        wanted, at = set(each.delta), each
        while wanted and at.parent:
            before = found.get(CheckpointPlace(place.namespace, at.parent))
            if before is None:
                break
            needed.add(before.place)
            wanted &= set(before.delta)
            at = before
    return needed
