"""A server of the test's own, a store on it, and plain redis-py beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

import sojourn
from servers import Server


@pytest.fixture
async def store(server: Server) -> AsyncIterator[sojourn.Sojourn]:
    async with sojourn.open(server.url) as store:
        yield store


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@pytest.fixture
def chunks_of_1000(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces that pass a proxy in one read."""
    monkeypatch.setattr("sojourn.artifacts.records.CHUNK", 1000)
