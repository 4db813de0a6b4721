"""Readers of checkpoints that other checkpointers have stored: each checkpoint by itself."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Collection,
    Generator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from sojourn.checkpoints.model import CheckpointPlace
from sojourn.errors import AccessDenied, ConfigurationError, SojournError, Unavailable
from sojourn.extras import how_to_install
from sojourn.process_bound import stays_here
from sojourn.transfer.migration.adk_sql import SqliteFile
from sojourn.transfer.migration.keyspace import Keyspace, NamedKey
from sojourn.transfer.migration.layout import values
from sojourn.transfer.migration.model import UnreadableRecord
from sojourn.transfer.migration.parsing import NotReadable, as_object

_CONNECT: Final = 10
_PATIENCE: Final = 60.0
"""Seconds: nobody waits for a migration, and a checkpoint may have megabytes."""

_THREADS: Final = ":threads"
"""Ends the name of the hash in which langgraph-checkpoint-plainredis lists its threads."""


class FoundThread(NamedTuple):
    """A thread of a source.

    Attributes:
        id: its id.
        metadata: of its last checkpoint.
        expires: when it expires at the source, by this machine's clock; None is never.
    """

    id: str
    metadata: Mapping[str, Any]
    expires: float | None = None


class ThreadReader(Protocol):
    """Where threads come from. They may be read several times.

    Attributes:
        where: the address, without secrets.
        converts: gives checkpoints of a form before 4 as newer ones are.
    """

    where: str
    converts: bool

    def threads(self) -> AsyncIterator[FoundThread]:
        """All threads."""
        ...

    def checkpoints(
        self, thread: str, only: Collection[CheckpointPlace] | None = None
    ) -> AsyncIterator[CheckpointTuple]:
        """The checkpoints of a thread, or some of them, the oldest first.

        Raises:
            NotReadable: one of them.
        """
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class SaverReader:
    """The threads of a checkpointer, by its own `list`: a thread must fit into memory.

    Args:
        saver: any.
    """

    converts = False

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self.where = type(saver).__name__
        self._saver = saver

    async def threads(self) -> AsyncIterator[FoundThread]:
        """All threads."""
        last: dict[str, FoundThread] = {}
        for each in await self._list(None):
            thread = str(each.config.get("configurable", {})["thread_id"])
            last.setdefault(thread, FoundThread(thread, each.metadata))
        for found in last.values():
            yield found

    async def checkpoints(
        self, thread: str, only: Collection[CheckpointPlace] | None = None
    ) -> AsyncIterator[CheckpointTuple]:
        """The checkpoints of a thread."""
        with _readable():
            found = await self._list({"configurable": {"thread_id": thread}})
        for each in sorted(found, key=lambda each: each.checkpoint["id"]):
            if only is None or place_of(each) in only:
                yield each

    async def close(self) -> None:
        """Leave it open: it was lent."""

    async def _list(self, config: RunnableConfig | None) -> list[CheckpointTuple]:
        with suppress(NotImplementedError):
            return [each async for each in self._saver.alist(config)]
        return await asyncio.to_thread(lambda: list(self._saver.list(config)))


@stays_here("its copy of the file")
class SqliteReader:
    """The threads in a file of SqliteSaver or AsyncSqliteSaver, from a copy of it.

    Args:
        url: `sqlite:///FILE`.
        serde: makes values of bytes.

    Raises:
        ConfigurationError: there is no such file, or langgraph-checkpoint-sqlite is missing.
    """

    converts = False

    def __init__(self, url: str, serde: SerializerProtocol) -> None:
        saver = _imported("langgraph.checkpoint.sqlite", "sqlite").SqliteSaver
        self.where = SqliteFile(url).where
        self._folder = tempfile.TemporaryDirectory(prefix="sojourn-migrate-")
        self._copy = sqlite3.connect(Path(self._folder.name) / "copy.db", check_same_thread=False)
        made = saver(self._copy, serde=serde)
        made.jsonplus_serde = serde  # which reads the metadata, before its 3.0
        self._saver = cast("BaseCheckpointSaver[Any]", made)

    async def open(self) -> None:
        """Copy the file, which is opened so that nothing can be written.

        Raises:
            Unavailable: it cannot be read.
        """
        try:
            await asyncio.to_thread(self._fill)
        except sqlite3.Error as error:
            await self.close()
            raise Unavailable(f"{self.where} cannot be read: {error}.") from error

    async def threads(self) -> AsyncIterator[FoundThread]:
        """All threads."""
        query = "SELECT thread_id, metadata, max(checkpoint_id) FROM checkpoints GROUP BY thread_id"
        for thread, metadata, _ in await asyncio.to_thread(self._rows, query):
            with suppress(NotReadable):
                yield FoundThread(thread, as_object(metadata or b"{}"))
                continue
            yield FoundThread(thread, {})

    async def checkpoints(
        self, thread: str, only: Collection[CheckpointPlace] | None = None
    ) -> AsyncIterator[CheckpointTuple]:
        """The checkpoints of a thread."""
        query = (
            "SELECT checkpoint_ns, checkpoint_id FROM checkpoints WHERE thread_id = ? "
            "ORDER BY checkpoint_id, checkpoint_ns"
        )
        for row in await asyncio.to_thread(self._rows, query, thread):
            place = CheckpointPlace(*row)
            if only is None or place in only:
                with _readable():
                    found = await asyncio.to_thread(self._saver.get_tuple, config_of(thread, place))
                if found is not None:
                    yield found

    async def close(self) -> None:
        """Delete the copy."""
        await asyncio.to_thread(self._copy.close)
        await asyncio.to_thread(self._folder.cleanup)

    def _fill(self) -> None:
        path = Path(self.where.removeprefix("sqlite:///")).absolute()
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as source:
            source.backup(self._copy)

    def _rows(self, query: str, *arguments: str) -> list[tuple[Any, ...]]:
        return self._copy.execute(query, arguments).fetchall()


@stays_here("its URL")
class PostgresReader:
    """The threads of PostgresSaver or AsyncPostgresSaver, in transactions that only read.

    Args:
        url: `postgresql://user:password@host:port/database`, with libpq's parameters.
        serde: makes values of bytes.

    Raises:
        ConfigurationError: the URL, or langgraph-checkpoint-postgres or psycopg is missing.
    """

    converts = True

    def __init__(self, url: str, serde: SerializerProtocol) -> None:
        self._psycopg = _imported("psycopg", "postgres")
        self._kind = _imported("langgraph.checkpoint.postgres.aio", "postgres").AsyncPostgresSaver
        self._serde = serde
        try:
            words: dict[str, Any] = self._psycopg.conninfo.conninfo_to_dict(url)
        except self._psycopg.ProgrammingError:
            words = {}
        port = str(words.get("port", "5432"))
        if not words or not port.replace(",", "").isdigit():  # a message of libpq's may quote it
            raise ConfigurationError(
                "This is no URL of PostgreSQL's: postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
                "with percent signs for what is special in a password."
            )
        address = "@".join(filter(None, (words.get("user"), words.get("host", "localhost"))))
        self.where = f"postgresql://{address}:{port}/{words.get('dbname', '')}"
        self._words = {"connect_timeout": _CONNECT, **words}
        self._alone = asyncio.Lock()

    async def open(self) -> None:
        """Connect.

        Raises:
            ConfigurationError: it has no checkpoints.
            Unavailable: it does not answer.
            AccessDenied: it refuses.
        """
        async with self._told():
            self._connection = await self._psycopg.AsyncConnection.connect(
                **self._words,
                autocommit=False,
                prepare_threshold=None,  # a pooler may stand before the server
                row_factory=self._psycopg.rows.dict_row,
            )
        try:
            # Of each transaction and not of the connection, which a pooler hands to others.
            await self._connection.set_read_only(True)
            await self._connection.set_isolation_level(self._psycopg.IsolationLevel.REPEATABLE_READ)
            self._saver = self._kind(self._connection, serde=self._serde)
            await self._check()
        except BaseException:
            await self.close()
            raise

    async def threads(self) -> AsyncIterator[FoundThread]:
        """All threads."""
        query = (
            "SELECT DISTINCT ON (thread_id) thread_id, metadata FROM checkpoints "
            "ORDER BY thread_id, checkpoint_id DESC"
        )
        for row in await self._rows(query):
            yield FoundThread(row["thread_id"], row["metadata"])

    async def checkpoints(
        self, thread: str, only: Collection[CheckpointPlace] | None = None
    ) -> AsyncIterator[CheckpointTuple]:
        """The checkpoints of a thread."""
        query = (
            "SELECT checkpoint_ns, checkpoint_id FROM checkpoints WHERE thread_id = %s "
            "ORDER BY checkpoint_id, checkpoint_ns"
        )
        for row in await self._rows(query, thread):
            place = CheckpointPlace(row["checkpoint_ns"], row["checkpoint_id"])
            if only is None or place in only:
                async with self._reading():
                    with _readable():
                        found = await self._saver.aget_tuple(config_of(thread, place))
                if found is not None:
                    yield found

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _check(self) -> None:
        query = "SELECT to_regclass('checkpoints') AS one, to_regclass('checkpoint_blobs') AS two"
        (found,) = await self._rows(query)
        if None in found.values():
            raise ConfigurationError(
                f"There are no checkpoints of LangGraph's PostgresSaver in {self.where}. For "
                "sessions of ADK's, name an asyncio driver: postgresql+asyncpg://…"
            )

    async def _rows(self, query: str, *arguments: str) -> list[dict[str, Any]]:
        async with self._reading():
            found = await self._connection.execute(query, arguments)
            rows: list[dict[str, Any]] = await found.fetchall()
            return rows

    @asynccontextmanager
    async def _reading(self) -> AsyncGenerator[None]:
        """One transaction, with a deadline."""
        async with self._told(), self._alone:
            try:
                yield
            finally:
                await self._connection.rollback()

    @asynccontextmanager
    async def _told(self) -> AsyncGenerator[None]:
        """What the driver raises, as our errors."""
        errors = self._psycopg.errors
        try:
            async with asyncio.timeout(_PATIENCE):
                yield
        except TimeoutError as error:
            raise Unavailable(f"{self.where} does not answer.") from error
        except (errors.InsufficientPrivilege, errors.InvalidAuthorizationSpecification) as error:
            raise AccessDenied(f"{self.where} refuses: {_line(error)}.") from error
        except self._psycopg.Error as error:
            if "authentication" in str(error):  # of a refused connection the driver says no more
                raise AccessDenied(f"{self.where} refuses: {_line(error)}.") from error
            raise Unavailable(f"{self.where} cannot be read: {_line(error)}.") from error


class PlainRedisReader:
    """The threads of langgraph-checkpoint-plainredis on a server, read without it.

    Args:
        keyspace: the keys.
        prefix: what its keys start with.
        registry: what it lists: threads, and the namespaces of each.
        serde: makes values of bytes.
    """

    converts = False

    def __init__(
        self,
        keyspace: Keyspace,
        prefix: str,
        registry: Mapping[str, Collection[str]],
        serde: SerializerProtocol,
    ) -> None:
        self.where = keyspace.where
        self._keyspace = keyspace
        self._prefix = prefix
        self._registry = registry
        self._serde = serde

    @classmethod
    async def found(
        cls, keyspace: Keyspace, serde: SerializerProtocol
    ) -> AsyncIterator[PlainRedisReader]:
        """One for each prefix on a server."""
        async for found in values(keyspace, (f"*{_THREADS}",), "hash", shared=True):
            if isinstance(found, UnreadableRecord):
                continue
            prefix = found.name.removesuffix(_THREADS)
            registry: dict[str, set[str]] = defaultdict(set)
            for name, value in found.fields().items():
                with suppress(NotReadable, KeyError):
                    entry = as_object(value)
                    thread, space = str(entry["thread"]), str(entry["ns"])
                    if name == f"{prefix}:idx:{thread}:{space}":
                        registry[thread].add(space)
            if registry:
                yield cls(keyspace, prefix, registry, serde)

    async def threads(self) -> AsyncIterator[FoundThread]:
        """All threads."""
        for thread, spaces in self._registry.items():
            last: FoundThread | None = None
            for place, expires in (await self._places(thread, spaces))[::-1]:
                made = await self._made(thread, place, bare=True)
                if made is not None:
                    last = FoundThread(thread, made.metadata, expires)
                    break
            if last is not None:
                yield last

    async def checkpoints(
        self, thread: str, only: Collection[CheckpointPlace] | None = None
    ) -> AsyncIterator[CheckpointTuple]:
        """The checkpoints of a thread."""
        for place, _ in await self._places(thread, self._registry.get(thread, ())):
            if only is None or place in only:
                made = await self._made(thread, place)
                if made is not None:
                    yield made

    async def close(self) -> None:
        """Leave the connections open: they were lent."""

    async def _places(
        self, thread: str, spaces: Collection[str]
    ) -> list[tuple[CheckpointPlace, float | None]]:
        """Where its checkpoints are, and when they expire: the oldest first."""
        places: list[tuple[CheckpointPlace, float | None]] = []
        for space in spaces:
            key = NamedKey(f"{self._prefix}:idx:{thread}:{space}", "zset")
            found = await self._keyspace.read(key)
            if found is not None:
                names: Sequence[bytes] = found.value
                places += [(CheckpointPlace(space, each.decode()), found.expires) for each in names]
        return sorted(places, key=lambda each: (each[0].id, each[0].namespace))

    async def _made(
        self, thread: str, place: CheckpointPlace, *, bare: bool = False
    ) -> CheckpointTuple | None:
        """A checkpoint; None when it has expired. `bare` leaves out values and writes."""
        own = f"{thread}:{place.namespace}"
        stored = await self._read(f"{self._prefix}:cp:{own}:{place.id}")
        if stored is None:
            return None
        with _readable():
            held = self._value(stored)
            checkpoint, metadata, parent = held["checkpoint"], held["metadata"], held["parent_id"]
            versions: Mapping[str, Any] = checkpoint.get("channel_versions") or {}
        channels: dict[str, Any] = {}
        writes: list[tuple[str, str, Any]] = []
        if not bare:
            keys = [f"{self._prefix}:blob:{own}:{name}:{each}" for name, each in versions.items()]
            blobs = await asyncio.gather(*map(self._read, keys))
            rows = await self._keyspace.read(
                NamedKey(f"{self._prefix}:wr:{own}:{place.id}", "hash")
            )
            with _readable():
                for name, blob in zip(versions, blobs, strict=True):
                    if blob is not None and as_object(blob)["t"] != "empty":
                        channels[name] = self._value(blob)
                fields = {} if rows is None else rows.fields()
                for field in sorted(fields, key=_by_task):
                    task, channel, value = self._value(fields[field])
                    writes.append((task, channel, value))
        return CheckpointTuple(
            config=config_of(thread, place),
            checkpoint=cast("Checkpoint", {**checkpoint, "channel_values": channels}),
            metadata=metadata,
            parent_config=config_of(thread, place._replace(id=parent)) if parent else None,
            pending_writes=writes,
        )

    async def _read(self, name: str) -> bytes | None:
        found = await self._keyspace.read(NamedKey(name, "string"))
        return None if found is None else found.value

    def _value(self, stored: bytes) -> Any:
        held = as_object(stored)
        return self._serde.loads_typed((held["t"], base64.b64decode(held["d"])))


def _by_task(field: str) -> tuple[str, int]:
    task, _, index = field.rpartition(":")
    return (task, int(index))


def config_of(thread: str, place: CheckpointPlace) -> RunnableConfig:
    """The config that names a checkpoint."""
    named = {
        "thread_id": thread,
        "checkpoint_ns": place.namespace,
        "checkpoint_id": place.id,
    }
    return {"configurable": named}


def place_of(each: CheckpointTuple) -> CheckpointPlace:
    """Where a checkpoint of a source is."""
    named = each.config.get("configurable") or {}
    return CheckpointPlace(named.get("checkpoint_ns", ""), named["checkpoint_id"])


@contextmanager
def _readable() -> Generator[None]:
    """Whatever a damaged value makes a serializer raise, as `NotReadable`."""
    try:
        yield
    except (SojournError, NotReadable):
        raise
    except (
        *(ValueError, TypeError, LookupError, AttributeError, NotImplementedError),
        RecursionError,
    ) as error:
        name = type(error).__name__  # its message may quote content
        raise NotReadable(f"a checkpoint of it cannot be read ({name})") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".?")


def _imported(module: str, of: str) -> Any:
    """A module that not all have installed.

    Raises:
        ConfigurationError: it is missing.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"LangGraph's {of.capitalize()}Saver is read by langgraph-checkpoint-{of}, which is "
            f"not installed: {how_to_install(f'langgraph-{of}')}."
        ) from error
