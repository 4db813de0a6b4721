"""Two servers: where data comes from, and where it goes to. A plug-in of the tests of migration."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from migration_kit import Origin

from servers import Server, any_binary


@pytest.fixture(scope="session")
def origin_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("origin"), any_binary()).start()
    yield server
    server.close()


@pytest.fixture
def origin(origin_server: Server) -> Iterator[Origin]:
    """An empty server that a test may fill with another program's data."""
    origin = Origin(origin_server)
    origin.client.flushall()
    yield origin
    origin.client.close()


@pytest.fixture
def namespace() -> str:
    return f"m{secrets.token_hex(4)}"
