"""The hashes of sessions, users and apps as values, and what in them cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from sojourn.sessions.quarantine import field_of
from sojourn.sessions.replies import pairs, seconds
from sojourn.sessions.store import Head, Pairs

Reply = Sequence[bytes] | Exception
"""What HGETALL gave; an exception when the key is of another type."""

_DIGITS = 15
"""Of a number up to which a script counts without rounding."""

_FORMAT = b"1"

_number = msgspec.json.Decoder(float).decode


class Flaw(NamedTuple):
    """What cannot be read in a hash.

    Attributes:
        field: which field; empty for the whole key.
        reason: what is wrong.
        raw: the bytes of the field's value; none when it is missing.
    """

    field: str
    reason: str
    raw: bytes = b""


FOREIGN = Flaw("", "a key of another type")


class State(NamedTuple):
    """The state in a hash, and what in the hash cannot be read."""

    pairs: Pairs
    flaws: Sequence[Flaw] = ()


class Parsed(NamedTuple):
    """The hash of a session; `head` is None when what must be known of it cannot be read."""

    head: Head | None
    state: Pairs
    flaws: Sequence[Flaw]


def user_state(reply: Reply) -> State:
    """The state in a user's hash."""
    return _state(reply, (b"bytes",))


def app_state(reply: Reply) -> State:
    """The state in an app's hash, where each value has a stamp beside it."""
    return _state(reply, (b"bytes",), b"at:")


def parse_head(reply: Reply) -> Parsed:
    """The fields of a session and its state."""
    if isinstance(reply, Exception):
        return Parsed(None, {}, [FOREIGN])
    fields = dict(pairs(reply))
    state, flaws = _sorted(fields, _READ)
    head: Head | None
    try:
        head = Head._make([read(fields[name]) for name, read in _READ.items()][_NOT_OF_HEAD:])
    except (KeyError, ValueError):
        head, amiss = _salvaged(fields)
        flaws += amiss
    if head is not None and head.dropped > head.seq:
        return Parsed(None, state, [*flaws, Flaw("seq", "less than `dropped`", fields[b"seq"])])
    return Parsed(head, state, flaws)


def _salvaged(fields: Mapping[bytes, bytes]) -> tuple[Head | None, list[Flaw]]:
    """What can be served of a session with fields that cannot be read, and which these are."""
    values: dict[bytes, Any] = {}
    flaws: list[Flaw] = []
    for name, read in _READ.items():
        try:
            values[name] = read(fields[name])
        except KeyError:
            flaws.append(Flaw(name.decode(), "missing"))
        except ValueError as error:
            flaws.append(Flaw(name.decode(), str(error), fields[name]))
    values = {**_SPARE, **values}
    if not values.keys() >= _NEEDED:
        return None, flaws
    return Head(**{field: values[field.encode()] for field in Head._fields}), flaws


def count(field: bytes) -> int:
    """A whole number as scripts write it.

    Raises:
        ValueError: it is none.
    """
    if field.isdigit() and len(field) <= _DIGITS:
        return int(field)
    raise ValueError("not a whole number")


def _state(reply: Reply, known: Container[bytes], beside: bytes = b"") -> State:
    if isinstance(reply, Exception):
        return State({}, [FOREIGN])
    fields = dict(pairs(reply))
    found, flaws = _sorted(fields, known, beside)
    if fields.get(b"bytes", b"0").isdigit():
        return State(found, flaws)
    return State(found, [*flaws, Flaw("bytes", "not a whole number", fields[b"bytes"])])


def _sorted(
    fields: Mapping[bytes, bytes], known: Container[bytes], beside: bytes = b""
) -> tuple[dict[str, bytes], list[Flaw]]:
    """State values by key (`state:` stands before each of them), and what is none of ours.

    Names that are known, or start with `beside`, are passed over.
    """
    state: dict[str, bytes] = {}
    flaws: list[Flaw] = []
    for name, value in fields.items():
        if name in known:
            continue
        if name[:6] == b"state:":
            try:
                state[name[6:].decode()] = value
            except UnicodeDecodeError:
                flaws.append(Flaw(field_of(name), "a name that is not UTF-8", value))
        elif not (beside and name.startswith(beside)):
            flaws.append(Flaw(field_of(name), "a field that Sojourn does not write", value))
    return state, flaws


def _format(field: bytes) -> bytes:
    if field != _FORMAT:
        raise ValueError("not the format that this version of Sojourn reads")
    return field


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
        return field.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None


_READ: dict[bytes, Callable[[bytes], Any]] = {
    b"format": _format,
    b"bytes": count,
    b"incarnation": _name,
    b"version": count,
    b"epoch": count,
    b"seq": count,
    b"dropped": count,
    b"created": _instant,
    b"updated": _instant,
    b"ttl": _span,
    b"until": _span,
    b"expires": _span,
    b"title": _text,
    b"status": _text,
    b"backend": _text,
    b"flow": _text,
    b"metadata": bytes,
}
"""The fields of a session, and how each is read; behind the first two, in the order of `Head`."""

_NOT_OF_HEAD = 2

_SPARE: dict[bytes, Any] = {
    **dict.fromkeys((b"title", b"status", b"backend", b"flow"), ""),
    b"metadata": b"{}",
}
"""Fields without which a session can be served, and what then stands for them."""

_NEEDED = _READ.keys() - {b"bytes"}
