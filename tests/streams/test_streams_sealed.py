"""The streams over sealed content."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import sojourn
from sealing import open_sealed
from servers import Server
from sojourn.testing import StreamsContract


class TestSealedStreams(StreamsContract):
    @pytest.fixture(scope="class")
    async def store(self, shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
        async with open_sealed(shared_server.url) as store:
            yield store
