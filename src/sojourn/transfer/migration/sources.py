"""Which source a URL names, and which layout the keys on a server have."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence

from sojourn.engine.address import SCHEMES
from sojourn.errors import ConfigurationError
from sojourn.transfer.migration.adk_blobs import ADK_BLOBS
from sojourn.transfer.migration.adk_community import ADK_COMMUNITY
from sojourn.transfer.migration.adk_redis import ADK_REDIS
from sojourn.transfer.migration.adk_session_services import ADK_SESSION_SERVICES
from sojourn.transfer.migration.adk_sql import SqlAlchemyDatabase, SqliteFile, SqlSource
from sojourn.transfer.migration.flywheel import FLYWHEEL
from sojourn.transfer.migration.history import HISTORY
from sojourn.transfer.migration.keyspace import Keyspace, Named
from sojourn.transfer.migration.layout import Layout, ReadEvent, Source, Terms
from sojourn.transfer.migration.model import Record
from sojourn.transfer.migration.vana import VANA

_ALL = (ADK_BLOBS, HISTORY, FLYWHEEL, VANA, ADK_REDIS, ADK_COMMUNITY, ADK_SESSION_SERVICES)
_BY_NAME = {layout.name: layout for layout in _ALL}
LAYOUTS: Sequence[str] = tuple(_BY_NAME)
"""The layouts of keys on a server, by name."""

_LOOKED_INTO = 50
"""Values that are read to tell layouts apart whose keys look the same."""


class RedisSource:
    """Keys of one layout on a server.

    Args:
        keyspace: the keys.
        layout: what they look like.
        terms: how they are read.
    """

    def __init__(self, keyspace: Keyspace, layout: Layout, terms: Terms) -> None:
        self._keyspace = keyspace
        self._layout = layout
        self._terms = terms
        self.where = keyspace.where
        self.layout = layout.name

    def records(self) -> AsyncIterator[Record]:
        """All that there is now."""
        return self._layout.records(self._keyspace, self._terms)

    async def close(self) -> None:
        """Close the connections."""
        await self._keyspace.close()


async def source_at(
    url: str,
    *,
    layout: str | None = None,
    app: str | None = None,
    adk_event: ReadEvent | None = None,
) -> Source:
    """The source that a URL names. Close it when you are done.

    Without `layout` the names of all keys on the server are looked at: two round trips for 500.

    Args:
        url: a server as `sojourn.open` takes it; `sqlite:///FILE`; or a URL of SQLAlchemy's.
        layout: one of `LAYOUTS`, for a server.
        app: the app of what names none at the source.
        adk_event: makes events of ADK's; `sojourn.integrations.adk.migration.read_event`.

    Raises:
        ConfigurationError: the URL; no layout, or several; or ADK's sessions without `adk_event`.
        Unavailable: the server does not answer.
        AccessDenied: it refuses.
    """
    terms = Terms(app, adk_event)
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
        chosen = _BY_NAME[layout or await _detected(keyspace)]
        if chosen.adk:
            _check_adk(terms, f"The layout {chosen.name}")
    except BaseException:
        await keyspace.close()
        raise
    return RedisSource(keyspace, chosen, terms)


def _check_adk(terms: Terms, what: str) -> None:
    if terms.event is None:
        raise ConfigurationError(
            f"{what} holds events of ADK's, which google-adk reads: pip install 'sojourn[adk]'."
        )


async def _detected(keyspace: Keyspace) -> str:
    """The one layout that keys of the server have.

    Raises:
        ConfigurationError: none, or several.
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
    if len(found) == 1:
        return next(iter(found))
    if not found:
        raise ConfigurationError(
            f"No key on {keyspace.where} looks like one of {', '.join(LAYOUTS)}. Is it the right "
            "database?"
        )
    kinds = ", ".join(f"{name} ({count:,})" for name, count in sorted(found.items()))
    raise ConfigurationError(
        f"Keys of several layouts are on {keyspace.where}: {kinds}. Name one with layout=, or "
        "--layout, and go through them one by one."
    )


def _is_ambiguous(key: Named) -> bool:
    """Whether only its value tells what it is: two layouts keep JSON in `session:…`."""
    return key.kind == "string" and key.name.startswith("session:")
