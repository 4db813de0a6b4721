"""Events and state as a store keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


async def encode_events(
    events: Sequence[object], max_event_bytes: int
) -> tuple[list[bytes], dict[str, bytes]]:
    """Events as rows, and the state that they set together.

    Of many, other tasks have their turn in between.

    Raises:
        InvalidInput: one is no event, or JSON cannot hold it; or two have the same id.
        TooLarge: one is over the cap, or all of them are.
    """
    turns = Turns() if len(events) > 1 else None  # one event, as most are, is one piece
    rows: list[bytes] = []
    changes: dict[str, bytes] = {}
    ids: set[str] = set()
    size = 0
    for event in events:
        if turns is not None:
            await turns.rest()
        if not isinstance(event, Event):
            raise checks.no_event(event)
        delta = checks.encoded(event.state_delta)
        if delta:
            changes.update(delta)
        row = _row(event, delta)
        if len(row) > max_event_bytes:
            raise TooLarge("An event", len(row), max_event_bytes, "max_event_bytes")
        check_members(row, "An event")
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


def _row(event: Event, delta: Mapping[str, bytes]) -> bytes:
    payload = event.payload
    if type(payload) is not msgspec.Raw:
        payload = msgspec.Raw(to_json(payload, "The payload of an event"))
    return encode_row(
        EventRow(
            id=checks.event_id(event.id),
            time=checks.instant(event.time, "time of an event"),
            author=codecs.text(event.author, "author", CAPS.author),
            kind=codecs.text(event.kind, "kind of event", CAPS.kind),
            payload=payload,
            state_delta=msgspec.Raw(encode_object(delta)) if delta else NO_DELTA,
        )
    )
