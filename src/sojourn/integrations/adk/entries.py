"""Conversion of ADK's memories to entries of the memory room, and back.

An event is stored as the entry `H(event id).H(session id)`, a memory added directly as
`H(id).H'(id)`: no search matches these names. A deleted event leaves an entry `H(id)`, which
prevents events with that id from being added again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec
from google.adk.events.event import Event as AdkEvent
from google.adk.memory.memory_entry import MemoryEntry
from google.genai import types
from pydantic_core import PydanticSerializationError, to_jsonable_python

from sojourn.codecs import encode_object
from sojourn.errors import CorruptRecord, InvalidInput, InvalidValue
from sojourn.integrations.adk import events
from sojourn.memory import Draft, Entry
from sojourn.memory.words import LONGEST

_NOT_JSON = (PydanticSerializationError, TypeError, ValueError, RecursionError)
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s?")

_encode = msgspec.json.Encoder().encode


class _Stored(msgspec.Struct):
    """The value of an entry.

    Attributes:
        id: of the event or the memory.
        content: what was said, as ADK's JSON.
        session: the session's id; None for no session.
        author: who said it.
        time: when, for an event: seconds since the epoch.
        timestamp: when, for a memory: text of the caller's.
    """

    id: str
    content: Any
    session: str | None = None
    author: str | None = None
    time: float | None = None
    timestamp: str | None = None


def of_events(
    found: Iterable[AdkEvent], session: str | None, metadata: Mapping[str, Any] | None = None
) -> Iterator[tuple[str, Draft]]:
    """What to add of events, with its key: those that have a text.

    Raises:
        InvalidValue: JSON cannot hold one of them.
    """
    for event in found:
        text = _text_of(event.content)
        if event.content is None or not text:
            continue
        name = name_of(event.id)
        value = _value(
            event.content,
            id=event.id,
            session=session or None,
            author=event.author,
            time=event.timestamp,
        )
        key = f"{name}.{_digest(session or '', 'session')}"
        yield key, Draft(value=value, text=text, metadata=metadata, unless=name)


def of_memory(
    memory: MemoryEntry, memory_id: str, metadata: Mapping[str, Any]
) -> tuple[str, Draft]:
    """What to add of a memory, and its key.

    Raises:
        InvalidValue: JSON cannot hold it.
    """
    value = _value(memory.content, id=memory_id, author=memory.author, timestamp=memory.timestamp)
    key = f"{name_of(memory_id)}.{_digest(memory_id, 'memory')}"
    return key, Draft(value=value, text=_text_of(memory.content), metadata=metadata)


def from_entry(entry: Entry) -> MemoryEntry:
    """The memory that an entry holds.

    Raises:
        CorruptRecord: it holds none.
    """
    try:
        stored = msgspec.convert(entry.value, _Stored)
        timestamp = stored.timestamp
        if stored.time is not None:  # as ADK says it: in the time zone of this process
            timestamp = datetime.fromtimestamp(stored.time).isoformat()  # noqa: DTZ006
        return MemoryEntry(
            id=stored.id,
            content=events.from_json(types.Content, _encode(stored.content), "An ADK memory"),
            author=stored.author,
            timestamp=timestamp,
            custom_metadata=entry.metadata,
        )
    except (ValueError, OverflowError, OSError, msgspec.MsgspecError) as error:
        raise CorruptRecord(
            f"The entry {entry.key!r} is no memory of ADK's ({error}). Delete it.",
            key=entry.key,
            raw=b"",
        ) from error


def name_of(memory_id: str) -> str:
    """How the keys of all that has this id begin."""
    return _digest(memory_id, "id")


def mended(text: str) -> str:
    """Text that UTF-8 can hold: halves of characters are joined or marked."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def seconds(ttl: object) -> Any:
    """A lifetime as callers of ADK's services give it: `3600`, `"3600s"`, None for ever.

    Raises:
        InvalidInput: text that is neither.
    """
    if not isinstance(ttl, str):
        return ttl
    found = _SECONDS.fullmatch(ttl)
    if found is None:
        raise InvalidInput(f"A ttl is seconds, such as 3600 or '3600s', not {ttl!r}.")
    return float(found[1])


def plain(metadata: Mapping[str, object]) -> dict[str, Any]:
    """Metadata of the caller's as JSON.

    Raises:
        InvalidValue: JSON cannot hold them.
    """
    try:
        made: dict[str, Any] = to_jsonable_python(dict(metadata))
    except _NOT_JSON as error:
        raise InvalidValue(f"custom_metadata cannot be stored as JSON: {error}.") from error
    return made


def _value(content: types.Content, **members: Any) -> msgspec.Raw:
    try:
        said = content.model_dump_json(exclude_none=True).encode()
        if events.is_too_deep(said):
            raise ValueError("It could not be read again.")
    except _NOT_JSON:
        said = events.object_of(content.model_dump(exclude_none=True), "The memory")
    made = {
        name: _encode(mended(value) if isinstance(value, str) else value)
        for name, value in members.items()
        if value is not None
    }
    return msgspec.Raw(encode_object({**made, "content": said}))


def _text_of(content: types.Content | None) -> str:
    """What is searched: the texts of its parts; empty when there is nothing to find."""
    parts = (content.parts if content else None) or ()
    return mended(" ".join(part.text for part in parts if part.text)).strip()[:LONGEST]


def _digest(text: str, kind: str) -> str:
    data = mended(text).encode()
    return blake2b(data, digest_size=16, person=kind.encode()).hexdigest()
