"""Figures of a store that sinks read from `store.stats()`: their names, and how to read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sojourn.errors import InvalidInput

if TYPE_CHECKING:
    from sojourn.stats import Stats

Sample = tuple[Sequence[str], float]
"""The values of its labels, and its own."""

_STORE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Figure(NamedTuple):
    """One figure of a store.

    Attributes:
        name: in words that `_` joins.
        about: what it is, in a sentence.
        counts: it only grows; otherwise it is what is now.
        labels: the names of its labels.
        read: takes it from the statistics.
    """

    name: str
    about: str
    counts: bool
    labels: Sequence[str]
    read: Callable[[Stats], Iterable[Sample]]


def store_name(name: str) -> str:
    """Check what a program calls a store.

    Raises:
        InvalidInput: it is not 1 to 64 letters, digits or `_.-`.
    """
    if not _STORE.fullmatch(name):
        raise InvalidInput(f"{name!r} cannot name a store: 1 to 64 letters, digits and _.- .")
    return name


def _count(name: str, about: str, read: Callable[[Stats], float]) -> Figure:
    return Figure(name, about, counts=True, labels=(), read=_one(read))


def _now(name: str, about: str, read: Callable[[Stats], float]) -> Figure:
    return Figure(name, about, counts=False, labels=(), read=_one(read))


def _one(read: Callable[[Stats], float]) -> Callable[[Stats], Iterable[Sample]]:
    def samples(stats: Stats) -> Iterable[Sample]:
        return [((), read(stats))]

    return samples


def _cache_reads(stats: Stats) -> Iterable[Sample]:
    near, results = stats.near_cache, stats.cache
    return [
        (("sessions", "hit"), near.hits),
        (("sessions", "miss"), near.misses),
        (("results", "hit"), results.hits),
        (("results", "stale"), results.stale),
        (("results", "miss"), results.misses),
        (("results", "unavailable"), results.unavailable),
    ]


def _failures(stats: Stats) -> Iterable[Sample]:
    return [((status,), count) for status, count in stats.failures._asdict().items()]


FIGURES = (
    _now(
        "available",
        "0 while the server is known to be out of reach.",
        lambda stats: stats.available,
    ),
    _count(
        "outages",
        "Times that the server was out of reach for longer than a call.",
        lambda stats: stats.outages,
    ),
    _count("connections_opened", "Connections made.", lambda stats: stats.connections),
    _count(
        "connections_lost",
        "Connections that ended, or could not be made.",
        lambda stats: stats.lost_connections,
    ),
    _count("retries", "Calls sent again.", lambda stats: stats.retries),
    _now(
        "buffered_writes",
        "Writes that wait in this process for the server.",
        lambda stats: stats.buffered,
    ),
    _now(
        "buffer_oldest_seconds",
        "For how long the oldest of them has waited.",
        lambda stats: stats.buffered_seconds,
    ),
    Figure(
        "cache_reads",
        "Reads of the near-cache and of cached results.",
        counts=True,
        labels=("cache", "result"),
        read=_cache_reads,
    ),
    _now(
        "near_cache_bytes",
        "Estimated size of the near-cache.",
        lambda stats: stats.near_cache.size,
    ),
    _now(
        "near_cache_sessions",
        "Sessions in the near-cache.",
        lambda stats: stats.near_cache.sessions,
    ),
    _count(
        "quarantined_records",
        "Stored records that were found unreadable.",
        lambda stats: stats.corrupt,
    ),
    Figure(
        "safe_failures",
        "Calls of `sessions.safe` that ended with an error.",
        counts=True,
        labels=("status",),
        read=_failures,
    ),
)
