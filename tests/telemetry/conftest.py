"""A proxy in front of a server, for calls that are sent twice."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from proxy import Proxy
from servers import Server


@pytest.fixture
async def proxy(shared_server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(shared_server.port) as started:
        yield started
