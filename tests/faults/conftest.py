"""Sets of real servers that a test may kill, freeze, fail over and reshard."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import ClusterSet
from extent import FULL
from sentinel import SentinelSet
from servers import BINARIES, CI, NotHere


@pytest.fixture(params=BINARIES if FULL and "BINARY" not in os.environ else ["redis-7"])
def binary(request: pytest.FixtureRequest) -> str:
    """Each server program in turn. What this machine lacks fails CI, and elsewhere is named."""
    try:
        return BINARIES[os.environ.get("BINARY", request.param)]()
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
