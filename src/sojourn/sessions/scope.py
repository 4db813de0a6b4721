"""Whose state a key is: `app:`, `user:`, `temp:`, or the session's. As ADK defines them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

APP, USER, TEMP = "app:", "user:", "temp:"

V = TypeVar("V")


class Delta(NamedTuple):
    """A state delta by scope; keys without their prefix."""

    session: dict[str, Any]
    user: dict[str, Any]
    app: dict[str, Any]


def split(delta: Mapping[str, Any]) -> Delta:
    """Sort the keys of a delta by scope. `temp:` keys belong to nobody and fall away."""
    parts = Delta({}, {}, {})
    for key, value in delta.items():
        if key.startswith(APP):
            parts.app[key.removeprefix(APP)] = value
        elif key.startswith(USER):
            parts.user[key.removeprefix(USER)] = value
        elif not key.startswith(TEMP):
            parts.session[key] = value
    return parts


def merge(session: Mapping[str, V], user: Mapping[str, V], app: Mapping[str, V]) -> dict[str, V]:
    """The state that an agent sees: the session's with its user's and its app's, prefixed."""
    merged = dict(session)
    merged.update((APP + key, value) for key, value in app.items())
    merged.update((USER + key, value) for key, value in user.items())
    return merged
