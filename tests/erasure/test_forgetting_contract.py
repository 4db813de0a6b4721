"""The contract of revoking and forgetting, on every topology."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import sojourn
from servers import Server
from sojourn.testing import ForgettingContract


class TestForgetting(ForgettingContract):
    @pytest.fixture(scope="class")
    async def store(self, url: str) -> AsyncIterator[sojourn.Sojourn]:
        async with sojourn.open(url) as store:
            yield store


class TestBuffered(ForgettingContract):
    """A store that would buffer changes nothing while the server answers."""

    @pytest.fixture(scope="class")
    async def store(self, shared_server: Server) -> AsyncIterator[sojourn.Sojourn]:
        async with sojourn.open(shared_server.url, on_outage="buffer") as store:
            yield store
