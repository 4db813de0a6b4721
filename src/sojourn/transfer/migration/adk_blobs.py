"""`session:{app}:{user}:{id}`: a session service for ADK that keeps a session in one JSON text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from sojourn.ids import SessionKey
from sojourn.transfer.migration.adk_community import is_of_community
from sojourn.transfer.migration.keyspace import FoundKey, Keyspace, NamedKey
from sojourn.transfer.migration.layout import (
    Layout,
    Terms,
    adk_events,
    records,
    scoped,
    unnamed,
)
from sojourn.transfer.migration.model import Record, SourceSession
from sojourn.transfer.migration.parsing import (
    NotReadable,
    as_object,
    mapping,
    moment,
    sequence,
    word,
)

_PREFIX = "session:"
_PATTERNS = (f"{_PREFIX}*:*:*",)


def _claims(key: NamedKey, value: bytes | None) -> bool:
    if key.kind != "string" or not key.name.startswith(_PREFIX) or key.name.count(":") < 3:  # noqa: PLR2004 - app, user, id
        return False
    return value is None or not is_of_community(key, value)


async def _records(keyspace: Keyspace, terms: Terms) -> AsyncIterator[Record]:
    made = partial(_session, terms=terms)
    async for record in records(keyspace, _PATTERNS, "string", made=made):
        yield record
    for record in unnamed(keyspace):
        yield record


def _session(found: FoundKey, terms: Terms) -> list[Record]:
    blob = as_object(found.value)
    named = "session_id" if "session_id" in blob else "id"  # as ADK's own model_dump_json has it
    app, user, name = (word(blob, part) for part in ("app_name", "user_id", named))
    if found.name != f"{_PREFIX}{app}:{user}:{name}":
        raise NotReadable("its JSON names another session than its key")
    created = moment(blob.get("created_at"))
    updated = moment(blob.get("updated_at", blob.get("last_update_time")))
    key = SessionKey.of(app, user, name)
    parts, shared = scoped(key, mapping(blob, "state"), updated or 0.0)
    events, bad = adk_events(found.name, sequence(blob, "events"), terms, created or updated)
    session = SourceSession(
        where=found.name,
        key=key,
        events=events,
        state=parts.session,
        created=created,
        updated=updated,
        expires=found.expires,
        late=found.late,
    )
    return [session, *bad, *shared]


ADK_BLOBS = Layout("adk-json", _PATTERNS, adk=True, claims=_claims, records=_records)
