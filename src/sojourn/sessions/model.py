"""Values of the sessions room: frozen, and independent of the store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from os import urandom
from typing import Any, Generic, TypeVar

import msgspec

from sojourn.ids import SessionKey, UserKey
from sojourn.sessions.record import SessionRecord

E = TypeVar("E")


def _new_event_id() -> str:
    return urandom(16).hex()


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened in a session.

    Attributes:
        author: the source of the event: `user`, or the name of an agent.
        payload: its content, as JSON: text, numbers, booleans, None, lists, dicts.
        kind: the type of the payload; `message` by default.
        id: its id; made if not given.
        time: when it happened, seconds since the epoch; now if not given.
        state_delta: state that it sets. `user:` and `app:` keys go to the state of the user and of
            the app, `temp:` keys are not stored; a value replaces, it never merges.
        seq: its place in the log, from 1; 0 until it is stored.
    """

    author: str
    payload: Any
    kind: str = "message"
    id: str = msgspec.field(default_factory=_new_event_id)
    time: float = msgspec.field(default_factory=time.time)
    state_delta: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    seq: int = 0


class Session(SessionRecord, Generic[E], frozen=True, kw_only=True):
    """A session as it stood at one instant, with the fields of `SessionRecord`.

    Attributes:
        key: its identity.
        incarnation: differs between two sessions that had the same identity one after the other.
        version: counts its changes, from 1.
        created: seconds since the epoch.
        updated: the time of its last event or change, seconds since the epoch.
        ttl: seconds that it lives after each change at least, and a hundredth more at most; None is
            for ever.
        until: when it expires at the latest, seconds since the epoch; None sets no such end.
        expires: when it expires, seconds since the epoch; None is never.
        state: its state merged with its user's (`user:…`) and its app's (`app:…`).
        events: those that were asked for, oldest first.
        length: how many events the log has had; the last one has this `seq`.
        complete: False when something that was asked for is missing on the server or cannot be
            read: events, state, metadata. Unreadable records are in the quarantine.
        durable: False when the server could not be reached and this process answered from its
            outage buffer (`on_outage="buffer"`): others may have written since.
    """

    key: SessionKey
    incarnation: str
    version: int
    created: float
    updated: float
    ttl: float | None
    until: float | None
    expires: float | None
    state: dict[str, Any]
    events: list[E]
    length: int
    complete: bool = True
    durable: bool = True


class Appended(msgspec.Struct, frozen=True):
    """The result of an append.

    Attributes:
        version: the session's version after it.
        seqs: the places of the events in the log; empty when `repeated`.
        repeated: it had been applied before, and was not applied again.
        durable: False when the server could not be reached and the outage buffer of this process
            holds the events (`on_outage="buffer"`); version and seqs are then provisional.
    """

    version: int
    seqs: range
    repeated: bool = False
    durable: bool = True


class Rotated(msgspec.Struct, frozen=True):
    """The result of a rotation.

    Attributes:
        key: the session's identity from now on.
        incarnation: its incarnation from now on.
        repeated: it had been done before, and this is its earlier result.
    """

    key: SessionKey
    incarnation: str
    repeated: bool = False


class SessionPage(msgspec.Struct, frozen=True):
    """A page of sessions, with state and without events.

    Attributes:
        sessions: oldest update first within a user.
        cursor: where the next page starts; None after the last.
        corrupt: sessions between those that cannot be read; their records are in the quarantine.
        newer: sessions between those that a newer version of Sojourn wrote in a way that this one
            cannot read; `get` raises `NewerFormat` for them.
        corrupt_users: in a page of an app, users whose index is a key of another type: which
            sessions they have cannot be known.
    """

    sessions: list[Session[Any]]
    cursor: str | None
    corrupt: list[SessionKey] = msgspec.field(default_factory=list[SessionKey])
    newer: list[SessionKey] = msgspec.field(default_factory=list[SessionKey])
    corrupt_users: list[UserKey] = msgspec.field(default_factory=list[UserKey])


class LogPage(msgspec.Struct, frozen=True):
    """A page of the events of a session.

    Attributes:
        events: oldest first.
        length: how many events the log has had; the last one has this `seq`.
        first: the number of the first one that is still there.
        version: of the session; `incarnation` likewise.
        epoch: another one is another log: events were replaced, or dropped at its end.
        seqs: the numbers that were looked at: more than there are events when some cannot be read.
    """

    events: list[Event]
    length: int
    first: int
    version: int
    incarnation: str
    epoch: int
    seqs: range

    @property
    def complete(self) -> bool:
        """Whether all of its events can be read; the others are in the quarantine."""
        return len(self.events) == len(self.seqs)


class EventHit(msgspec.Struct, frozen=True):
    """An event that a search has found.

    Attributes:
        session: the id of its session.
        seq: its place in the log.
        id: its id.
        time: when it happened, seconds since the epoch.
        author: its source.
        snippet: some of its text around the first word found, in one line. It is content.
    """

    session: str
    seq: int
    id: str
    time: float
    author: str
    snippet: str


class SearchPage(msgspec.Struct, frozen=True):
    """A page of events that a search has found.

    Attributes:
        hits: newest first within a session; sessions with the latest change first.
        cursor: where the search goes on; None when all was looked at.
        partial: its time was over before it had as many as were asked for.
        skipped: sessions that cannot be read here: corrupt, of a newer version, or sealed with a
            key that this process has not.
    """

    hits: list[EventHit]
    cursor: str | None
    partial: bool = False
    skipped: list[SessionKey] = msgspec.field(default_factory=list[SessionKey])


class NamePage(msgspec.Struct, frozen=True):
    """A page of apps or of users.

    Attributes:
        names: in no promised order.
        cursor: where the next page starts; None after the last.
    """

    names: list[str]
    cursor: str | None


class Swept(msgspec.Struct, frozen=True):
    """The result of a sweep.

    Attributes:
        users: how many users it looked at.
        expired: sessions that had expired and were still listed.
        dropped: listed sessions that were gone before their time.
        restored: sessions that an index had lost.
        carried: deltas of `app:` state that were finished for a client that had died.
        corrupt: users whose indexes are keys of another type; a list of their sessions says more.
        cursor: where the next sweep goes on; None when all users of the app were looked at.
    """

    users: int
    expired: int
    dropped: int
    restored: int
    carried: int
    corrupt: int
    cursor: str | None


class Revoked(msgspec.Struct, frozen=True):
    """The result of a revocation.

    Attributes:
        users: how many users it looked at.
        sessions: sessions that are gone now.
        artifacts: their artifacts, each with all of its versions.
        cursor: where the next one goes on; None at the end.
    """

    users: int
    sessions: int
    artifacts: int
    cursor: str | None


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be read, as it stood.

    Attributes:
        id: names it in the quarantine of its user.
        key: the key on the server that held it.
        field: the field of a hash, the `seq` of an event, the name in an index; empty for a whole
            key.
        reason: what was wrong.
        time: when it was put here, seconds since the epoch.
        size: bytes that it had; 0 when it was missing.
        raw: its bytes, the first 8 MiB of them; a key of another type that is not a string as
            the server's DUMP gives it.
    """

    id: str
    key: str
    field: str
    reason: str
    time: float
    size: int
    raw: bytes
