"""Events and state as a store keeps them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from sojourn import codecs
from sojourn.caps import CAPS, check
from sojourn.codecs import check_members, encode_object, in_pieces, to_json
from sojourn.codecs.pieces import Turns
from sojourn.errors import InvalidInput, TooLarge
from sojourn.sessions import checks, scope
from sojourn.sessions.event_codec import NO_DELTA, EventRow, encode_row
from sojourn.sessions.model import Event
from sojourn.sessions.store import NO_CHANGE, Delta

_SHORT = min(CAPS.event_id, CAPS.author, CAPS.kind)
"""Characters in which no cap on a text of an event can be exceeded, if they are ASCII."""


async def encode_events(
    events: Sequence[Any], max_event_bytes: int
) -> tuple[list[bytes], dict[str, bytes]]:
    """Events as rows, and the state that they set together.

    Of many, other tasks have their turn in between.

    Raises:
        InvalidInput: one is no event, or JSON cannot hold it; or two have the same id.
        TooLarge: one is over the cap, or all of them are.
    """
    turns = Turns()
    rows: list[bytes] = []
    changes: dict[str, bytes] = {}
    ids: set[str] = set()
    size = 0
    for event in events:
        await turns.rest()
        row, delta = encode_event(event, max_event_bytes)
        changes.update(delta)
        rows.append(row)
        ids.add(event.id)
        size += len(row)
        if len(rows) > CAPS.events:
            check("A call", len(rows), CAPS.events, "events")
        if size > CAPS.call_bytes:
            check("A call", size, max(CAPS.call_bytes, max_event_bytes))
    if len(ids) < len(rows):
        raise InvalidInput("Two of the events have the same id: no id is twice in a log.")
    return rows, changes


def encode_event(event: object, max_event_bytes: int) -> tuple[bytes, dict[str, bytes]]:
    """An event as a row, and the state that it sets.

    Raises:
        InvalidInput: it is no event, or JSON cannot hold it.
        TooLarge: it is over the cap.
    """
    if not isinstance(event, Event):
        raise checks.no_event(event)
    state: object = event.state_delta  # most have none
    delta = {} if type(state) is dict and not state else checks.encoded(event.state_delta)
    payload = event.payload
    if type(payload) is not msgspec.Raw:
        payload = msgspec.Raw(to_json(payload, "The payload of an event"))
    name, author, kind, time = event.id, event.author, event.kind, event.time
    if not (  # of most events, all are checked at once
        type(name) is type(author) is type(kind) is str
        and name
        and len(texts := f"{name}{author}{kind}") <= _SHORT
        and texts.isascii()
        and type(time) is float
        and -math.inf < time < math.inf
    ):
        name = checks.event_id(name)
        author = codecs.text(author, "author", CAPS.author)
        kind = codecs.text(kind, "kind of event", CAPS.kind)
        time = checks.instant(time, "time of an event")
    row = encode_row(
        EventRow(
            id=name,
            time=time,
            author=author,
            kind=kind,
            payload=payload,
            state_delta=msgspec.Raw(encode_object(delta)) if delta else NO_DELTA,
        )
    )
    if len(row) > max_event_bytes:
        raise TooLarge("An event", len(row), max_event_bytes, "max_event_bytes")
    check_members(row, "An event")
    return row, delta


async def encode_state(state: object) -> Delta:
    """State to set, sorted by whose it is. Of much, other tasks have their turn in between.

    Raises:
        InvalidInput: it is no mapping, a key is no text, or JSON cannot hold a value.
        TooLarge: a key, a value or their number is over its cap.
    """
    pairs = await in_pieces(checks.encoded_value, checks.state_items(state))
    return by_scope(dict(pairs))


def by_scope(changes: dict[str, bytes]) -> Delta:
    """State to set, sorted by whose it is.

    Raises:
        TooLarge: one of the three has more keys than any may have.
    """
    if not changes:
        return NO_CHANGE
    parts = scope.split(changes)
    if len(changes) > CAPS.state_keys:
        for part in parts:
            check("A state", len(part), CAPS.state_keys, "keys")
    return Delta(parts.session, parts.user, parts.app)
