"""`vana:session:{id}`, `vana:memory:…`: sessions in `pickle` form or as JSON, and a memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple, cast

from sojourn.ids import parse_entry, parse_memory, session_of
from sojourn.sessions import Event
from sojourn.transfer.migration.keyspace import FoundKey, Keyspace, NamedKey
from sojourn.transfer.migration.layout import Layout, Terms, records, unnamed
from sojourn.transfer.migration.model import Record, Remembered, SourceSession, UnreadableRecord
from sojourn.transfer.migration.parsing import (
    NotReadable,
    as_object,
    keepable,
    message,
    moment,
    sequence,
    word,
)

_SESSION, _MEMORY = "vana:session:", "vana:memory:"
_INDEX, _HISTORY = f"{_MEMORY}index:", f"{_MEMORY}history:user:"
_PATTERNS = (f"{_SESSION}*", f"{_MEMORY}*")
_KNOWN = frozenset({"id", "user_id", "title", "status", "created_at", "updated_at", "messages"})


class _Part(NamedTuple):
    kind: Literal["user", "agent", "knowledge"]
    owner: str
    key: str


_PARTS = {
    f"{_MEMORY}user_context:": _Part("user", "user_id", "context_key"),
    f"{_MEMORY}agent:": _Part("agent", "agent_id", "memory_key"),
    f"{_MEMORY}knowledge:": _Part("knowledge", "category", "knowledge_key"),
}
"""By how its keys begin: the kind of the memory, and what its JSON calls owner and entry."""


def _claims(key: NamedKey, _: bytes | None) -> bool:
    return key.name.startswith((_SESSION, _MEMORY))


async def _records(keyspace: Keyspace, terms: Terms) -> AsyncIterator[Record]:
    past: dict[tuple[str, str], list[FoundKey]] = {}
    made = partial(_made, terms=terms, past=past)
    async for record in records(keyspace, _PATTERNS, "string", "set", made=made):
        yield record
    for (user, session), kept in past.items():
        yield _history(user, session, kept, terms)
    for record in unnamed(keyspace):
        yield record


def _made(
    found: FoundKey, terms: Terms, past: dict[tuple[str, str], list[FoundKey]]
) -> list[Record]:
    if found.name.startswith(_INDEX):  # Sojourn's own indexes are made by its puts
        return []
    if found.kind != "string":
        raise NotReadable(f"a {found.kind}: this layout has none there")
    if found.name.startswith(_HISTORY):
        past.setdefault(_whose(found), []).append(found)
        return []
    if found.name.startswith(_SESSION):
        return _session(found, terms)
    return [_entry(found, terms)]


def _session(found: FoundKey, terms: Terms) -> list[Record]:
    blob = as_object(found.value)
    name = found.name.removeprefix(_SESSION)
    created, updated = moment(blob.get("created_at")), moment(blob.get("updated_at"))
    rest = {key: value for key, value in blob.items() if key not in _KNOWN and value is not None}
    events: list[Event] = []
    bad: list[Record] = []
    for place, entry in enumerate(sequence(blob, "messages")):
        try:
            events += message(found.name, place, entry, created or updated)
        except NotReadable as error:
            bad.append(UnreadableRecord(f"{found.name} message {place + 1}", str(error)))
    session = SourceSession(
        where=found.name,
        key=session_of(terms.app or "vana", name, word(blob, "user_id") or None),
        events=events,
        created=created,
        updated=updated,
        expires=found.expires,
        late=found.late,
        title=word(blob, "title"),
        status=word(blob, "status") or "active",
        metadata=keepable(rest, "Its other fields"),
    )
    return [session, *bad]


def _entry(found: FoundKey, terms: Terms) -> Record:
    start = next((each for each in _PARTS if found.name.startswith(each)), None)
    if start is None:
        raise NotReadable("a key that this layout does not have")
    part, rest = _PARTS[start], found.name.removeprefix(start)
    blob = as_object(found.value)
    if "data" not in blob:
        raise NotReadable("JSON without its data")
    owner, key = word(blob, part.owner), word(blob, part.key)
    if rest != f"{owner}:{key}":  # it does not say, or not the truth
        owner, _, key = rest.partition(":")
    return Remembered(
        where=found.name,
        app=terms.app or "memory",
        kind=part.kind,
        name=parse_memory(part.kind, owner),
        key=parse_entry(key),
        value=keepable(blob["data"], "Its data"),
        metadata=_told(blob, "timestamp", "id"),
        expires=found.expires,
    )


def _whose(found: FoundKey) -> tuple[str, str]:
    """The user and the session of an entry of the history."""
    user, _, rest = found.name.removeprefix(_HISTORY).partition(":")
    moment_, _, session = rest.partition(":")
    if not (session and moment_.isdecimal()):
        raise NotReadable("a key that this layout does not have")
    as_object(found.value)
    return parse_memory("sessions", user), parse_entry(session)


def _history(user: str, session: str, kept: list[FoundKey], terms: Terms) -> Record:
    """What is remembered of a session: one entry, of the form that its own summary had."""
    ordered = sorted(kept, key=lambda found: found.name)
    events = [as_object(found.value) for found in ordered]
    times = [time for event in events if isinstance(time := event.get("timestamp"), str)]
    ends = [found.expires for found in kept]
    last = None if None in ends else max(cast("list[float]", ends))
    value: dict[str, Any] = {
        "session_id": session,
        "start_time": min(times, default=None),
        "last_activity": max(times, default=None),
        "event_count": len(events),
        "events": events,
    }
    where = f"{_HISTORY}{user}:*:{session}"
    try:
        keepable(value, "Its events")
    except NotReadable as error:
        return UnreadableRecord(where, str(error))
    return Remembered(
        where=where,
        app=terms.app or "memory",
        kind="sessions",
        name=user,
        key=session,
        value=value,
        metadata=_told({"timestamp": value["last_activity"]}, "timestamp"),
        expires=last,
    )


def _told(blob: Mapping[str, Any], *names: str) -> dict[str, Any]:
    found = {name: blob[name] for name in names if blob.get(name) is not None}
    return cast("dict[str, Any]", keepable(found, "Its metadata"))


VANA = Layout("vana", _PATTERNS, adk=False, claims=_claims, records=_records)
