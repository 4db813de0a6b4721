"""JSON that a human can read, and that refuses what it would lose."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from sojourn.errors import InvalidValue

_to_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_to_bytes = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_PLAIN = frozenset({str, int, bool, type(None)})
"""Types of which JSON loses nothing: the fast encoder may have them."""


def encode(value: Any, what: str) -> bytes:
    """A value as JSON text in UTF-8. Tuples become lists and the keys of dicts text, as in JSON.

    Args:
        value: what to encode; `msgspec.Raw` is JSON text already.
        what: names the value in an error.

    Raises:
        InvalidValue: JSON cannot hold it: an object of some class, bytes, a set, NaN, text that is
            not Unicode, something that contains itself.
    """
    try:
        if type(value) in _PLAIN:
            return _to_bytes(value)
        if isinstance(value, msgspec.Raw):
            return bytes(value)
        return _to_text(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(
            f"{what} cannot be stored as JSON: {error}. Use text, numbers, booleans, None, lists "
            "and dicts."
        ) from error


def encode_object(members: Mapping[str, bytes]) -> bytes:
    """A JSON object of members that are JSON text already."""
    return b"{%b}" % b",".join([_to_bytes(key) + b":" + value for key, value in members.items()])


def decode(data: bytes) -> Any:
    """The value of JSON text.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        return _decode(data)
    except RecursionError as error:
        raise ValueError(f"JSON is nested too deeply: {error}") from error
