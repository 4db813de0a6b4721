"""`session:{id}`: a list of messages, each JSON with role, content and metadata."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import partial

from sojourn.ids import session_of
from sojourn.sessions import Event
from sojourn.transfer.migration.keyspace import FoundKey, Keyspace, NamedKey
from sojourn.transfer.migration.layout import Layout, Terms, records, unnamed
from sojourn.transfer.migration.model import Record, SourceSession, UnreadableRecord
from sojourn.transfer.migration.parsing import NotReadable, as_json, message

_PREFIX = "session:"
_PATTERNS = (f"{_PREFIX}*",)


def _claims(key: NamedKey, _: bytes | None) -> bool:
    return key.kind == "list" and key.name.startswith(_PREFIX)


async def _records(keyspace: Keyspace, terms: Terms) -> AsyncIterator[Record]:
    made = partial(_session, app=terms.app or "history")
    async for record in records(keyspace, _PATTERNS, "list", made=made):
        yield record
    for record in unnamed(keyspace):
        yield record


def _session(found: FoundKey, app: str) -> list[Record]:
    """The list as a session of a user of its own name, and the messages that are none."""
    name = found.name.removeprefix(_PREFIX)
    events: list[Event] = []
    bad: list[Record] = []
    now = time.time()  # nobody has written down when anything was said
    for place, entry in enumerate(found.value):
        try:
            events += message(found.name, place, as_json(entry), now)
        except NotReadable as error:
            bad.append(UnreadableRecord(f"{found.name} message {place + 1}", str(error)))
    session = SourceSession(
        where=found.name,
        key=session_of(app, name),
        events=events,
        timed=False,
        expires=found.expires,
        late=found.late,
    )
    return [session, *bad]


HISTORY = Layout("history", _PATTERNS, adk=False, claims=_claims, records=_records)
