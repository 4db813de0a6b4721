"""Sessions in this process: the same contract and answers as on a server, and no network.

Nothing is awaited between a check and its write, so each operation is one atomic step of the loop.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from sojourn.calls.operation import Operation
from sojourn.caps import CAPS
from sojourn.codecs.codec import plain_size
from sojourn.errors import SessionNotFound, TooLarge
from sojourn.ids import SessionKey, UserKey
from sojourn.resilience.atomic import atomic
from sojourn.sessions import refusals
from sojourn.sessions.event_codec import ids_of
from sojourn.sessions.store import (
    Created,
    Delta,
    Pairs,
    RotateResult,
    SessionHeader,
    SessionSnapshot,
    WriteOptions,
    WriteResult,
)
from sojourn.sessions.tombstones import TombstoneReason, TombstoneTarget

R = TypeVar("R")
V = TypeVar("V")

_STORED = "it is as before, and the event or session that set it is stored"

Told = Literal["created", "appended", "updated", "trimmed", "deleted", "expired"]

HORIZON = 1000
"""How many operation ids of a session are remembered."""


@dataclass(slots=True)
class SessionInMemory:
    """A session, and what is remembered of its writes."""

    head: SessionHeader
    state: dict[str, bytes]
    place: float
    rows: list[bytes] = field(default_factory=list[bytes])
    ids: dict[str, int] = field(default_factory=dict[str, int])
    operations: OrderedDict[str, int] = field(default_factory=OrderedDict[str, int])


@dataclass(slots=True)
class SharedStateInMemory:
    """State that sessions share, with its own lifetime."""

    values: dict[str, bytes] = field(default_factory=dict[str, bytes])
    expires: float | None = None


@atomic
class InMemorySessions:
    """Sessions in this process, gone with it. Public attributes are for operations.

    Args:
        state_ttl: seconds that user and app state outlive their last touch; None for ever.
        max_state_bytes: cap of a state.
        max_events: cap of a log; None for none.
        max_sessions: cap of a user's sessions; None for none.
        clock: seconds since the epoch.
        told: told of every change: whose, what was done, and the version after it.
    """

    def __init__(
        self,
        *,
        state_ttl: float | None,
        max_state_bytes: int,
        max_events: int | None,
        max_sessions: int | None = None,
        clock: Callable[[], float] = time.time,
        told: Callable[[SessionKey, Told, int], None] | None = None,
    ) -> None:
        self.tell = told or _nobody
        self._state_ttl = state_ttl
        self._cap = max_state_bytes
        self.max_events = max_events
        self._max_sessions = max_sessions
        self.now = clock
        self.sessions: dict[SessionKey, SessionInMemory] = {}
        self.shared_state: dict[UserKey | str, SharedStateInMemory] = {}
        self.operations: dict[UserKey, OrderedDict[str, RotateResult | None]] = {}
        self.tombstones: dict[tuple[TombstoneTarget, TombstoneReason], float] = {}
        self.staged: dict[tuple[SessionKey, str], list[bytes]] = {}

    async def run(self, operation: Operation[R]) -> R:
        """As `RoomStore`."""
        return await operation.in_memory(self)

    def apps_of(self, user: str) -> set[str]:
        """The apps in which something is kept of a user."""
        owners = {key.owner for key in self.sessions} | set(self.operations)
        owners |= {key for key in self.shared_state if isinstance(key, UserKey)}
        return {owner.app for owner in owners if owner.user == user}

    # ── going on with what was loaded elsewhere ───────────────────────────────────────────────

    def adopt(self, key: SessionKey, stored: SessionSnapshot) -> None:
        """Hold a session as a store gave it. Its log begins with the first row that came along."""
        head = stored.head._replace(dropped=stored.head.seq - len(stored.rows))
        rows = list(stored.rows)
        ids = ids_of(rows, head.dropped + 1)
        self.sessions[key] = SessionInMemory(head, dict(stored.state), head.updated, rows, ids)
        for name, values in ((key.owner, stored.user), (key.app, stored.app)):
            if not self.values(name):
                self.shared_state[name] = SharedStateInMemory(dict(values), self._shared_expiry())

    def head(self, key: SessionKey) -> SessionHeader | None:
        """The fields of a session, or None when there is none."""
        session = self.alive(key)
        return None if session is None else session.head

    def clear(self) -> None:
        """Forget everything."""
        self.sessions.clear()
        self.shared_state.clear()
        self.operations.clear()

    # ── steps ──────────────────────────────────────────────────────────────────────────────────

    def put(
        self, key: SessionKey, head: SessionHeader, state: Pairs, place: float
    ) -> SessionInMemory:
        """Put a session without rows at a key."""
        session = self.sessions[key] = SessionInMemory(head, dict(state), place)
        return session

    def keys_of(self, owner: UserKey) -> list[SessionKey]:
        """The keys of a user's sessions, expired ones among them."""
        return [key for key in self.sessions if key.owner == owner]

    def remember(
        self, key: SessionKey, what: str, operation_id: str, done: RotateResult | None = None
    ) -> None:
        """Remember an operation on a session beyond its life, and what it has done."""
        past = self.operations.setdefault(key.owner, OrderedDict())
        _remember(past, _named(what, key, operation_id), done)

    def did(self, key: SessionKey, what: str, operation_id: str) -> bool:
        """Whether an operation is remembered."""
        return _named(what, key, operation_id) in self.operations.get(key.owner, ())

    def done(self, key: SessionKey, what: str, operation_id: str) -> RotateResult | None:
        """What a remembered operation has done."""
        past = self.operations.get(key.owner)
        return None if past is None else past.get(_named(what, key, operation_id))

    def check_operation(self, key: SessionKey, operation_id: str, *kinds: str) -> None:
        """Refuse an operation that has made a session before, which is gone since."""
        if any(self.did(key, kind, operation_id) for kind in kinds):
            raise refusals.gone(key)

    def check_version(self, key: SessionKey, head: SessionHeader, write: WriteOptions) -> None:
        """Refuse a write that expects another version."""
        if write.expected is not None and write.expected != head.version:
            raise refusals.stale(key, actual=head.version, expected=write.expected)

    def born(self, key: SessionKey, head: SessionHeader) -> Created:
        """What a create tells of a session."""
        user, app = dict(self.values(key.owner)), dict(self.values(key.app))
        return Created(head.created, head.expires, head.until, user, app)

    def alive(self, key: SessionKey) -> SessionInMemory | None:
        """A session that has not expired; None when there is none."""
        session = self.sessions.get(key)
        if session is None or session.head.expires is None:
            return session
        if session.head.expires > self.now():
            return session
        del self.sessions[key]
        self.tell(key, "expired", 0)
        return None

    def writable(self, key: SessionKey, write: WriteOptions) -> SessionInMemory:
        """A session that a write may change."""
        session = self.alive(key)
        if session is None or write.incarnation not in ("", session.head.incarnation):
            raise self.missing(key, write)
        return session

    def missing(self, key: SessionKey, write: WriteOptions) -> SessionNotFound:
        """Why there is no such session."""
        if write.incarnation and self.did(key, "rotated-from", write.incarnation):
            return refusals.rotated(key)
        return refusals.missing(key)

    def changed(self, session: SessionInMemory, name: str, **fields: Any) -> WriteResult:
        """Count a change, and remember its operation."""
        head, now = session.head, self.now()
        if head.expires is None or head.ttl is None or head.expires < now + head.ttl:
            head = head.from_now(now)
        session.head = head._replace(version=head.version + 1, **fields)
        session.place = max(session.place, session.head.updated)
        _remember(session.operations, name, session.head.version)
        return WriteResult(session.head.version, session.head.seq, repeated=False)

    def check_room(self, key: SessionKey) -> None:
        """Refuse one session more than a user may have."""
        if self._max_sessions is None:
            return
        ours = [each for each in self.sessions if each.owner == key.owner]
        count = sum(self.alive(each) is not None for each in ours)
        if count >= self._max_sessions:
            raise refusals.full(key, count)

    def values(self, name: UserKey | str) -> dict[str, bytes]:
        """The state of a user or an app."""
        shared = self.shared_state.get(name)
        if shared is None:
            return {}
        if shared.expires is not None and shared.expires <= self.now():
            del self.shared_state[name]
            return {}
        return shared.values

    def touch(self, name: UserKey | str) -> dict[str, bytes]:
        """The same, which is thereby kept for longer."""
        values = self.values(name)
        if values:
            self.shared_state[name].expires = self._shared_expiry()
        return dict(values)

    def _shared_expiry(self) -> float | None:
        return None if self._state_ttl is None else self.now() + self._state_ttl

    def set_shared(self, key: SessionKey, delta: Delta) -> None:
        """Set state of a user and an app."""
        names: tuple[tuple[UserKey | str, Pairs], ...] = (
            (key.owner, delta.user),
            (key.app, delta.app),
        )
        for name, pairs in names:
            if name == key.app:  # on a server the app's state is a step of its own, after the rest
                self.check("app state", self.values(key.app), pairs, _STORED)
            if pairs:
                values = {**self.values(name), **pairs}
                self.shared_state[name] = SharedStateInMemory(values, self._shared_expiry())

    def check(
        self,
        what: str,
        old: Pairs,
        new: Pairs,
        left: str = "nothing was written",
        cap: int | None = None,
    ) -> None:
        """Refuse state that is over a cap."""
        most = self._cap if cap is None else cap
        size = _size({**old, **new})
        if new and size > most:
            raise TooLarge(
                f"The {what}", size, most, "max_state_bytes" if cap is None else "", left
            )
        keys = len({*old, *new})
        if len(old) < keys > CAPS.state_keys:
            raise TooLarge(f"The {what}", keys, CAPS.state_keys, "", left, unit="keys")


def _nobody(_key: SessionKey, _what: Told, _version: int) -> None:
    pass


def _size(pairs: Pairs) -> int:
    return sum(len(name.encode()) + plain_size(value) for name, value in pairs.items())


def _named(what: str, key: SessionKey, operation: str) -> str:
    return f"{what}:{len(key.session)}:{key.session}:{operation}"


def _remember(operations: OrderedDict[str, V], name: str, value: V) -> None:
    operations[name] = value
    if len(operations) > HORIZON:
        operations.popitem(last=False)
