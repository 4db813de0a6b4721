"""The near-cache: events that this process has already decoded.

An entry is used only after the server has said that the log is still the same and only longer:
same incarnation, same epoch, the last known rows are byte for byte the same when read again, and
the sum of all rows equals that of the known rows and the rows after them. So a log that was
restored from a backup, where writers have repeated their last writes, is read again; so is a log
that was read before a connection was lost.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from sojourn.ids import SessionKey, UserKey
from sojourn.sessions.event_codec import chained
from sojourn.sessions.store import SessionHeader, SessionSnapshot

_DECODED = 6
"""How many times larger an event is as objects than as JSON, as measured on ADK's."""

_LARGE = 16_384
"""Bytes of a row that is not read again beside the last one."""

_EACH = 2048
"""Bytes that even the smallest event takes as objects, with its share of the cache's own."""


class Known(NamedTuple):
    """A run of decoded events that ends with the rows `tail`.

    Attributes:
        head: the session's fields when the run was read.
        first: seq of the first event.
        events: the decoded events.
        tail: the bytes of the last one or two.
        size: estimated bytes of memory.
        losses: how many connections had been lost before it was read.
    """

    head: SessionHeader
    first: int
    events: list[Any]
    tail: Sequence[bytes]
    size: int
    losses: int = 0

    @property
    def tail_index(self) -> int:
        """Where the tail begins in the list on the server."""
        return self.head.seq - self.head.dropped - len(self.tail)

    def covers(self, last: int | None) -> bool:
        """Whether the run, once brought up to date, holds the last `last` events (None: all)."""
        if last is not None and len(self.events) >= last:
            return True
        return self.first == self.head.dropped + 1

    def continued_by(self, stored: SessionSnapshot) -> bool:
        """Whether the rows read are this run's tail and what came after it."""
        before, now = self.head, stored.head
        return (
            stored.complete
            and stored.durable
            and (now.incarnation, now.epoch, now.dropped)
            == (before.incarnation, before.epoch, before.dropped)
            and stored.first == before.seq - len(self.tail) + 1
            and stored.rows[: len(self.tail)] == self.tail
            and (
                now.chain is before.chain is None
                or now.chain == chained(before.chain, stored.rows[len(self.tail) :])
            )
        )


class NearCacheStats(NamedTuple):
    """Figures of the near-cache since the store was opened.

    Attributes:
        hits: reads that decoded only what was new.
        misses: reads that decoded everything they returned.
        sessions: entries now.
        size: estimated bytes now.
        limit: bytes that it may have; the least recently used goes first.
    """

    hits: int
    misses: int
    sessions: int
    size: int
    limit: int


class NearCache:
    """Runs of decoded events by session, bounded in bytes, least recently used first to go.

    Several threads may use it, each with an event loop of its own.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._runs: OrderedDict[tuple[SessionKey, str], Known] = OrderedDict()
        self._size = 0
        self._hits = 0
        self._misses = 0

    def find(self, key: SessionKey, view: str) -> Known | None:
        """The run of a session in one view, unverified."""
        with self._lock:
            known = self._runs.get((key, view))
            if known is not None:
                self._runs.move_to_end((key, view))
            return known

    def hit(self) -> None:
        """Count a read that an entry has served."""
        self._hits += 1

    def miss(self) -> None:
        """Count a read that decoded everything."""
        self._misses += 1

    def keep(self, key: SessionKey, view: str, known: Known) -> None:
        """Remember a run, and forget others until it fits. One that could never fit is not kept."""
        with self._lock:
            self._drop(key, view)
            if known.size > self._limit or not known.events:
                return
            self._runs[key, view] = known
            self._size += known.size
            while self._size > self._limit:
                _, forgotten = self._runs.popitem(last=False)
                self._size -= forgotten.size

    def drop(self, key: SessionKey, view: str) -> None:
        """Forget a session."""
        with self._lock:
            self._drop(key, view)

    def forget(self, owner: UserKey) -> None:
        """Forget all sessions of a user."""
        with self._lock:
            for key, view in [each for each in self._runs if each[0].owner == owner]:
                self._drop(key, view)

    def _drop(self, key: SessionKey, view: str) -> None:
        if known := self._runs.pop((key, view), None):
            self._size -= known.size

    def stats(self) -> NearCacheStats:
        """The figures now."""
        return NearCacheStats(self._hits, self._misses, len(self._runs), self._size, self._limit)


def tail_of(rows: Sequence[bytes]) -> Sequence[bytes]:
    """What of some rows is read again."""
    return rows[-2:] if len(rows[-2:][0]) <= _LARGE else rows[-1:]


def weight(rows: list[bytes]) -> int:
    """Estimated bytes of memory of the rows once decoded."""
    return _DECODED * sum(map(len, rows)) + _EACH * len(rows)
