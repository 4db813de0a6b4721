"""The index of sessions by last change: updated in the background, at most a minute late."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sojourn.calls.call import Argument, Call, only
from sojourn.codecs import encode
from sojourn.ids import AppName, SessionKey, escape, unescape
from sojourn.sessions.keys import RecentKeys, SessionRoomKeys
from sojourn.sessions.replies import ms
from sojourn.sessions.scripts import load
from sojourn.sessions.store import IndexEntry, Label, SessionHeader

if TYPE_CHECKING:
    from sojourn.engine.engine import Engine

_RECENT = load("recent")

_LATE = 60.0
"""Seconds for which a session that changes is not entered again."""
_REMEMBERED = 10_000
"""Sessions of which a process remembers when it last entered them."""


class Recent:
    """Enters the changes of one process, over an engine."""

    def __init__(self, engine: Engine, keys: SessionRoomKeys) -> None:
        self._engine = engine
        self._keys = keys
        self._entered: OrderedDict[SessionKey, float] = OrderedDict()
        self._losses = 0

    def changed(self, entry: IndexEntry) -> None:
        """Enter a session, unless this process did so in the last minute; nobody waits for it."""
        if self.is_due(entry.key):
            self.enter(entry)

    def is_due(self, key: SessionKey) -> bool:
        """Whether this process did not enter a session in the last minute."""
        if self._losses != self._engine.tally.broken:  # on a server that may have lost it since
            self._losses = self._engine.tally.broken
            self._entered.clear()
        return self._entered.get(key, 0.0) < time.monotonic()

    def enter(self, *entries: IndexEntry) -> None:
        """Enter sessions of one user now, or take them out; nobody waits for it."""
        for entry in entries:
            if entry.updated == b"":
                self._entered.pop(entry.key, None)
            else:
                self._entered[entry.key] = time.monotonic() + _LATE
                self._entered.move_to_end(entry.key)
        while len(self._entered) > _REMEMBERED:
            self._entered.popitem(last=False)
        keys = self._keys.recent_of(entries[0].key)
        self._engine.send_nowait(self.call(keys, entries), lost=lambda: self._lost(entries))

    def call(self, keys: RecentKeys, entries: Sequence[IndexEntry]) -> Call[int]:
        """Enter sessions into a shard or take them out; gives how many went out."""
        args: list[Argument] = []
        for key, *rest in entries:
            args += [name_of(key), *rest]
        return Call("sessions.recent", keys, only, script=_RECENT, args=args)

    def _lost(self, entries: Sequence[IndexEntry]) -> None:
        for entry in entries:
            self._entered.pop(entry.key, None)


def entry_of(key: SessionKey, head: SessionHeader, former: bytes = b"") -> IndexEntry:
    """What a session is that was read."""
    labels = head.fields.get("labels", b"")
    return IndexEntry(key, head.updated, ms(head.expires), labels, former)


def name_of(key: SessionKey) -> str:
    """What a session is called in the index of its app."""
    return f"{escape(key.user)}:{escape(key.session)}"


def as_json(label: Label | None) -> bytes:
    """A label as scripts take it; empty for none."""
    return b"" if label is None else encode(dict([label]), "The label")


def named(app: AppName, name: str) -> SessionKey | None:
    """The session that the index of an app calls so."""
    user, colon, session = name.partition(":")
    try:
        return SessionKey.of(app, unescape(user), unescape(session)) if colon else None
    except ValueError:
        return None
