"""Where the LangChain tests keep their data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from secrets import token_hex

import pytest

pytest.importorskip("langchain_core", reason="langchain-core is not installed: not tested")

import sojourn
from servers import Server
from sojourn.client import Sojourn


@pytest.fixture
def server_url(shared_server: Server) -> str:
    """A server, with keys of the test's own."""
    return f"{shared_server.url}?namespace={token_hex(6)}"


@pytest.fixture(params=["memory", "server"])
def place(request: pytest.FixtureRequest) -> str:
    """In memory, and on a server."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("server_url")


@pytest.fixture
async def store(place: str) -> AsyncIterator[Sojourn]:
    """An open store."""
    async with sojourn.open(place) as store:
        yield store


@pytest.fixture
def store_without_a_loop(place: str) -> Iterator[Sojourn]:
    """An open store for tests that have no event loop."""
    store = sojourn.open(place)
    yield store
    asyncio.run(store.close())
