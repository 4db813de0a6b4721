"""The tables of ADK's SQLite and database session services, read by SELECT and nothing else."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from sojourn.errors import ConfigurationError, InvalidId, Unavailable
from sojourn.ids import SessionKey
from sojourn.process_bound import stays_here
from sojourn.transfer.migration.layout import ALWAYS, Terms, adk_events
from sojourn.transfer.migration.model import Record, SourceSession, SourceState, UnreadableRecord
from sojourn.transfer.migration.parsing import NotReadable, as_json, as_object, keepable, moment

Row = Mapping[str, Any]
Parameters = Mapping[str, Any]

_WHOSE = "app_name = :app AND user_id = :user"
_SESSION = f"SELECT state, create_time, update_time FROM sessions WHERE {_WHOSE} AND id = :id"  # noqa: S608
_EVENTS = "SELECT * FROM events WHERE app_name = :app AND user_id = :user AND session_id = :id"


class Database(Protocol):
    """A database that is only read."""

    @property
    def where(self) -> str:
        """Its address, without secrets."""
        ...

    async def columns(self, table: str) -> Sequence[str]:
        """The columns of a table; none when there is no such table."""
        ...

    async def rows(self, query: str, parameters: Parameters) -> Sequence[Row]:
        """What a SELECT finds."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class SqlSource:
    """The sessions of one of ADK's services in a database.

    Args:
        database: where they are.
        terms: how they are read.
    """

    def __init__(self, database: Database, terms: Terms) -> None:
        self._database = database
        self._terms = terms
        self.where = database.where
        self.layout = "adk-sql"

    async def records(self) -> AsyncIterator[Record]:
        """All sessions, then the state of users and apps.

        Raises:
            ConfigurationError: it has no sessions of ADK's, or they are of its `pickle` schema.
            Unavailable: the database does not answer.
        """
        await self._check()
        order = await self._order()
        for row in await self._database.rows("SELECT app_name, user_id, id FROM sessions", {}):
            identity = (row["app_name"], row["user_id"], row["id"])
            where = "sessions: " + ", ".join(map(str, identity))
            try:
                made = await self._session(where, SessionKey.of(*identity), order)
            except (NotReadable, InvalidId) as error:
                made = [UnreadableRecord(where, str(error))]
            for record in made:
                yield record
        for record in await self._states():
            yield record

    async def close(self) -> None:
        """Close the database."""
        await self._database.close()

    async def _check(self) -> None:
        if not await self._database.columns("sessions"):
            raise ConfigurationError(
                f"There are no sessions of ADK's in {self.where}: it has no table `sessions`."
            )
        if "event_data" not in await self._database.columns("events"):
            raise ConfigurationError(
                f"The events in {self.where} are `pickle` data, which is never loaded. `adk "
                "migrate session` of google-adk makes a database without such: take that one."
            )

    async def _order(self) -> str:
        """What parts events of one instant: the order of rows in SQLite's own service."""
        by_row = isinstance(self._database, SqliteFile) and not await self._database.columns(
            "adk_internal_metadata"
        )
        return " ORDER BY timestamp, rowid" if by_row else " ORDER BY timestamp, id"

    async def _session(self, where: str, key: SessionKey, order: str) -> list[Record]:
        named = {"app": key.app, "user": key.user, "id": key.session}
        rows = await self._database.rows(_EVENTS + order, named)
        entries: list[Any] = []
        bad: list[Record] = []
        for row in rows:
            try:
                data = _object(row["event_data"])
            except NotReadable as error:
                bad.append(UnreadableRecord(f"{where} event {row['id']}", str(error)))
                continue
            at = data.get("timestamp")
            entries.append(
                {
                    **data,
                    "id": row["id"],
                    "invocation_id": row["invocation_id"],
                    "timestamp": moment(row["timestamp"]) if at is None else at,
                }
            )
        heads = await self._database.rows(_SESSION, named)
        if not heads:  # deleted meanwhile
            return []
        head = heads[0]
        updated = moment(head["update_time"])
        events, worse = adk_events(where, entries, self._terms, updated)
        session = SourceSession(
            where=where,
            key=key,
            events=events,
            state=keepable(_object(head["state"]), "Its state"),
            created=moment(head["create_time"]),
            updated=updated,
        )
        return [session, *bad, *worse]

    async def _states(self) -> list[Record]:
        made: list[Record] = []
        for table, columns in (("app_states", "app_name"), ("user_states", "app_name, user_id")):
            if not await self._database.columns(table):
                continue
            query = f"SELECT {columns}, state FROM {table}"  # noqa: S608 - words of ours
            for row in await self._database.rows(query, {}):
                app, user = row["app_name"], row.get("user_id")
                try:
                    values = keepable(_object(row["state"]), "The state")
                except NotReadable as error:
                    made.append(
                        UnreadableRecord(f"{table}: {app} {user or ''}".rstrip(), str(error))
                    )
                    continue
                made.append(SourceState(app=app, user=user, values=values, at=ALWAYS))
        return made


def _object(value: object) -> dict[str, Any]:
    """A JSON column: text, or what the driver has made of it."""
    if isinstance(value, dict):
        return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    found = as_json(value)
    return as_object(found) if isinstance(found, str) else as_object(value)


@stays_here("its URL")
class SqliteFile:
    """An SQLite file, opened so that nothing can be written.

    Args:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db`, also with `sqlite+aiosqlite`.

    Raises:
        ConfigurationError: the URL names no file, or there is none.
    """

    def __init__(self, url: str) -> None:
        path = unquote(urlsplit(url).path).removeprefix("/")
        if not path or path == ":memory:" or not Path(path).is_file():
            raise ConfigurationError(
                f"There is no SQLite file {path or url!r}: sqlite:///FILE is relative to this "
                "folder, sqlite:////FOLDER/FILE is absolute."
            )
        self.where = f"sqlite:///{path}"
        self._path = path
        self._open: sqlite3.Connection | None = None

    async def columns(self, table: str) -> Sequence[str]:
        """The columns of a table."""
        found = await self.rows("SELECT name FROM pragma_table_info(:table)", {"table": table})
        return [row["name"] for row in found]

    async def rows(self, query: str, parameters: Parameters) -> Sequence[Row]:
        """What a SELECT finds."""
        return await asyncio.to_thread(self._rows, query, parameters)

    async def close(self) -> None:
        """Close the file."""
        if self._open is not None:
            await asyncio.to_thread(self._open.close)
            self._open = None

    def _rows(self, query: str, parameters: Parameters) -> Sequence[Row]:
        try:
            if self._open is None:
                address = f"{Path(self._path).absolute().as_uri()}?mode=ro"
                self._open = sqlite3.connect(address, uri=True, check_same_thread=False)
                self._open.row_factory = sqlite3.Row
            return [dict(row) for row in self._open.execute(query, dict(parameters))]
        except sqlite3.Error as error:
            raise Unavailable(f"{self.where} cannot be read: {error}.") from error


class SqlAlchemyDatabase:
    """A database that SQLAlchemy reaches, by an asyncio driver as ADK's own service wants it.

    Args:
        url: as ADK's service takes it, such as `postgresql+asyncpg://user:password@host/name`.

    Raises:
        ConfigurationError: the URL, a driver that is missing, or SQLAlchemy itself.
    """

    def __init__(self, url: str) -> None:
        try:
            alchemy: Any = import_module("sqlalchemy")
            extension: Any = import_module("sqlalchemy.ext.asyncio")
        except ImportError as error:
            raise ConfigurationError(
                "A database is read by SQLAlchemy, which is not installed: pip install "
                "'google-adk[db]', and the driver of your URL."
            ) from error
        self._text: Callable[[str], Any] = alchemy.text
        self._inspect: Callable[[Any], Any] = alchemy.inspect
        self._errors: type[Exception] = alchemy.exc.SQLAlchemyError
        try:
            self._engine: Any = extension.create_async_engine(url)
        except (self._errors, ImportError) as error:
            raise ConfigurationError(f"SQLAlchemy cannot use this URL: {error}.") from error
        self.where: str = self._engine.url.render_as_string(hide_password=True)

    async def columns(self, table: str) -> Sequence[str]:
        """The columns of a table."""

        def found(connection: Any) -> list[str]:
            inspector = self._inspect(connection)
            if not inspector.has_table(table):
                return []
            return [column["name"] for column in inspector.get_columns(table)]

        names: list[str] = await self._connected(lambda each: each.run_sync(found))
        return names

    async def rows(self, query: str, parameters: Parameters) -> Sequence[Row]:
        """What a SELECT finds."""

        async def found(connection: Any) -> list[Row]:
            result = await connection.execute(self._text(query), dict(parameters))
            return [dict(row) for row in result.mappings()]

        rows: list[Row] = await self._connected(found)
        return rows

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    async def _connected(self, work: Callable[[Any], Any]) -> Any:
        try:
            async with self._engine.connect() as connection:
                return await work(connection)
        except (self._errors, OSError) as error:
            raise Unavailable(f"{self.where} cannot be read: {error}.") from error
