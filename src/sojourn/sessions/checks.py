"""Checks of arguments before anything is sent, and their conversion to stored values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, cast

from sojourn.caps import CAPS, check
from sojourn.codecs import encode, is_number, is_whole, shown, text
from sojourn.errors import InvalidId, InvalidInput, InvalidValue, Refused
from sojourn.ids import SessionKey, new_operation_id, operation_id_of
from sojourn.sessions import scope
from sojourn.sessions.model import Event
from sojourn.sessions.store import WriteOptions

_NUMBER = (int, float)
_AGES = 10**10
"""Seconds that no lifetime exceeds."""
_TICK = 0.001
_LAST = 10**11
"""Seconds since the epoch that no end exceeds; scripts count its milliseconds without rounding."""
_TOO_MANY = 2**63
"""A number that servers do not count with."""
_LARGEST_PAGE = 100_000


def refuse_app_state(*events: object, state: Mapping[str, Any] | None = None, **_: object) -> None:
    """Refuse state of the app in the arguments of a user's call.

    Raises:
        Refused: there is some.
        InvalidInput: it is no state.
    """
    deltas = (each.state_delta for each in events if isinstance(each, Event))
    given = (state_items(each) for each in (state or {}, *deltas))
    if any(name.startswith(scope.APP) for each in given for name, _ in each):
        raise Refused("State of the app belongs to all its users: a caller reads it only.")


def text_or_none(value: object, what: str, most: int) -> str | None:
    """A string of so many bytes of UTF-8 at most, or None."""
    return None if value is None else text(value, what, most)


def key(value: object) -> SessionKey:
    """A key that `SessionKey.of` has made."""
    if not isinstance(value, SessionKey):
        raise InvalidId(
            f"A session is named by SessionKey.of(app, user, session), not {type(value).__name__}; "
            "`Session.key` is that of a session."
        )
    return value


def no_event(value: object) -> InvalidValue:
    """What to raise of something that is not an event."""
    return InvalidValue(
        f"append() takes events, not {type(value).__name__}: make a sojourn.Event of it."
    )


def event_id(value: object) -> str:
    """The id of an event."""
    if name := text(value, "event id", CAPS.event_id):
        return name
    raise InvalidValue("An event needs an id that is not empty; leave it out to have one made.")


def encoded(state: object) -> dict[str, bytes]:
    """State values as JSON text. `temp:` keys belong to nobody and fall away."""
    return dict(map(encoded_value, state_items(cast("Any", state))))


def state_items(state: object) -> Iterator[tuple[str, Any]]:
    """State that is kept, value by value. `temp:` keys belong to nobody and fall away."""
    if not isinstance(state, Mapping):
        raise InvalidValue(f"State must be a mapping, not {type(state).__name__}.")
    given = cast("Mapping[str, Any]", state)
    if len(given) > 3 * CAPS.state_keys:  # a session's, a user's and an app's
        check("A state", len(given), 3 * CAPS.state_keys, "keys")
    return (
        (name, value)
        for name, value in given.items()
        if not text(name, "state key", CAPS.state_key).startswith(scope.TEMP)
    )


def encoded_value(item: tuple[str, Any]) -> tuple[str, bytes]:
    """A state value as JSON text, behind its key."""
    name, value = item
    return name, encode(value, f"The state value {name!r}")


def write_of(
    operation_id: str | None, incarnation: str = "", expected: int | None = None
) -> WriteOptions:
    """The arguments that a write carries; an operation id is made when none is given."""
    if incarnation:
        text(incarnation, "incarnation")
    if expected is not None:
        count(expected, "expected_version")
    name = new_operation_id() if operation_id is None else operation_id_of(operation_id)
    return WriteOptions(name, incarnation or "", expected)


def instant(value: object, what: str) -> float:
    """A time in seconds."""
    if type(value) is float and -math.inf < value < math.inf:
        return value
    with suppress(OverflowError):  # a whole number of any length
        if isinstance(value, _NUMBER) and math.isfinite(value):
            return float(value)
    raise InvalidValue(f"The {what} must be a finite number of seconds, not {shown(value)}.")


def instant_or(value: object, what: str, default: float) -> float:
    """A time in seconds, or what stands for none."""
    return default if value is None else instant(value, what)


def end(value: object) -> float | None:
    """An instant that a session does not outlive, or None."""
    if value is None:
        return None
    if (at := instant(value, "until")) <= _LAST:
        return at
    raise InvalidInput(
        f"until must be seconds since the epoch, not {shown(value)}: divide milliseconds by 1,000."
    )


def lifetime(seconds: object, what: str = "ttl") -> float | None:
    """A TTL in seconds, or None for ever."""
    if seconds is None or (is_number(seconds) and _TICK <= seconds <= _AGES):
        return seconds
    raise InvalidInput(
        f"A {what} of {shown(seconds)} s is not a lifetime: give seconds above zero, or None for "
        "ever."
    )


def count(value: object, what: str) -> int | None:
    """A number that counts, or None."""
    if value is None or (is_whole(value) and 0 <= value < _TOO_MANY):
        return value
    raise InvalidInput(f"{what} must be a whole number of 0 or more, not {shown(value)}.")


def page_size(limit: object) -> None:
    """How many entries a page has."""
    if not is_whole(limit) or not 1 <= limit <= _LARGEST_PAGE:
        raise InvalidInput(f"limit must be from 1 to {_LARGEST_PAGE:,}, not {shown(limit)}.")
