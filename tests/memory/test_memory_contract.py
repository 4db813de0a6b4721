"""The contract of the memory, on every topology."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import sojourn
from sojourn.testing import MemoryContract


class TestMemory(MemoryContract):
    @pytest.fixture(scope="class")
    async def store(self, url: str) -> AsyncIterator[sojourn.Sojourn]:
        async with sojourn.open(url) as store:
            yield store
