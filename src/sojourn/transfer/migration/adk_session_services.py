"""`adk:sessions:…`: adk-session-services keeps meta, state and events of a session apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from sojourn.errors import InvalidId
from sojourn.ids import SessionKey
from sojourn.transfer.migration.adk_community import state_fields
from sojourn.transfer.migration.keyspace import FoundKey, Keyspace, NamedKey
from sojourn.transfer.migration.layout import (
    Layout,
    Owners,
    Terms,
    adk_events,
    records,
    scoped,
    unnamed,
    values,
)
from sojourn.transfer.migration.model import Record, SourceSession, UnreadableRecord
from sojourn.transfer.migration.parsing import (
    NotReadable,
    as_json,
    as_object,
    keepable,
    moment,
)

_PREFIX = "adk:sessions:"
_META, _APP, _USER = ":meta", ":app_state", ":user_state"
_PATTERNS = (f"{_PREFIX}*{_META}",)
_STATES = (f"{_PREFIX}*{_APP}", f"{_PREFIX}*{_USER}")


def _claims(key: NamedKey, _: bytes | None) -> bool:
    return key.name.startswith(_PREFIX)


async def _records(keyspace: Keyspace, terms: Terms) -> AsyncIterator[Record]:
    owners = Owners()
    heads = set[str]()
    async for found in values(keyspace, _PATTERNS, "hash"):
        if isinstance(found, UnreadableRecord):
            yield found
            continue
        heads.add(found.name.removesuffix(_META))
        try:
            made = await _session(found, keyspace, terms)
        except (NotReadable, InvalidId) as error:
            made = [UnreadableRecord(found.name.removesuffix(_META), str(error))]
        for record in made:
            owners.learn(record)
            yield record
    made_state = partial(_state, owners=owners)
    async for record in records(keyspace, _STATES, "hash", made=made_state):
        yield record
    async for record in _orphans(keyspace, heads):
        yield record
    for record in unnamed(keyspace):
        yield record


async def _session(meta: FoundKey, keyspace: Keyspace, terms: Terms) -> list[Record]:
    fields = meta.fields()
    name = fields.get("id", b"").decode("utf-8", "replace")
    head = meta.name.removesuffix(_META)
    if not name or not head.endswith(f":{name}"):
        raise NotReadable("its meta names another session than its key")
    owner = Owners().of(head.removeprefix(_PREFIX).removesuffix(f":{name}"))
    state = await keyspace.read(NamedKey(f"{head}:state", "string"))
    log = await keyspace.read(NamedKey(f"{head}:events", "list"))
    held: dict[str, Any] = {} if state is None else as_object(state.value)
    keepable(held, "The state")
    updated = _seconds(fields.get("last_update_time", b""))
    key = SessionKey.of(owner.app, owner.user, name)
    parts, shared = scoped(key, held, updated or 0.0)
    entries: list[Any] = []
    bad: list[Record] = []
    for place, row in enumerate([] if log is None else log.value):
        try:
            entries.append(as_json(row))
        except NotReadable as error:
            bad.append(UnreadableRecord(f"{head}:events {place + 1}", str(error)))
    events, worse = adk_events(f"{head}:events", entries, terms, updated)
    if updated is not None and events:  # it is written when the session is made, and not again
        updated = max(updated, events[-1].time)
    session = SourceSession(
        where=head,
        key=key,
        events=events,
        state=parts.session,
        updated=updated,
        expires=meta.expires,
    )
    return [session, *bad, *worse, *shared]


def _seconds(text: bytes) -> float | None:
    try:
        return moment(float(text))
    except ValueError:
        return None


def _state(found: FoundKey, owners: Owners) -> list[Record]:
    whose = found.name.removeprefix(_PREFIX)
    if whose.endswith(_APP):
        return state_fields(found, whose.removesuffix(_APP), None)
    owner = owners.of(whose.removesuffix(_USER))
    return state_fields(found, owner.app, owner.user)


async def _orphans(keyspace: Keyspace, heads: set[str]) -> AsyncIterator[Record]:
    """Logs without a session: their service does not find them either."""
    async for names in keyspace.names(f"{_PREFIX}*:events"):
        for name, _ in names:
            if name.removesuffix(":events") not in heads:
                yield UnreadableRecord(name, "events of a session that has no meta")


ADK_SESSION_SERVICES = Layout(
    "adk-session-services", _PATTERNS, adk=True, claims=_claims, records=_records
)
