"""Parsers for source data, as text and JSON only: no value is ever executed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, cast

from sojourn.codecs import encode
from sojourn.errors import InvalidInput
from sojourn.sessions import Event

_PICKLE = b"\x80"
_NEWEST_PICKLE = 5
_MILLISECONDS = 10**11
"""A number of seconds that no time in this millennium has."""


class NotReadable(ValueError):
    """A value of a source cannot be taken along; the message is the reason, in a clause."""


def as_json(data: object) -> Any:
    """A value that JSON text holds.

    Raises:
        NotReadable: it is none.
    """
    if isinstance(data, bytes):
        if data[:1] == _PICKLE and data[1:2] and data[1] <= _NEWEST_PICKLE:
            raise NotReadable("`pickle` data: never loaded")
        try:
            data = data.decode()
        except UnicodeDecodeError:
            raise NotReadable("not JSON but binary data") from None
    if not isinstance(data, str):
        raise NotReadable(f"not JSON but {type(data).__name__}")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise NotReadable("not JSON") from None


def as_object(data: object) -> dict[str, Any]:
    """A JSON object.

    Raises:
        NotReadable: it is none.
    """
    found = as_json(data)
    if not isinstance(found, dict):
        raise NotReadable("JSON, but no object")
    return cast("dict[str, Any]", found)


def keepable(value: object, what: str) -> Any:
    """The value, when Sojourn can keep it.

    Raises:
        NotReadable: it holds NaN, or text that is no Unicode.
    """
    try:
        encode(value, what)
    except InvalidInput as error:
        raise NotReadable(str(error).partition(". Use ")[0].rstrip(".")) from error
    return value


def mapping(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A member that is an object; empty when it is missing or null.

    Raises:
        NotReadable: it is something else, or cannot be kept.
    """
    value = found.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NotReadable(f"its {name} is no object")
    return cast("dict[str, Any]", keepable(cast("dict[str, Any]", value), f"Its {name}"))


def sequence(found: Mapping[str, Any], name: str) -> list[Any]:
    """A member that is an array; empty when it is missing or null.

    Raises:
        NotReadable: it is something else.
    """
    value = found.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise NotReadable(f"its {name} is no array")
    return cast("list[Any]", value)  # type: ignore[redundant-cast]


def word(found: Mapping[str, Any], name: str) -> str:
    """A member as text; empty when it is missing or null."""
    value = found.get(name)
    return "" if value is None else str(keepable(value, f"Its {name}"))


def moment(value: object) -> float | None:
    """A time as seconds since the epoch: of a number, or of ISO 8601, which is UTC if not said.

    None for everything else.
    """
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, str):
        try:
            return moment(datetime.fromisoformat(value))
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value / 1000 if value > _MILLISECONDS else float(value)
    return None


def made_id(where: str, place: int, content: object) -> str:
    """The id of an event that has none: the same whenever it is read."""
    text = json.dumps([where, place, content], sort_keys=True)
    return blake2b(text.encode(), digest_size=16).hexdigest()


def message(where: str, place: int, found: object, time: float | None) -> list[Event]:
    """What stands in a history, as messages.

    Role and content become a message, the rest its metadata; question and response become two.
    Anything else is a message of `unknown` as it stands.

    Args:
        where: the history.
        place: which of its entries, from 0.
        found: the entry.
        time: when it happened if the entry does not say.

    Raises:
        NotReadable: it cannot be kept.
    """
    keepable(found, f"Entry {place}")
    entry = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    at = next((t for name in _TIMES if (t := moment(entry.get(name))) is not None), time) or 0.0
    known = entry.get("id")
    said = _said(entry) or [("unknown", {"content": entry or found})]
    return [
        Event(
            author=role,
            payload=payload,
            id=known
            if isinstance(known, str) and known and len(said) == 1
            else made_id(where, place, [role, payload]),
            time=at,
        )
        for role, payload in said
    ]


_TIMES = ("timestamp", "time", "created_at")


def _said(entry: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Who said what, with its metadata; nothing when the entry does not tell."""
    role = entry.get("role")
    if isinstance(role, str) and role and "content" in entry:
        rest = _without(entry, "role", "content", "id")
        return [(role, _payload(entry["content"], rest))]
    if "question" in entry and "response" in entry:
        rest = _without(entry, "question", "response")
        return [
            ("user", _payload(entry["question"], {})),
            ("assistant", _payload(entry["response"], rest)),
        ]
    return []


def _payload(content: object, rest: dict[str, Any]) -> dict[str, Any]:
    """A message; what is its metadata and what stands beside it become one."""
    given = rest.pop("metadata", None)
    metadata = {**rest, **(cast("dict[str, Any]", given) if isinstance(given, dict) else {})}
    if given is not None and not isinstance(given, dict):
        metadata["metadata"] = given
    return {"content": content, "metadata": metadata} if metadata else {"content": content}


def _without(entry: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in names}
