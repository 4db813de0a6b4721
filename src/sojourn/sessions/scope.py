"""Scopes of state keys: `app:`, `user:`, `temp:`, or the session's. As ADK defines them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

APP, USER, TEMP = "app:", "user:", "temp:"

V = TypeVar("V")


class Scoped(NamedTuple, Generic[V]):
    """State by scope; keys without their prefix."""

    session: dict[str, V]
    user: dict[str, V]
    app: dict[str, V]


def split(state: Mapping[str, V]) -> Scoped[V]:
    """Sort the keys of a state by scope. `temp:` keys belong to nobody and fall away."""
    parts: Scoped[V] = Scoped({}, {}, {})
    for key, value in state.items():
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
