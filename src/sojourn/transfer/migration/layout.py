"""Protocol of source layouts: a name, its keys, and a reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sojourn.errors import InvalidId
from sojourn.ids import SessionKey, UserKey
from sojourn.sessions import Event
from sojourn.sessions.scope import Scoped, split
from sojourn.transfer.migration.keyspace import FoundKey, Keyspace, NamedKey
from sojourn.transfer.migration.model import Record, SourceSession, SourceState, UnreadableRecord
from sojourn.transfer.migration.parsing import NotReadable, made_id

_TOGETHER = 16
"""Keys that are read at once: each may have megabytes."""

ALWAYS = float("inf")
"""How new state is that no other can replace."""

ReadEvent = Callable[[Mapping[str, Any]], Event]
"""Makes an event of one of ADK's, given as what its JSON holds. May raise ValueError."""

ReadThreads = Callable[[Keyspace, str | None], AsyncIterator[Record]]
"""Reads LangGraph's threads on a server, for an app; None for the one that they usually have."""


class Terms(NamedTuple):
    """How a source is to be read.

    Attributes:
        app: the app of what belongs to none at the source; None for the layout's own word.
        event: makes events of ADK's; None without ADK.
        threads: reads LangGraph's threads; None without LangGraph.
    """

    app: str | None = None
    event: ReadEvent | None = None
    threads: ReadThreads | None = None


class Source(Protocol):
    """Where records come from. It may be read several times."""

    @property
    def where(self) -> str:
        """The address, without secrets."""
        ...

    @property
    def layout(self) -> str:
        """How it keeps its data."""
        ...

    def records(self) -> AsyncIterator[Record]:
        """All that there is now."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class Layout(NamedTuple):
    """A layout of keys on a server.

    Attributes:
        name: its name, as for `--layout`.
        patterns: which keys are its own.
        adk: its events are ADK's.
        claims: whether a key looks like one of it; a string's value is given when it is known.
        records: reads them.
        threads: it has threads of LangGraph's.
    """

    name: str
    patterns: Sequence[str]
    adk: bool
    claims: Callable[[NamedKey, bytes | None], bool]
    records: Callable[[Keyspace, Terms], AsyncIterator[Record]]
    threads: bool = False


async def values(
    keyspace: Keyspace, patterns: Sequence[str], *kinds: str, shared: bool = False
) -> AsyncIterator[FoundKey | UnreadableRecord]:
    """What the keys of some patterns hold; of another type than these they are unreadable.

    When the patterns are shared with other programs, those are theirs and passed over.
    """
    async for names in keyspace.names(*patterns):
        for start in range(0, len(names), _TOGETHER):
            batch = names[start : start + _TOGETHER]
            for name in batch:
                if name.kind not in (*kinds, "none") and not shared:
                    yield UnreadableRecord(name.name, f"a {name.kind}: this layout has none there")
            wanted = [name for name in batch if name.kind in kinds]
            for found in await asyncio.gather(*map(keyspace.read, wanted)):
                if found is not None:
                    yield found


async def records(
    keyspace: Keyspace,
    patterns: Sequence[str],
    *kinds: str,
    made: Callable[[FoundKey], list[Record]],
    shared: bool = False,
) -> AsyncIterator[Record]:
    """The records that `made` makes of the keys of some patterns, and what is unreadable.

    Args:
        keyspace: the keys.
        patterns: which.
        kinds: of which types.
        made: may raise NotReadable and InvalidId.
        shared: as `values`.
    """
    async for found in values(keyspace, patterns, *kinds, shared=shared):
        for record in [found] if isinstance(found, UnreadableRecord) else tried(found, made):
            yield record


def tried(found: FoundKey, made: Callable[[FoundKey], list[Record]]) -> list[Record]:
    """What a key holds, as records; or that it cannot be read."""
    try:
        return made(found)
    except (NotReadable, InvalidId) as error:
        return [UnreadableRecord(found.name, str(error))]


def unnamed(keyspace: Keyspace) -> list[UnreadableRecord]:
    """The keys whose names are no text."""
    return [
        UnreadableRecord(ascii(name), "its name is no text") for name in sorted(keyspace.unnamed)
    ]


def scoped(
    key: SessionKey, state: Mapping[str, Any], at: float
) -> tuple[Scoped[Any], list[Record]]:
    """A session's state by scope, and what of it its user and its app share."""
    parts: Scoped[Any] = split(state)
    shared: list[Record] = []
    if parts.user:
        shared.append(SourceState(app=key.app, user=key.user, values=parts.user, at=at))
    if parts.app:
        shared.append(SourceState(app=key.app, user=None, values=parts.app, at=at))
    return parts, shared


class Owners:
    """The users of a source: where a key is `app:user` they tell which colon parts it."""

    def __init__(self) -> None:
        self._known: dict[str, UserKey] = {}
        self._apps: set[str] = set()

    def learn(self, record: Record) -> None:
        """Take note of a session's user."""
        if isinstance(record, SourceSession):
            self._known[f"{record.key.app}:{record.key.user}"] = record.key.owner
            self._apps.add(record.key.app)

    def knows(self, name: str) -> bool:
        """Whether there is a session of such an `app:user`, or of such an app."""
        return name in self._known or name in self._apps

    def of(self, text: str) -> UserKey:
        """Whose `app:user` is.

        Raises:
            NotReadable: there is more than one colon, and no session of such a user.
            InvalidId: it can be nobody's.
        """
        if text in self._known:
            return self._known[text]
        app, colon, user = text.partition(":")
        if not colon or ":" in user:
            raise NotReadable("its key does not tell the app from the user, and no session does")
        return UserKey.of(app, user)


def adk_events(
    where: str, entries: Sequence[Any], terms: Terms, at: float | None
) -> tuple[list[Event], list[Record]]:
    """ADK's events as ours, and those that are none.

    Args:
        where: the session.
        entries: what their JSON holds, in order.
        terms: how they are read.
        at: the time of those that have none.
    """
    events: list[Event] = []
    bad: list[Record] = []
    for place, entry in enumerate(entries):
        try:
            events.append(adk_event(where, place, entry, terms, at))
        except NotReadable as error:
            bad.append(UnreadableRecord(f"{where} event {place + 1}", str(error)))
    return events, bad


def adk_event(where: str, place: int, entry: Any, terms: Terms, at: float | None) -> Event:
    """One of ADK's events as ours.

    Raises:
        NotReadable: it is none.
    """
    if not isinstance(entry, dict):
        raise NotReadable("no ADK event: no JSON object")
    made: dict[str, Any] = dict(entry)  # pyright: ignore[reportUnknownArgumentType]
    if not made.get("id"):
        made["id"] = made_id(where, place, entry)  # pyright: ignore[reportUnknownArgumentType]
    if made.get("timestamp") is None:
        made["timestamp"] = at or 0.0
    assert terms.event is not None  # noqa: S101 - `source_at` has made sure
    try:
        return terms.event(made)
    except (ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split("\n")[:3])
        raise NotReadable(f"no ADK event: {reason}") from error
