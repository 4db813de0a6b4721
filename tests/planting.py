"""Plants in a server what another version of Sojourn may have written, with plain redis-py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import redis

from cluster import ClusterSet
from conftest import ROWS, start
from servers import Server
from sojourn.codecs.growth import encoded

ROWS_OF_SERVERS = [row for row in ("redis", "redis-6.2", "valkey", "cluster") if row in ROWS]
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
        left = self.client.hmget(key, list(wanted))
        assert left == [each if isinstance(each, bytes) else each.encode() for each in wanted.values()]

    def assert_nothing_in_quarantine(self) -> None:
        """Nothing was taken for damaged."""
        assert [key for key in self.client.scan_iter("*") if b"quarantine" in key] == []


def planters(row: str, folder: Path) -> Iterator[Planter]:
    """A row of the table of topologies, for a fixture."""
    started = start(row, folder)
    assert isinstance(started, Server | ClusterSet)
    planter = Planter(started)
    yield planter
    planter.client.close()
    started.close()
