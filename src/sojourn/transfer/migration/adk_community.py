"""`session:{id}`, `user:{app}:{user}`, `app:{app}`: google-adk-community's Redis service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from sojourn.transfer.migration.adk_redis import adk_session
from sojourn.transfer.migration.keyspace import FoundKey, Keyspace, NamedKey
from sojourn.transfer.migration.layout import ALWAYS, Layout, Owners, Terms, records, unnamed
from sojourn.transfer.migration.model import Record, SourceState, UnreadableRecord
from sojourn.transfer.migration.parsing import NotReadable, as_json, as_object, keepable

_SESSION, _USER, _APP = "session:", "user:", "app:"
_PATTERNS = (f"{_SESSION}*",)
_STATES = (f"{_USER}*", f"{_APP}*")


def _claims(key: NamedKey, value: bytes | None) -> bool:
    if key.kind != "string" or not key.name.startswith(_SESSION):
        return False
    return value is not None and is_of_community(key, value)


def is_of_community(key: NamedKey, value: bytes) -> bool:
    """Whether it is ADK's own JSON under the session's id alone."""
    try:
        blob = as_object(value)
    except NotReadable:
        return False
    return "last_update_time" in blob and blob.get("id") == key.name.removeprefix(_SESSION)


async def _records(keyspace: Keyspace, terms: Terms) -> AsyncIterator[Record]:
    owners = Owners()

    def session(found: FoundKey) -> list[Record]:
        return adk_session(found, as_object(found.value), terms, _SESSION)

    async for record in records(keyspace, _PATTERNS, "string", made=session):
        owners.learn(record)
        yield record
    made = partial(_state, owners=owners)
    async for record in records(keyspace, _STATES, "hash", made=made, shared=True):
        yield record
    for record in unnamed(keyspace):
        yield record


def _state(found: FoundKey, owners: Owners) -> list[Record]:
    """The state of a user or an app; a hash that may be another program's is passed over."""
    kind, _, name = found.name.partition(":")
    if not owners.knows(name) and not all(map(_is_json, found.fields().values())):
        return []
    if kind == "app":
        return state_fields(found, name, None)
    owner = owners.of(name)
    return state_fields(found, owner.app, owner.user)


def _is_json(value: bytes) -> bool:
    try:
        as_json(value)
    except NotReadable:
        return False
    return True


def state_fields(found: FoundKey, app: str, user: str | None) -> list[Record]:
    """A hash of JSON values as the state of a user or an app, and those that are none."""
    kept: dict[str, object] = {}
    bad: list[Record] = []
    for name, value in found.fields().items():
        try:
            kept[name] = keepable(as_json(value), "The value")
        except NotReadable as error:
            bad.append(UnreadableRecord(f"{found.name} {name}", str(error)))
    return [SourceState(app=app, user=user, values=kept, at=ALWAYS), *bad]


ADK_COMMUNITY = Layout("adk-community", _PATTERNS, adk=True, claims=_claims, records=_records)
