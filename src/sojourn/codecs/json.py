"""JSON that a human can read, and that refuses what it would lose."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from sojourn.errors import InvalidValue

_to_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_decode = msgspec.json.Decoder().decode


def encode(value: Any, what: str) -> bytes:
    """A value as JSON text in UTF-8. Tuples become lists and the keys of dicts text, as in JSON.

    Args:
        value: what to encode.
        what: names the value in an error.

    Raises:
        InvalidValue: JSON cannot hold it: an object of some class, bytes, a set, NaN, text that is
            not Unicode, something that contains itself.
    """
    try:
        return _to_text(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(
            f"{what} cannot be stored as JSON: {error}. Use text, numbers, booleans, None, lists "
            "and dicts."
        ) from error


def decode(data: bytes) -> Any:
    """The value of JSON text.

    Raises:
        ValueError: it is not JSON.
    """
    return _decode(data)
