"""The memory over sealed content."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import extent
import sojourn
from sealing import open_sealed
from servers import Server
from sojourn.testing import MemoryContract


@pytest.mark.skipif(not extent.FULL, reason="a handful is enough for each change")
class TestSealedMemory(MemoryContract):
    @pytest.fixture(scope="class")
    async def store(self, shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
        async with open_sealed(shared_server.url) as store:
            yield store
