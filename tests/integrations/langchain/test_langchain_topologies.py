"""The three of them wherever Sojourn runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from secrets import token_hex

import pytest
from langchain_core.outputs import Generation
from langchain_kit import everything

from sojourn.integrations.langchain import ChatMessageHistory, KeyValueStore, LLMCache


@pytest.fixture
def names(url: str) -> Iterator[str]:
    """A name of the test's own, with the store of the URL held open."""
    held = ChatMessageHistory("held", url)
    yield token_hex(4)
    held.close()


def test_without_a_loop(url: str, names: str) -> None:
    history, cache = ChatMessageHistory(names, url), LLMCache(url, tenant=names)
    values: KeyValueStore[bytes] = KeyValueStore(names, url)
    history.add_messages(everything())
    cache.update("p", "m", [Generation(text="x")])
    values.mset([("a", b"\xff"), ("b", b"")])
    assert history.messages == everything()
    assert cache.lookup("p", "m") == [Generation(text="x")]
    assert values.mget(["a", "b", "c"]) == [b"\xff", b"", None]
    assert list(values.yield_keys()) == ["a", "b"]
    history.clear()
    cache.clear()
    values.mdelete(["a"])
    assert (history.messages, cache.lookup("p", "m"), values.mget(["a"])) == ([], None, [None])
    for each in (history, cache, values):
        each.close()


def test_with_loops_that_end(url: str, names: str) -> None:
    history = ChatMessageHistory(names, url)
    for _ in range(2):
        asyncio.run(history.aadd_messages(everything()))
    assert asyncio.run(history.aget_messages()) == everything() * 2
    history.close()
