"""JSON that a human can read, and that refuses what it would lose."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from sojourn.caps import CAPS, check
from sojourn.codecs.pieces import collector_paused, in_pieces
from sojourn.errors import InvalidValue

_to_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_to_bytes = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_PLAIN = frozenset({str, int, bool, type(None)})
"""Types of which JSON loses nothing: the fast encoder may have them."""
_TEXT = frozenset({str})

_LARGE = 64 * 1024
"""Bytes of JSON that may hold so many objects that collections of garbage take the longest."""
_STRIDE = CAPS.digits // 2
"""Of a longer number, every so many bytes there are as many digits."""
_digits = re.compile(rb"\d+").findall
_in_a_row = re.compile(rb"\d\d").search
_SHORT = min(CAPS.digits, 2 * CAPS.depth)
"""Bytes in which no cap can be exceeded."""
_SQUARE = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def encode(value: Any, what: str) -> bytes:
    """A value as JSON text in UTF-8. Tuples become lists and the keys of dicts text, as in JSON.

    Args:
        value: what to encode; `msgspec.Raw` is JSON text already.
        what: names the value in an error.

    Raises:
        InvalidValue: JSON cannot hold it: an object of some class, bytes, a set, NaN, text that is
            not Unicode, something that contains itself.
        TooLarge: it is over the caps on what takes long to decode.
    """
    text = to_json(value, what)
    check_members(text, what)
    return text


def to_json(value: Any, what: str) -> bytes:
    """As `encode`, for a part of a text: `check_members` is asked about the whole.

    Raises:
        InvalidValue: JSON cannot hold it.
    """
    try:
        kind = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind in _PLAIN or (
            kind is dict
            and _PLAIN.issuperset(map(type, value.values()))
            and _TEXT.issuperset(map(type, value))
        ):
            return _to_bytes(value)
        if isinstance(value, msgspec.Raw):
            return bytes(value)
        return _to_text(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(
            f"{what} cannot be stored as JSON: {error}. Use text, numbers, booleans, None, lists "
            "and dicts."
        ) from error


def check_members(text: bytes, what: str) -> None:
    """Refuse JSON text that takes long to decode, however short it is.

    Raises:
        TooLarge: it has more than `CAPS.members`, is nested deeper than `CAPS.depth`, or has a
            number of more than `CAPS.digits`.
    """
    size = len(text)
    if size <= _SHORT:
        return
    deep = text.count(b"[") + text.count(b"{") > CAPS.depth
    # Two steps into a number that is too long are digits, too: few texts have such, and are cut up.
    long = _in_a_row(text[::_STRIDE]) is not None and any(
        text[at : at + _STRIDE].isdigit() for at in range(0, size, _STRIDE)
    )
    many = size > CAPS.members and _separators(text) > CAPS.members
    if not (deep or long or many):
        return
    plain = text.replace(rb"\\", b"").replace(rb"\"", b"")  # what strings hold does not count
    if many:
        check(what, plain.count(b'"') // 2, CAPS.members, "members")  # as many strings
    outside = b"".join(plain.split(b'"')[::2])
    if many:
        check(what, _separators(outside), CAPS.members, "members")
    if long:
        most = max(map(len, _digits(outside)), default=0)
        check(f"A number in {what}", most, CAPS.digits, "digits")
    if deep:
        check(what, _levels(outside), CAPS.depth, "levels")


def _separators(text: bytes) -> int:
    """Every member of a list or an object has one, and so has every name."""
    return sum(map(text.count, (b",", b":", b"[", b"{")))


def _levels(outside: bytes) -> int:
    """How deep brackets are nested; of what is too deep, that it is."""
    brackets = outside.translate(_SQUARE, _OTHERS)
    for level in range(CAPS.depth + 1):
        if not brackets:
            return level
        brackets = brackets.replace(b"[]", b"")
    return CAPS.depth + 1


def encode_object(members: Mapping[str, bytes]) -> bytes:
    """A JSON object of members that are JSON text already."""
    return b"{%b}" % b",".join([_to_bytes(key) + b":" + value for key, value in members.items()])


def decode(data: bytes) -> Any:
    """The value of JSON text.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        if len(data) > _LARGE:
            with collector_paused():
                return _decode(data)
        return _decode(data)
    except RecursionError as error:
        raise ValueError(f"JSON is nested too deeply: {error}") from error


async def decode_each(texts: Collection[bytes]) -> list[Any]:
    """The values of JSON texts. Of much, other tasks have their turn in between.

    Raises:
        ValueError: one is not JSON.
        RecursionError: one is nested too deeply.
    """
    if sum(map(len, texts)) <= _LARGE:
        return list(map(_decode, texts))
    return await in_pieces(decode, texts)
