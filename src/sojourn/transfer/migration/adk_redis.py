"""`adk:session:…`: the Redis session service of google-adk itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from sojourn.ids import SessionKey
from sojourn.transfer.migration.keyspace import FoundKey, Keyspace, NamedKey
from sojourn.transfer.migration.layout import (
    ALWAYS,
    Layout,
    Owners,
    Terms,
    adk_events,
    records,
    scoped,
    tried,
    unnamed,
)
from sojourn.transfer.migration.model import Record, SourceSession, SourceState
from sojourn.transfer.migration.parsing import (
    NotReadable,
    as_object,
    keepable,
    mapping,
    moment,
    sequence,
    word,
)

_PREFIX = "adk:session:"
_USER, _APP = f"{_PREFIX}user_state:", f"{_PREFIX}app_state:"
_PATTERNS = (f"{_PREFIX}*",)
_SESSION = frozenset({"id", "app_name", "user_id", "events", "last_update_time"})


def _claims(key: NamedKey, _: bytes | None) -> bool:
    return key.name.startswith(_PREFIX)


async def _records(keyspace: Keyspace, terms: Terms) -> AsyncIterator[Record]:
    states: list[FoundKey] = []
    owners = Owners()
    made = partial(_made, terms=terms, states=states)
    async for record in records(keyspace, _PATTERNS, "string", made=made):
        owners.learn(record)
        yield record
    for found in states:
        for record in tried(found, partial(_state, owners=owners)):
            yield record
    for record in unnamed(keyspace):
        yield record


def _made(found: FoundKey, terms: Terms, states: list[FoundKey]) -> list[Record]:
    blob = as_object(found.value)
    if blob.keys() >= _SESSION:
        return adk_session(found, blob, terms, _PREFIX)
    if not found.name.startswith((_USER, _APP)):
        raise NotReadable("JSON, but no session of ADK's")
    states.append(found)  # only sessions tell whose it is
    return []


def adk_session(
    found: FoundKey, blob: dict[str, object], terms: Terms, prefix: str
) -> list[Record]:
    """A session as ADK's own model writes it.

    Args:
        found: its key.
        blob: what it holds.
        terms: how it is read.
        prefix: what its key is, before the app, user and id; with no colon at its end, before the
            id alone.

    Raises:
        NotReadable: it is none.
        InvalidId: its identity is none.
    """
    app, user, name = (word(blob, part) for part in ("app_name", "user_id", "id"))
    expected = f"{prefix}{app}:{user}:{name}" if prefix == _PREFIX else f"{prefix}{name}"
    if found.name != expected:
        raise NotReadable("its JSON names another session than its key")
    key = SessionKey.of(app, user, name)
    updated = moment(blob.get("last_update_time"))
    parts, shared = scoped(key, mapping(blob, "state"), updated or 0.0)
    events, bad = adk_events(found.name, sequence(blob, "events"), terms, updated)
    session = SourceSession(
        where=found.name,
        key=key,
        events=events,
        state=parts.session,
        updated=updated,
        expires=found.expires,
        late=found.late,
    )
    return [session, *bad, *shared]


def _state(found: FoundKey, owners: Owners) -> list[Record]:
    """The state of a user or an app."""
    values_ = keepable(as_object(found.value), "The state")
    if found.name.startswith(_APP):
        app = found.name.removeprefix(_APP)
        return [SourceState(app=app, user=None, values=values_, at=ALWAYS)]
    owner = owners.of(found.name.removeprefix(_USER))
    return [SourceState(app=owner.app, user=owner.user, values=values_, at=ALWAYS)]


ADK_REDIS = Layout("adk-redis", _PATTERNS, adk=True, claims=_claims, records=_records)
