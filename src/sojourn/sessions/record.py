"""The record of a session: the fields that applications set.

To add one, write a line in `SessionFields` (what callers give) and a line in `SessionRecord` (what
they get, and how it is stored). Checks, reads, writes, archives, documents and migrations walk over
`FIELDS`; only an index or a command-line option of its own is written elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypedDict, get_args, get_type_hints

import msgspec

from sojourn.caps import CAPS, KiB
from sojourn.sessions.fields import Field, JsonObject, Labels, Text

Pairs = Mapping[str, bytes]
"""Names → what is stored."""


class SessionFields(TypedDict, total=False):
    """Fields as `create`, `ensure`, `update` and `save` take them; None is one that is not given.

    Attributes:
        title: a name for people.
        status: a word of the application's; `active` at first.
        labels: words of the application's by name, by which lists are filtered: at most 16, a name
            of 64 bytes at most, a word of 1 to 256. `update` sets these, removes those with None,
            and leaves the others: of two writers that set different labels neither loses one.
        summary: its subject, in a few sentences, for lists and for agents that continue it.
        metadata: JSON of the application's; `update` replaces the stored one.
    """

    title: str | None
    status: str | None
    labels: Mapping[str, str | None] | None
    summary: str | None
    metadata: Mapping[str, Any] | None


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Fields as a session has them.

    Attributes:
        title: a name for people.
        status: a word of the application's; `active` at first.
        labels: words of the application's by name, such as which flow it is in; lists filter by
            them.
        summary: its subject, in a few sentences.
        metadata: JSON of the application's.
    """

    title: Annotated[str, Text(CAPS.title)] = ""
    status: Annotated[str, Text(CAPS.status, "active")] = "active"
    labels: Annotated[dict[str, str], Labels()] = {}
    summary: Annotated[str, Text(16 * KiB)] = ""
    metadata: Annotated[dict[str, Any], JsonObject(CAPS.metadata)] = {}


def _fields() -> Iterator[tuple[str, Field]]:
    for name, hint in get_type_hints(SessionRecord, include_extras=True).items():
        yield name, get_args(hint)[1]


FIELDS: Mapping[str, Field] = dict(_fields())
"""How each field is stored, in order."""

JSON_FIELDS = [name for name, field in FIELDS.items() if isinstance(field, JsonObject)]
"""Those that may be large."""

READ = {name.encode(): (name, field) for name, field in FIELDS.items()}
"""The same by its name on the server."""


def is_content(name: str) -> bool:
    """Whether a field of a session is content, which may be encoded."""
    return name in FIELDS and not FIELDS[name].in_clear


def encode_fields(given: Mapping[str, object]) -> dict[str, bytes]:
    """All fields of a session that is made now, or written as a whole, as they are stored.

    Raises:
        InvalidInput: a value that cannot be stored, or a field that there is none of.
    """
    found = {name: field.encode(given.get(name), name) for name, field in _known(given)}
    return {name: value for name, value in found.items() if value is not None}


def encode_changes(given: Mapping[str, object]) -> dict[str, bytes]:
    """The fields that are given, as they are stored.

    Raises:
        InvalidInput: a value that cannot be stored, or a field that there is none of.
    """
    found = {
        name: field.encode(given.get(name), name, change=True)
        for name, field in _known(given)
        if given.get(name) is not None
    }
    return {name: value for name, value in found.items() if value is not None}


def decode_fields(stored: Pairs) -> dict[str, Any]:
    """Fields as callers get them; missing ones are left out.

    Raises:
        ValueError: one cannot be read.
    """
    return {name: FIELDS[name].decode(value) for name, value in stored.items()}


def merge(stored: Pairs, changes: Pairs) -> Pairs:
    """Fields after a change of some of them."""
    merged = dict(stored)
    for name, value in changes.items():
        left = FIELDS[name].merge(merged.get(name, b""), value) if name in FIELDS else value
        if left is None:
            merged.pop(name, None)
        else:
            merged[name] = left
    return merged


def _known(given: Mapping[str, object]) -> Iterator[tuple[str, Field]]:
    if not given.keys() <= FIELDS.keys():
        unknown = ", ".join(sorted(given.keys() - FIELDS.keys()))
        raise TypeError(f"A session has no field {unknown}; it has {', '.join(FIELDS)}.")
    yield from FIELDS.items()
