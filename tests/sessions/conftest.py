"""A session to damage, on a server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from corruption_kit import Bench

import sojourn
from servers import Server


@pytest.fixture
async def bench(shared_server: Server) -> AsyncIterator[Bench]:
    async with sojourn.open(shared_server.url) as store, Bench(shared_server, store) as bench:
        yield bench


@pytest.fixture
async def cold(shared_server: Server) -> AsyncIterator[Bench]:
    """The same without a near-cache: every read decodes every row."""
    store = sojourn.open(shared_server.url, near_cache_bytes=0)
    async with store, Bench(shared_server, store) as bench:
        yield bench
