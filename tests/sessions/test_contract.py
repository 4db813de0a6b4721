"""The contracts of the sessions room, on every topology."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import sojourn
from servers import Server
from sojourn.testing import HistoryContract, SessionsContract


class TestBuffered(SessionsContract):
    """A store that would buffer changes nothing while the server answers."""

    @pytest.fixture(scope="class")
    async def store(self, shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
        async with sojourn.open(shared_server.url, on_outage="buffer") as store:
            yield store


class TestSessions(SessionsContract):
    @pytest.fixture(scope="class")
    async def store(self, url: str) -> AsyncIterator[sojourn.Sojourn]:
        async with sojourn.open(url) as store:
            yield store


class TestHistory(HistoryContract):
    @pytest.fixture(scope="class")
    async def store(self, url: str) -> AsyncIterator[sojourn.Sojourn]:
        async with sojourn.open(url) as store:
            yield store
