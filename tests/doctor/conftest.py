"""Servers with options, ended with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from servers import Server, any_binary

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server with a line of options, as on its command line; an empty value is ''."""
    started: list[Server] = []

    def begin(line: str = "", *, kind: type[Server] = Server, binary: str = "", **more: Any) -> Any:
        options = ["" if word == "''" else word for word in line.split()]
        folder = tmp_path / f"server-{len(started)}"
        server = kind(folder, binary or any_binary(), options, **more)
        started.append(server)
        return server.start()

    yield begin
    for server in started:
        server.close()
