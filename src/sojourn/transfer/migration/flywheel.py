"""`agentic_flywheel:session:{id}` and `agentic_flywheel:execution:{id}`: JSON texts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from sojourn.ids import parse_entry, session_of
from sojourn.sessions import Event
from sojourn.transfer.migration.keyspace import FoundKey, Keyspace, NamedKey
from sojourn.transfer.migration.layout import Layout, Terms, records, unnamed
from sojourn.transfer.migration.model import CachedResult, Record, SourceSession, UnreadableRecord
from sojourn.transfer.migration.parsing import (
    NotReadable,
    as_json,
    as_object,
    keepable,
    mapping,
    message,
    moment,
    sequence,
    word,
)

_SESSION, _EXECUTION = "agentic_flywheel:session:", "agentic_flywheel:execution:"
_PATTERNS = (f"{_SESSION}*", f"{_EXECUTION}*")
_KNOWN = frozenset(
    {"id", "backend", "status", "current_flow_id", "context", "history", "metadata"}
    | {"created_at", "last_active"}
)


def _claims(key: NamedKey, _: bytes | None) -> bool:
    return key.name.startswith((_SESSION, _EXECUTION))


async def _records(keyspace: Keyspace, terms: Terms) -> AsyncIterator[Record]:
    made = partial(_made, terms=terms)
    async for record in records(keyspace, _PATTERNS, "string", made=made):
        yield record
    for record in unnamed(keyspace):
        yield record


def _made(found: FoundKey, terms: Terms) -> list[Record]:
    if found.name.startswith(_SESSION):
        return _session(found, terms)
    return [_result(found)]


def _session(found: FoundKey, terms: Terms) -> list[Record]:
    blob = as_object(found.value)
    name = found.name.removeprefix(_SESSION)
    created, updated = moment(blob.get("created_at")), moment(blob.get("last_active"))
    metadata = mapping(blob, "metadata")
    rest: dict[str, Any] = {key: value for key, value in blob.items() if key not in _KNOWN}
    if rest:  # such as backend_session_id
        metadata = {**keepable(rest, "Its other fields"), **metadata}
    events: list[Event] = []
    bad: list[Record] = []
    for place, entry in enumerate(sequence(blob, "history")):
        try:
            events += message(found.name, place, entry, created or updated)
        except NotReadable as error:
            bad.append(UnreadableRecord(f"{found.name} entry {place + 1}", str(error)))
    labels = {"backend": word(blob, "backend"), "flow": word(blob, "current_flow_id")}
    session = SourceSession(
        where=found.name,
        key=session_of(terms.app or "agentic_flywheel", name),
        events=events,
        state=mapping(blob, "context"),
        created=created,
        updated=updated,
        expires=found.expires,
        late=found.late,
        status=word(blob, "status") or "active",
        labels={name: said for name, said in labels.items() if said},
        metadata=metadata,
    )
    return [session, *bad]


def _result(found: FoundKey) -> Record:
    name = parse_entry(found.name.removeprefix(_EXECUTION))
    value = keepable(as_json(found.value), "The result")
    return CachedResult(where=found.name, name=name, value=value, expires=found.expires)


FLYWHEEL = Layout("agentic-flywheel", _PATTERNS, adk=False, claims=_claims, records=_records)
