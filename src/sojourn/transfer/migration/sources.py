"""Sources named by a URL, and detection of the layout of their keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial

from sojourn.engine.address import SCHEMES
from sojourn.errors import ConfigurationError
from sojourn.extras import how_to_install
from sojourn.transfer.migration.adk_blobs import ADK_BLOBS
from sojourn.transfer.migration.adk_community import ADK_COMMUNITY
from sojourn.transfer.migration.adk_redis import ADK_REDIS
from sojourn.transfer.migration.adk_session_services import ADK_SESSION_SERVICES
from sojourn.transfer.migration.adk_sql import SqlAlchemyDatabase, SqliteFile, SqlSource
from sojourn.transfer.migration.flywheel import FLYWHEEL
from sojourn.transfer.migration.history import HISTORY
from sojourn.transfer.migration.keyspace import Keyspace, NamedKey
from sojourn.transfer.migration.layout import Layout, ReadEvent, ReadThreads, Source, Terms
from sojourn.transfer.migration.model import Record, UnreadableRecord
from sojourn.transfer.migration.plainredis import PLAIN_REDIS
from sojourn.transfer.migration.vana import VANA

_ALL = (
    *(ADK_BLOBS, HISTORY, FLYWHEEL, VANA, ADK_REDIS, ADK_COMMUNITY, ADK_SESSION_SERVICES),
    PLAIN_REDIS,
)
_BY_NAME = {layout.name: layout for layout in _ALL}
LAYOUTS: Sequence[str] = tuple(_BY_NAME)
"""The layouts of keys on a server, by name."""

_LOOKED_INTO = 50
"""Values that are read to tell layouts apart whose keys look the same."""


class RedisSource:
    """Keys of some layouts on a server.

    Args:
        keyspace: the keys.
        layouts: what they look like.
        terms: how they are read.
    """

    def __init__(self, keyspace: Keyspace, layouts: Sequence[Layout], terms: Terms) -> None:
        self._keyspace = keyspace
        self._layouts = layouts
        self._terms = terms
        self.where = keyspace.where
        self.layout = ", ".join(layout.name for layout in layouts)

    async def records(self) -> AsyncIterator[Record]:
        """All that there is now, layout by layout; what none can read is told once."""
        told: set[str] = set()
        for layout in self._layouts:
            keyspace = self._keyspace
            if len(self._layouts) > 1:
                keyspace = keyspace.only(partial(self._is_of, layout))
            async for record in layout.records(keyspace, self._terms):
                if isinstance(record, UnreadableRecord):
                    if record.where in told:
                        continue
                    told.add(record.where)
                yield record

    async def _is_of(self, layout: Layout, key: NamedKey) -> bool:
        """Whether a key is of a layout, or of none: then whoever comes upon it says so."""
        value: bytes | None = None
        if _is_ambiguous(key):
            found = await self._keyspace.read(key)
            value = None if found is None else found.value
        claiming = [each.name for each in self._layouts if each.claims(key, value)]
        return not claiming or layout.name in claiming

    async def close(self) -> None:
        """Close the connections."""
        await self._keyspace.close()


async def source_at(
    url: str,
    *,
    layout: str | None = None,
    app: str | None = None,
    adk_event: ReadEvent | None = None,
    threads: ReadThreads | None = None,
) -> Source:
    """The source that a URL names. Close it when you are done.

    Without `layout` the names of all keys on the server are looked at, two round trips for 500, and
    all layouts that are found are brought along.

    Args:
        url: a server as `sojourn.open` takes it; `sqlite:///FILE`; or a URL of SQLAlchemy's.
        layout: one of `LAYOUTS`, for a server.
        app: the app of what names none at the source.
        adk_event: makes events of ADK's; `sojourn.integrations.adk.migration.read_event`.
        threads: reads LangGraph's; `sojourn.integrations.langgraph.migration.read_threads`.

    Raises:
        ConfigurationError: the URL; no layout, or nothing but Sojourn's own data; ADK's sessions
            without `adk_event`; or LangGraph's threads without `threads`.
        Unavailable: the server does not answer.
        AccessDenied: it refuses.
    """
    terms = Terms(app, adk_event, threads)
    scheme = url.partition(":")[0].lower()
    if scheme not in (*SCHEMES, "memory"):
        if layout is not None:
            raise ConfigurationError("A layout is one of keys on a server; a database has its own.")
        _check_adk(terms, "A database of sessions")
        is_file = scheme.partition("+")[0] == "sqlite"
        return SqlSource(SqliteFile(url) if is_file else SqlAlchemyDatabase(url), terms)
    if layout is not None and layout not in _BY_NAME:
        raise ConfigurationError(f"There is no layout {layout!r}: {', '.join(LAYOUTS)}.")
    keyspace = Keyspace(url)
    try:
        await keyspace.ping()
        names = await _detected(keyspace) if layout is None else [layout]
        chosen = [_BY_NAME[name] for name in names]
        for each in chosen:
            if each.adk:
                _check_adk(terms, f"The layout {each.name}")
            if each.threads:
                _check_threads(terms, each.name)
    except BaseException:
        await keyspace.close()
        raise
    return RedisSource(keyspace, chosen, terms)


def _check_adk(terms: Terms, what: str) -> None:
    if terms.event is None:
        raise ConfigurationError(
            f"{what} holds events of ADK's, which google-adk reads: {how_to_install('adk')}."
        )


def _check_threads(terms: Terms, layout: str) -> None:
    if terms.threads is None:
        raise ConfigurationError(
            f"The layout {layout} holds LangGraph's values, which langgraph reads: "
            f"{how_to_install('langgraph')}."
        )


async def _detected(keyspace: Keyspace) -> list[str]:
    """The layouts that keys of the server have.

    Raises:
        ConfigurationError: there are none.
    """
    found = Counter[str]()
    looked = 0
    async for names in keyspace.names():
        for key in names:
            value: bytes | None = None
            if _is_ambiguous(key) and looked < _LOOKED_INTO:
                looked += 1
                read = await keyspace.read(key)
                value = None if read is None else read.value
            elif _is_ambiguous(key):  # as those before it
                continue
            found.update(each.name for each in _ALL if each.claims(key, value))
    if found:
        return sorted(found)
    if keyspace.ours:
        raise ConfigurationError(
            f"What is on {keyspace.where} is Sojourn's own, and needs no migration: open it by its "
            "URL. `sojourn export` and `sojourn import` take it to another server."
        )
    raise ConfigurationError(
        f"No key on {keyspace.where} looks like one of {', '.join(LAYOUTS)}. Is it the right "
        "database?"
    )


def _is_ambiguous(key: NamedKey) -> bool:
    """Whether only its value tells what it is: two layouts keep JSON in `session:…`."""
    return key.kind == "string" and key.name.startswith("session:")
