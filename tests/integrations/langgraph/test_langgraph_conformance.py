"""LangGraph's own suite for checkpointers, whole, on every topology."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import sojourn
from servers import Server
from sojourn.integrations.langgraph import CheckpointSaver

conformance = pytest.importorskip("langgraph.checkpoint.conformance")

TESTS = 81


async def passes_whole(url: str, **options: Any) -> None:
    async with sojourn.open(url, namespace="conformance") as store:

        @conformance.checkpointer_test(name="sojourn")
        async def saver() -> AsyncIterator[CheckpointSaver]:
            yield CheckpointSaver(store, **options)

        report = await conformance.validate(saver)
    assert [each.failures for each in report.results.values() if each.failures] == []
    assert sum(each.tests_passed for each in report.results.values()) == TESTS


async def test_the_suite_passes_whole(url: str) -> None:
    await passes_whole(url)


async def test_the_suite_passes_with_owners(shared_server: Server) -> None:
    await passes_whole(shared_server.url, owner=lambda _: ("tenant", "ada"))
