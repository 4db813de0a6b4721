"""Cached snapshots of sessions, from which this process serves during an outage."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from sojourn.ids import SessionKey, UserKey
from sojourn.sessions.event_codec import chained, wanted
from sojourn.sessions.operations import Append, Create
from sojourn.sessions.store import (
    Change,
    Created,
    EventWindow,
    SessionHeader,
    SessionSnapshot,
    WriteResult,
)

_EACH = 1024
"""Bytes that a session takes besides its rows, estimated."""


class PendingRead:
    """A read that is under way, which may show less than what this process was told meanwhile.

    Replies come on two connections, and one read may take more round trips than the next.

    Attributes:
        least: the version that a session must have to be held.
        void: it was deleted, replaced or cut meanwhile: what is read is not held.
    """

    __slots__ = ("least", "void")

    def __init__(self) -> None:
        self.least = 0
        self.void = False


class OutageCache:
    """Sessions by key, bounded in bytes of their rows, least recently used first to go."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._sessions: OrderedDict[SessionKey, SessionSnapshot] = OrderedDict()
        self._looks: dict[SessionKey, list[PendingRead]] = {}

    @contextmanager
    def looking(self, key: SessionKey) -> Generator[PendingRead]:
        """Around a read, whose look `seen` wants."""
        look = PendingRead()
        looks = self._looks.setdefault(key, [])
        looks.append(look)
        try:
            yield look
        finally:
            looks.remove(look)
            if not looks:
                self._looks.pop(key, None)

    def get(self, key: SessionKey) -> SessionSnapshot | None:
        """A session as it was seen last with the rows held, unless it may have expired since."""
        held = self._sessions.get(key)
        if held is not None and held.head.expires is not None and held.head.expires <= time.time():
            return None
        return held

    def born(self, create: Create, born: Created) -> None:
        """Hold a session that was created."""
        head = SessionHeader(
            incarnation=create.operation_id,
            version=1,
            epoch=0,
            seq=0,
            dropped=0,
            created=born.created,
            updated=born.created,
            ttl=create.life.ttl,
            until=born.until,
            expires=born.expires,
        ).told(create.fields)
        if not born.repeated:
            stored = SessionSnapshot(head, create.state.session, born.user, born.app, [], 1)
            self.put(create.key, stored._replace(readable=born.readable))

    def seen(self, key: SessionKey, stored: SessionSnapshot, look: PendingRead) -> None:
        """Hold what was read, joined to the rows before it that are held already.

        But nothing older than what is held, or was.
        """
        if look.void or stored.head.version < look.least:
            return
        self._overtake(key, stored.head.version)
        held = self._sessions.get(key)
        if held is not None and _same_log(held.head, stored.head):
            first = stored.first if stored.rows else stored.head.seq + 1
            before = first - _first(held)
            if 0 <= before <= len(held.rows) and _goes_on(held, stored, first):
                replaced = held.rows[before:]
                held.rows[before:] = stored.rows
                self._size += _bytes(stored.rows) - _bytes(replaced)
                self._sessions[key] = stored._replace(rows=held.rows, first=_first(held))
                self._trim(key)
                return
        self._put(key, stored)

    def appended(self, append: Append, written: WriteResult) -> None:
        """Hold what was appended; where others wrote before it, only that, until a read."""
        key, rows, delta = append.key, append.rows, append.delta
        self._overtake(key, written.version)
        held = self._sessions.get(key)
        if held is None or written.repeated:
            return
        before = written.seq - len(rows)
        if written.version <= held.head.version:  # the answer to what came later was first
            place = before + 1 - _first(held)
            if not held.rows or place < 0:
                if delta.session or delta.user or delta.app:
                    self._discard(key)  # what came later may have set the same
            elif held.rows[place : place + len(rows)] != list(rows):
                self._discard(key)  # the server has gone back to an older state
            return
        others = written.version > held.head.version + 1  # they may have cut the log, too
        end = before if others else _first(held) + len(held.rows) - 1
        if others or before > end or not held.rows:  # never a log with a hole
            self._size -= _bytes(held.rows)
            held = held._replace(rows=[], first=before + 1)
        if before >= end:
            held.rows.extend(rows)
            self._size += _bytes(rows)
        else:
            self._discard(key)  # the server has gone back to an older state
            return
        head = held.head._replace(
            version=max(held.head.version, written.version),
            updated=append.updated,
            seq=max(end, written.seq),
            chain=chained(held.head.chain, rows),
            expires=_expiry(held.head),
        )
        self._sessions[key] = held._replace(
            head=head,
            state={**held.state, **delta.session},
            user={**held.user, **delta.user},
            app={**held.app, **delta.app},
        )
        self._trim(key)

    def changed(self, key: SessionKey, change: Change, written: WriteResult) -> None:
        """Hold what was updated; where others wrote before it, the next append is to notice."""
        counts = not change.is_touch
        self._overtake(key, written.version if counts else written.version + 1)
        held = self._sessions.get(key)
        if held is None or written.repeated:
            return
        next_one = held.head.version + 1
        version = next_one if counts and written.version == next_one else held.head.version
        head = held.head._replace(version=version).told(change.fields)
        if change.ttl != "keep":
            head = head._replace(ttl=change.ttl)
        if change.until != "keep":
            head = head._replace(until=change.until)
        self._sessions[key] = held._replace(head=head.from_now(time.time()))

    def put(self, key: SessionKey, stored: SessionSnapshot) -> None:
        """Hold a session, and forget others until it fits."""
        self.drop(key)
        self._put(key, stored)

    def _put(self, key: SessionKey, stored: SessionSnapshot) -> None:
        self._discard(key)
        rows = list(stored.rows)
        self._sessions[key] = stored._replace(rows=rows)
        self._size += _EACH + _bytes(rows)
        self._trim(key)

    def forget(self, owner: UserKey) -> None:
        """Forget all sessions of a user."""
        for key in [key for key in (*self._sessions, *self._looks) if key.owner == owner]:
            self.drop(key)

    def drop(self, key: SessionKey) -> None:
        """Forget a session, and what reads show that are under way."""
        for look in self._looks.get(key, ()):
            look.void = True
        self._discard(key)

    def _overtake(self, key: SessionKey, version: int) -> None:
        """Reads that are under way may be older than what is known now."""
        for look in self._looks.get(key, ()):
            look.least = max(look.least, version)

    def _discard(self, key: SessionKey) -> None:
        if gone := self._sessions.pop(key, None):
            self._size -= _EACH + _bytes(gone.rows)

    def _trim(self, key: SessionKey) -> None:
        self._sessions.move_to_end(key)
        while self._size > self._limit:
            self._discard(next(iter(self._sessions)))


def window_of(held: SessionSnapshot, window: EventWindow) -> SessionSnapshot:
    """What a read of a held session gives: the rows asked for, as far as they are held."""
    first, places = _first(held), wanted(held.head, window)
    skip = max(0, places.start + held.head.dropped + 1 - first)
    rows = held.rows[skip:]
    return held._replace(rows=rows, first=first + skip, complete=len(rows) == len(places))


def _first(held: SessionSnapshot) -> int:
    """The number of the first row held, or of the next to come."""
    return held.first if held.rows else held.head.seq + 1


def _same_log(held: SessionHeader, now: SessionHeader) -> bool:
    return (held.incarnation, held.epoch) == (now.incarnation, now.epoch)


def _goes_on(held: SessionSnapshot, stored: SessionSnapshot, first: int) -> bool:
    """Whether the log read is the one held and what was appended to it, and not an older one."""
    behind = stored.rows[max(0, held.head.seq + 1 - first) :]
    return stored.head.chain in (None, chained(held.head.chain, behind))


def _expiry(head: SessionHeader) -> float | None:
    """When a session that was just appended to expires at the earliest."""
    if head.expires is None or head.ttl is None:
        return head.expires
    expires = max(head.expires, time.time() + head.ttl)
    return expires if head.until is None else min(expires, head.until)


def _bytes(rows: Sequence[bytes]) -> int:
    return sum(map(len, rows))
