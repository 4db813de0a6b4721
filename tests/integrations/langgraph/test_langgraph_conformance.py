"""LangGraph's own suite for checkpointers, whole, on every topology."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import sojourn
from sojourn.integrations.langgraph import CheckpointSaver

conformance = pytest.importorskip("langgraph.checkpoint.conformance")

TESTS = 81


@pytest.mark.parametrize("owner", [None, "everybody"])
async def test_the_suite_passes_whole(url: str, owner: str | None) -> None:
    async with sojourn.open(url, namespace=f"conf-{owner}") as store:

        @conformance.checkpointer_test(name="sojourn")
        async def saver() -> AsyncIterator[CheckpointSaver]:
            yield CheckpointSaver(store, owner=None if owner is None else lambda _: owner)

        report = await conformance.validate(saver)
    assert [each.failures for each in report.results.values() if each.failures] == []
    assert sum(each.tests_passed for each in report.results.values()) == TESTS
