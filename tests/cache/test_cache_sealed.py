"""The cache over sealed content."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import extent
import sojourn
from sealing import open_sealed
from servers import Server
from sojourn.testing import CacheContract


@pytest.mark.skipif(not extent.FULL, reason="a handful is enough for each change")
class TestSealedCache(CacheContract):
    @pytest.fixture
    async def store(self, shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
        async with open_sealed(shared_server.url) as store:
            yield store
