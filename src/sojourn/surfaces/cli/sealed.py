"""Content that is sealed with a key which a command does not have: its key and its size."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import to_builtins

from sojourn.client import Sojourn
from sojourn.codecs.codec import Sealed, sealed_with
from sojourn.ids import SessionKey
from sojourn.memory.model import ScopeKey
from sojourn.memory.operations.read import GetEntries
from sojourn.sessions.operations.archive import ReadLogSlice, ReadStoredSession

_AT_ONCE = 200
"""Records that are read at once."""
_ROWS, _BYTES = 500, 512 * 1024
"""Of a log, what is read at once."""


def sealed_text(found: Sealed) -> str:
    """Sealed content, for people."""
    return f"sealed (key {found.key}, {found.bytes:,} bytes)"


def sealed_member(found: Sealed | None) -> dict[str, Any]:
    """Sealed content as a member of a JSON document; none of what is not sealed."""
    return {} if found is None else {"sealed": to_builtins(found)}


def sealed_of(values: Iterable[bytes]) -> Sealed | None:
    """What of some values is sealed: the key of the first of these, and the size of all."""
    sealed = [(key, len(value)) for value in values if (key := sealed_with(value))]
    return Sealed(sealed[0][0], sum(size for _, size in sealed)) if sealed else None


async def sealed_sessions(
    store: Sojourn, keys: Sequence[SessionKey]
) -> Mapping[SessionKey, Sealed]:
    """Those of some sessions whose fields or state are sealed. A round trip for each 200."""
    found: dict[SessionKey, Sealed] = {}
    beneath = store.stores.sessions.beneath
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        read = await asyncio.gather(
            *(beneath.run(ReadStoredSession(key)) for key in some), return_exceptions=True
        )
        for key, stored in zip(some, read, strict=True):
            if isinstance(stored, BaseException) or stored is None:
                continue
            sealed = sealed_of((*stored.head.fields.values(), *stored.state.values()))
            if sealed is not None:
                found[key] = sealed
    return found


async def sealed_session(store: Sojourn, key: SessionKey) -> Sealed | None:
    """What is sealed of a session with its log; None when it is not there, or nothing is sealed."""
    beneath = store.stores.sessions.beneath
    stored = await beneath.run(ReadStoredSession(key))
    if stored is None:
        return None
    values = [*stored.head.fields.values(), *stored.state.values()]
    first = 1
    while (part := await beneath.run(ReadLogSlice(key, first, _ROWS, _BYTES))) and part.rows:
        values += part.rows
        first = part.first + len(part.rows)
    return sealed_of(values)


async def sealed_entries(
    store: Sojourn, scope: ScopeKey, keys: Sequence[str]
) -> Mapping[str, Sealed]:
    """Those of some entries of the memory that are sealed. A round trip for each 200."""
    found: dict[str, Sealed] = {}
    beneath = store.stores.memory.beneath
    for start in range(0, len(keys), _AT_ONCE):
        read = await asyncio.gather(
            *(beneath.run(GetEntries(scope, [key])) for key in keys[start : start + _AT_ONCE]),
            return_exceptions=True,
        )
        rows = [row for each in read if not isinstance(each, BaseException) for row in each if row]
        for item in (row.item for row in rows):
            sealed = sealed_of((item.value, item.metadata, item.text or b""))
            if sealed is not None:
                found[item.key] = sealed
    return found
