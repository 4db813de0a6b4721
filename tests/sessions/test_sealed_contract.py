"""The contracts of the sessions room over sealed content."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import sojourn
from extent import FULL
from sealing import open_sealed
from servers import Server
from sojourn.testing import HistoryContract, SessionsContract

if FULL:  # else test_sealed_sessions.py stands for them

    class TestSealed(SessionsContract):
        @pytest.fixture(scope="class")
        async def store(self, url: str) -> AsyncIterator[sojourn.Sojourn]:
            async with open_sealed(url) as store:
                yield store

    class TestSealedHistory(HistoryContract):
        @pytest.fixture(scope="class")
        async def store(self, url: str) -> AsyncIterator[sojourn.Sojourn]:
            async with open_sealed(url) as store:
                yield store

    class TestSealedBuffered(SessionsContract):
        @pytest.fixture(scope="class")
        async def store(self, shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
            async with open_sealed(shared_server.url, on_outage="buffer") as store:
                yield store
