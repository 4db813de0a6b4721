"""The product behind an address: many speak the Redis protocol, each with its own versions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

OLDEST = {"redis": (6, 2), "valkey": (7, 2)}
"""The oldest versions that have every command that Sojourn uses."""

NEWEST = ("EVALSHA", "UNLINK", "XADD", "ZMSCORE", "ZRANDMEMBER")
"""The newest commands that Sojourn uses: a server that has these has them all."""

_BY_FIELD = {
    "valkey_version": "Valkey",
    "dragonfly_version": "Dragonfly",
    "kvrocks_version": "Kvrocks",
    "garnet_version": "Garnet",
    "pika_version": "Pika",
    "upstash_version": "Upstash",
    "rlec_version": "Redis Enterprise",
}
"""The field of INFO by which a product tells its own version beside that of Redis."""

_BY_SYSTEM = {"Amazon ElastiCache": "ElastiCache", "Amazon MemoryDB": "MemoryDB"}
"""What managed services say in place of an operating system."""


class Product(NamedTuple):
    """The product and version that a server reports.

    Attributes:
        name: `Redis`, `Valkey`, `Dragonfly` and so on.
        version: in its own count; empty when it is not told.
        speaks: the version of Redis that it says it is like; empty when it is not told.
    """

    name: str
    version: str
    speaks: str

    @classmethod
    def of(cls, info: Mapping[str, str], hello: Mapping[str, str] | None = None) -> Product:
        """Read INFO, its fields by name, and HELLO where INFO is silent."""
        hello = hello or {}
        speaks = info.get("redis_version", "")
        for field, name in _BY_FIELD.items():
            if version := info.get(field):
                return cls(name, version, "" if name == "Valkey" else speaks)
        called = info.get("server_name") or hello.get("server", "")
        if "mvcc_depth" in info or "keydb" in info.get("executable", ""):
            return cls("KeyDB", speaks, "")
        version = speaks or hello.get("version", "")
        if info.get("os") in _BY_SYSTEM:
            return cls(_BY_SYSTEM[info["os"]], version, "")
        if called not in ("", "redis"):  # what answers HELLO tells itself at least
            return cls(called.title(), info.get("server_version") or version, speaks)
        return cls("Redis", version, "")

    def __str__(self) -> str:
        told = f"{self.name} {self.version}".rstrip()
        if not self.speaks or self.speaks == self.version:
            return told
        return f"{told} (as Redis {self.speaks})"

    @property
    def is_tested(self) -> bool:
        """Whether the tests of Sojourn run on it."""
        return self.name.lower() in OLDEST

    @property
    def number(self) -> tuple[int, int] | None:
        """Its version as numbers, if it begins with two."""
        found = re.match(r"(\d+)\.(\d+)", self.version)
        return (int(found[1]), int(found[2])) if found else None

    @property
    def is_old(self) -> bool:
        """Whether its number is one that lacks commands of ours; other products' say nothing."""
        oldest = OLDEST.get(self.name.lower())
        number = self.number
        return number is not None and oldest is not None and number < oldest


def fields_of(info: str) -> dict[str, str]:
    """The fields of INFO's text by name."""
    lines = (line.partition(":") for line in info.splitlines())
    return {name.strip(): value.strip() for name, colon, value in lines if colon}
