"""Sets of real servers that a test may kill, freeze, fail over and reshard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import ClusterSet
from extent import FULL
from sentinel import SentinelSet
from servers import CI, NotHere, redis_binary, valkey_binary

BINARIES = {"redis": redis_binary, "valkey": valkey_binary}


@pytest.fixture(params=list(BINARIES) if FULL else ["redis"])
def binary(request: pytest.FixtureRequest) -> str:
    """Each server program in turn. What this machine lacks fails CI, and elsewhere is named."""
    try:
        return BINARIES[request.param]()
    except NotHere as missing:
        if CI:
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture
def sentinels(binary: str, tmp_path: Path) -> Iterator[SentinelSet]:
    """A primary, two replicas and three sentinels."""
    started = SentinelSet(tmp_path, binary).start()
    yield started
    started.close()


@pytest.fixture
def cluster(binary: str, tmp_path: Path) -> Iterator[ClusterSet]:
    """Three primaries with a replica each."""
    started = ClusterSet(tmp_path, binary).start()
    yield started
    started.close()
