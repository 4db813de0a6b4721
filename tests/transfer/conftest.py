"""Servers to move data between, emptied for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from transfer_kit import fill

import sojourn
from servers import Server, any_binary
from sojourn import Sojourn, transfer


@pytest.fixture(scope="module")
def _target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("target"), any_binary()).start()
    yield server
    server.close()


@pytest.fixture
def target(_target: Server) -> Server:
    """A server with nothing on it."""
    _target.ask("FLUSHALL")
    return _target


@pytest.fixture
async def store(target: Server) -> AsyncIterator[Sojourn]:
    async with sojourn.open(target.url) as store:
        yield store


@pytest.fixture
async def source() -> AsyncIterator[Sojourn]:
    """A store in this process with something of everything."""
    async with sojourn.open("memory://") as store:
        await fill(store)
        yield store


@pytest.fixture
async def archive(source: Sojourn, tmp_path: Path) -> Path:
    """An archive of it."""
    path = tmp_path / "archive"
    await transfer.export(source, path, cache=True)
    return path
