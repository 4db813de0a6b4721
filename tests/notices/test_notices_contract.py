"""The contract of the notices, on every topology."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import sojourn
from sojourn.testing import NoticesContract


class TestNotices(NoticesContract):
    @pytest.fixture(scope="class")
    async def store(self, url: str) -> AsyncIterator[sojourn.Sojourn]:
        async with sojourn.open(url, notices=True) as store:
            yield store
