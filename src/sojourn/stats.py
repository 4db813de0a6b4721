"""Statistics and health of a store."""

from __future__ import annotations

from typing import NamedTuple

from sojourn.cache import CacheStats
from sojourn.sessions import Failures, NearCacheStats


class Stats(NamedTuple):
    """Figures of a store since it was opened. Asking for them asks nobody.

    Attributes:
        kind: the scheme of its URL: `memory`, `redis`, `redis+cluster`, `embedded` …
        where: the server's address, without secrets.
        available: False while the server is known to be out of reach.
        outages: how often it was out of reach for longer than a call may wait.
        connections: how many connections were made.
        lost_connections: how many have ended, or could not be made.
        retries: how often a call was sent again: after a lost connection, or because the server
            put it off.
        buffered: writes that wait in this process for the server.
        buffered_seconds: for how long the oldest of them has waited; 0 when there is none.
        near_cache: decoded events kept in this process.
        cache: what `store.cache` was asked for, and what it had.
        failures: calls of `sessions.safe` that have ended with an error.
        corrupt: stored records that were found unreadable, each counted once.
        newer: how often this process, with all of its stores, has decoded a record of a framework's
            (ADK, LangChain) without members or values that the installed version does not know.
    """

    kind: str
    where: str
    available: bool
    outages: int
    connections: int
    lost_connections: int
    retries: int
    buffered: int
    buffered_seconds: float
    near_cache: NearCacheStats
    cache: CacheStats
    failures: Failures
    corrupt: int
    newer: int


class NodeHealth(NamedTuple):
    """One server.

    Attributes:
        where: its address, without secrets.
        latency: seconds that a PING took; None when there was no answer.
        problem: why there was none; empty otherwise.
    """

    where: str
    latency: float | None
    problem: str = ""


class Health(NamedTuple):
    """Whether a store can do its work now.

    Attributes:
        available: every node has answered.
        nodes: the server; in a Cluster all nodes that have slots.
    """

    available: bool
    nodes: list[NodeHealth]
