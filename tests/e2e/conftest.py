"""Real processes: ADK's web server on an embedded server, or on a server of the test's own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.web_process import WebProcess
from servers import Server, any_binary

StartWeb = Callable[..., WebProcess]
StartServer = Callable[..., Server]


@pytest.fixture
def start_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartWeb]:
    started: list[WebProcess] = []

    def start(session_uri: str, **options) -> WebProcess:
        web = WebProcess(session_uri, tmp_path_factory.mktemp("web"), **options)
        started.append(web)
        web.start()
        return web

    yield start
    for web in started:
        web.stop()


@pytest.fixture
def embedded_uri(tmp_path: Path) -> str:
    return f"embedded:{tmp_path / 'sojourn'}"


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start a server that keeps an append-only file."""
    started: list[Server] = []

    def start(appendfsync: str = "everysec") -> Server:
        options = ["--appendonly", "yes", "--appendfsync", appendfsync]
        server = Server(tmp_path / "server", any_binary(), options)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.close()
