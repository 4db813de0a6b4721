"""Conversion of hashes of sessions, users and apps to values; unreadable fields are reported."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from sojourn.codecs import growth
from sojourn.errors import NewerFormat
from sojourn.sessions.quarantine import field_of
from sojourn.sessions.record import READ
from sojourn.sessions.replies import pairs, seconds
from sojourn.sessions.store import NOTHING, Pairs, SessionHeader

Reply = Sequence[bytes] | Exception
"""What HGETALL gave; an exception when the key is of another type."""

_DIGITS = 15
"""Of a number up to which a script counts without rounding."""

_STAMP_DIGITS = 16
"""Of a time in microseconds that `apply_delta.lua` can read."""

Stamp = tuple[int, bytes]
"""When a value of an app was written, µs by a server's clock, and its operation id."""

_number = msgspec.json.Decoder(float).decode


class FieldError(NamedTuple):
    """What cannot be read in a hash.

    Attributes:
        field: which field; empty for the whole key.
        reason: what is wrong.
        raw: the bytes of the field's value; none when it is missing.
    """

    field: str
    reason: str
    raw: bytes = b""


FOREIGN = FieldError("", "a key of another type")


class DecodedState(NamedTuple):
    """The state in a hash.

    Attributes:
        pairs: its values.
        flaws: what in the hash cannot be read.
        newer: why nothing of it can be served: a newer version wrote it so.
        more: fields that this version does not know.
    """

    pairs: Pairs
    flaws: Sequence[FieldError] = ()
    newer: NewerFormat | None = None
    more: Pairs = NOTHING

    def known(self) -> Pairs:
        """Its values.

        Raises:
            NewerFormat: a newer version wrote them.
        """
        if self.newer is not None:
            raise self.newer
        return self.pairs


class DecodedSession(NamedTuple):
    """The hash of a session.

    Attributes:
        head: its fields; None when what must be known of it cannot be read.
        state: its state.
        flaws: what in the hash cannot be read.
        newer: why the session cannot be served: a newer version wrote it so.
    """

    head: SessionHeader | None
    state: Pairs
    flaws: Sequence[FieldError]
    newer: NewerFormat | None = None


def user_state(reply: Reply) -> DecodedState:
    """The state in a user's hash."""
    return _state(reply, "The user's state")


def app_state(reply: Reply) -> DecodedState:
    """The state in an app's hash, where each value has a stamp beside it."""
    return _state(reply, "The app's state")


def app_stamps(reply: Reply) -> dict[str, Stamp]:
    """When each value of an app was written; one whose stamp cannot be read is not there."""
    stamps: dict[str, Stamp] = {}
    if not isinstance(reply, Exception):
        for name, value in pairs(reply):
            at, colon, by = value.partition(b":")
            if name.startswith(b"at:") and colon and at.isdigit() and len(at) <= _STAMP_DIGITS:
                stamps[name[3:].decode(errors="replace")] = (int(at), by)
    return stamps


def parse_head(reply: Reply) -> DecodedSession:
    """The fields of a session and its state."""
    if isinstance(reply, Exception):
        return DecodedSession(None, {}, [FOREIGN])
    fields = {b"chain": b"", **dict(pairs(reply))}
    flaws: list[FieldError] = []
    try:
        _check_format(fields, "The session", flaws)
        if flaws:
            return DecodedSession(None, {}, flaws)
        state, more = _sorted(fields, _KNOWN, flaws)
        head: SessionHeader | None
        try:
            own = [read(fields[name]) for name, read in _READ.items()]
            head = SessionHeader._make([*own, _recorded(fields, flaws), NOTHING])
        except (KeyError, ValueError):
            head = _salvaged(fields, flaws)
    except NewerFormat as newer:
        return DecodedSession(None, {}, [], newer)
    _check_bytes(fields, flaws)
    if head is not None and head.dropped > head.seq:
        return DecodedSession(
            None, state, [*flaws, FieldError("seq", "less than `dropped`", fields[b"seq"])]
        )
    if head is not None and more:
        head = head._replace(more=more)
    return DecodedSession(head, state, flaws)


def _salvaged(fields: Mapping[bytes, bytes], flaws: list[FieldError]) -> SessionHeader | None:
    """What can be served of a session with fields that are missing or cannot be read.

    What cannot be read is added to `flaws`, and so are required fields that are missing.
    """
    values: dict[str, Any] = {}
    for name, read in _READ.items():
        try:
            values[name.decode()] = read(fields[name])
        except KeyError:
            if name not in _DEFAULTS:
                flaws.append(FieldError(name.decode(), "missing"))
        except ValueError as error:
            flaws.append(FieldError(name.decode(), str(error), fields[name]))
    if not values.keys() >= _NEEDED:
        return None
    return SessionHeader(**values, fields=_recorded(fields, flaws))


def _recorded(fields: Mapping[bytes, bytes], flaws: list[FieldError]) -> Pairs:
    """The fields that applications set; those that cannot be read are added to `flaws`."""
    found: dict[str, bytes] = {}
    for name, (known, field) in READ.items():
        value = fields.get(name)
        if value is not None:
            try:
                field.check(value)
                found[known] = value
            except ValueError as error:
                flaws.append(FieldError(known, str(error), value))
    return found


def _chain(field: bytes) -> int | None:
    """What proves less when it cannot be read, and nothing else."""
    return int(field) if field.isdigit() and len(field) <= _DIGITS else None


def count(field: bytes) -> int:
    """A whole number as scripts write it.

    Raises:
        ValueError: it is none.
    """
    if field.isdigit() and len(field) <= _DIGITS:
        return int(field)
    raise ValueError("not a whole number")


def _state(reply: Reply, what: str) -> DecodedState:
    if isinstance(reply, Exception):
        return DecodedState({}, [FOREIGN])
    fields = dict(pairs(reply))
    flaws: list[FieldError] = []
    try:
        _check_format(fields, what, flaws)
        found, more = _sorted(fields, (), flaws)
    except NewerFormat as newer:
        return DecodedState({}, newer=newer)
    _check_bytes(fields, flaws)
    return DecodedState(found, flaws, more=more)


def _check_format(fields: Mapping[bytes, bytes], what: str, flaws: list[FieldError]) -> None:
    """Add a `format` that is none to `flaws`.

    Raises:
        NewerFormat: it is a newer one.
    """
    field = fields.get(b"format")
    if field is None or field == b"1":
        return
    try:
        growth.check_format(field, what)
    except ValueError as error:
        flaws.append(FieldError("format", str(error), field))


def _check_bytes(fields: Mapping[bytes, bytes], flaws: list[FieldError]) -> None:
    field = fields.get(b"bytes", b"0")
    if not (field.isdigit() and len(field) <= _DIGITS):
        flaws.append(FieldError("bytes", "not a whole number", field))


def _sorted(
    fields: Mapping[bytes, bytes], known: Container[bytes], flaws: list[FieldError]
) -> tuple[dict[str, bytes], Pairs]:
    """State values by key (`state:` stands before each of them), and fields that nobody here knows.

    State that cannot be read is added to `flaws`.

    Raises:
        NewerFormat: a value has a newer format.
    """
    state: dict[str, bytes] = {}
    more: dict[str, bytes] = {}
    for name, value in fields.items():
        if name[:6] == b"state:":
            try:
                if value[:1] == growth.MARK:
                    growth.check_stored(value, "A state value")
                state[name[6:].decode()] = value
            except UnicodeDecodeError:
                flaws.append(FieldError(field_of(name), "a name that is not UTF-8", value))
            except ValueError as error:
                flaws.append(FieldError(field_of(name), str(error), value))
        elif not (name in known or name in _BESIDE or name.startswith((b"at:", b"size:"))):
            with suppress(UnicodeDecodeError):
                more[name.decode()] = value
    return state, more or NOTHING


def _instant(field: bytes) -> float:
    try:
        return _number(field)
    except ValueError:
        raise ValueError("not a number of seconds") from None


def _span(field: bytes) -> float | None:
    """Milliseconds as seconds; empty for ever."""
    return seconds(count(field)) if field else None


def _name(field: bytes) -> str:
    if not field:
        raise ValueError("empty")
    return _text(field)


def _text(field: bytes) -> str:
    try:
        return _value(field).decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None


def _value(field: bytes) -> bytes:
    return growth.plain(field, "A field of the session") if field[:1] == growth.MARK else field


_READ: dict[bytes, Callable[[bytes], Any]] = {
    b"incarnation": _name,
    b"version": count,
    b"epoch": count,
    b"seq": count,
    b"dropped": count,
    b"created": _instant,
    b"updated": _instant,
    b"ttl": _span,
    b"expires": _span,
    b"until": _span,
    b"log_id": _text,
    b"chain": _chain,
}
"""Fields of a session that the store sets: how each is read, in the order of `SessionHeader`."""

_KNOWN = _READ.keys() | READ.keys()

_BESIDE = frozenset({b"format", b"bytes", b"applied"})
"""Fields of all hashes that hold state."""

_DEFAULTS = frozenset(name.encode() for name in SessionHeader._field_defaults)
"""Fields that may be missing, and without which a session can be served."""

_NEEDED = {name.decode() for name in _READ.keys() - _DEFAULTS}
