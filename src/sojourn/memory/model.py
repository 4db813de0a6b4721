"""Values of the memory room: frozen, and independent of the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from sojourn.ids import AppName, UserId, UserKey

Keep = Literal["keep"]
KEEP: Final[Keep] = "keep"
"""The lifetime of the scope."""

Kind = Literal["user", "agent", "knowledge", "sessions", "events"]

OF_USERS: Final[tuple[Kind, ...]] = ("user", "sessions", "events")
"""Kinds whose names are users."""


class ScopeKey(NamedTuple):
    """Whose memory it is: the unit of locality, one slot in a Cluster."""

    app: AppName
    kind: Kind
    name: str

    @property
    def owner(self) -> UserKey | None:
        """Whose it is; None for what agents know, and for shared knowledge."""
        return UserKey(self.app, UserId(self.name)) if self.kind in OF_USERS else None


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An entry to be stored under a key.

    Attributes:
        value: JSON.
        text: what is searched instead of the texts in the value; None for those.
        metadata: JSON of the application's, not searched.
        unless: the key of an entry that keeps this one from being stored; None for no such.
    """

    value: Any
    text: str | None = None
    metadata: Mapping[str, Any] | None = None
    unless: str | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry under a key, as it was at one instant.

    Attributes:
        key: its name in its scope.
        value: JSON.
        version: grows with every change, and never comes again in its scope.
        created: seconds since the epoch.
        updated: seconds since the epoch.
        expires: when it is forgotten, seconds since the epoch; None is never.
        metadata: JSON of the application's.
        text: what is searched instead of the texts in the value; None when none was given.
        tenant: whose it is among the tenants of the scope; empty for nobody's in particular.
    """

    key: str
    value: Any
    version: int
    created: float
    updated: float
    expires: float | None
    metadata: dict[str, Any]
    text: str | None = None
    tenant: str = ""


class Hit(msgspec.Struct, frozen=True):
    """A result of a search.

    Attributes:
        entry: the entry.
        score: above zero; to be compared within one search only.
    """

    entry: Entry
    score: float


class MemoryPage(msgspec.Struct, frozen=True):
    """A page of entries.

    Attributes:
        entries: in the order of their keys; of `latest`, the newest change first.
        cursor: where the next page starts; None after the last.
        corrupt: keys between those whose entries cannot be read; deleting them removes them.
        newer: keys between those whose entries this process cannot decode, though they are sound: a
            newer version of Sojourn wrote them, or they are sealed with a key that it lacks.
    """

    entries: list[Entry]
    cursor: str | None
    corrupt: list[str] = msgspec.field(default_factory=list[str])
    newer: list[str] = msgspec.field(default_factory=list[str])


class ScopePage(msgspec.Struct, frozen=True):
    """A page of those who have entries.

    Attributes:
        names: users, agents or categories, in no promised order.
        cursor: where the next page starts; None after the last.
    """

    names: list[str]
    cursor: str | None
