"""A command line on a namespace of its own."""

from __future__ import annotations

import secrets

import pytest
from cli_kit import Cli

from servers import Server


@pytest.fixture
def cli(shared_server: Server) -> Cli:
    return Cli(shared_server.url, f"cli-{secrets.token_hex(4)}")
