"""The checks. Each is a pure function of what was read, and says one thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sojourn.doctor.checks import (
    access,
    keyspace,
    memory,
    persistence,
    replication,
    sealing,
    server,
    timing,
)
from sojourn.doctor.model import Finding, Level, Verdict
from sojourn.doctor.reading import DictionariesReading, KeysReading, NotRead, Reading

_ASK_ELSEWHERE = "Run this as a user who may, or look where the server is configured."


class Check(NamedTuple):
    """A check, its name, and what it is about.

    Attributes:
        group: for headings.
        name: for programs.
        judge: says what it finds; None when there is nothing to say about such a server.
    """

    group: str
    name: str
    judge: Callable[[Reading], Verdict | None]

    def run(self, reading: Reading) -> Finding | None:
        """The finding; of level unknown when the server did not tell what the check needs."""
        try:
            verdict = self.judge(reading)
        except NotRead as missing:
            verdict = Verdict(Level.UNKNOWN, f"Could not be checked: {missing}.", _ASK_ELSEWHERE)
        return None if verdict is None else Finding(self.group, self.name, *verdict)


CHECKS = (
    Check("Server", "version", server.version),
    Check("Server", "mode", server.mode),
    Check("Server", "role", server.role),
    Check("Server", "clients", server.clients),
    Check("Access", "tls", access.tls),
    Check("Access", "password", access.password),
    Check("Access", "user", access.user),
    Check("Access", "rights", access.rights),
    Check("Persistence", "loading", persistence.loading),
    Check("Persistence", "aof", persistence.aof),
    Check("Persistence", "appendfsync", persistence.appendfsync),
    Check("Persistence", "aof-status", persistence.aof_status),
    Check("Persistence", "snapshots", persistence.snapshots),
    Check("Memory", "eviction", memory.eviction),
    Check("Memory", "maxmemory", memory.maxmemory),
    Check("Memory", "fragmentation", memory.fragmentation),
    Check("Replication", "replicas", replication.replicas),
    Check("Replication", "min-replicas", replication.min_replicas),
    Check("Time", "clock", timing.clock),
    Check("Time", "latency", timing.latency),
    Check("Keys", "lifetimes", keyspace.lifetimes),
    Check("Keys", "notifications", keyspace.notifications),
)
"""In the order of a report."""


def of_keys(reading: KeysReading) -> list[Finding]:
    """What is to say of the keys that seal a store, once for all of its servers."""
    found = {
        "master-keys": sealing.master_keys(reading),
        "migration": sealing.migration(reading),
        "key-store": sealing.key_store(reading),
    }
    return [Finding("Encryption", name, *each) for name, each in found.items() if each]


def of_dictionaries(reading: DictionariesReading) -> list[Finding]:
    """What is to say of dictionaries, once for all servers."""
    return [Finding("Compression", "dictionaries", *sealing.dictionaries(reading))]
