"""ADK's memory service over sealed content."""

from __future__ import annotations

import pytest
from adk_kit import event
from google.genai import types
from memory_kit import Recall, content, said

import sojourn
from sealing import TestKeys, open_sealed, words_stored
from sojourn.integrations.adk import MemoryService


@pytest.fixture
async def sealed(shared_server):
    async with open_sealed(shared_server.url, TestKeys()) as store:
        yield store


async def test_what_was_said_is_found_and_stored_nowhere(sealed, shared_server, app):
    recall = Recall(MemoryService(sealed), app)
    call = types.Part(function_call=types.FunctionCall(name="f", args={"a": "aardvarks"}))
    whole = types.Content(role="model", parts=[*content("about zebrafish").parts, call])
    await recall.learn("hello axolotl", said("goodbye axolotl"), event(content=whole))
    await recall.learn("hello axolotl", session="again")
    assert await recall.texts("axolotl") == ["goodbye axolotl", "hello axolotl", "hello axolotl"]
    (found,) = await recall.find("zebrafish")
    assert found.content == whole
    assert not words_stored(shared_server, [b"axolotl", b"zebrafish", b"aardvarks"])


async def test_a_session_is_added_once_more_with_nothing_written(sealed, shared_server, app):
    recall = Recall(MemoryService(sealed), app)
    events = [said("hello axolotl", "e1"), said("bye axolotl", "e2")]
    await recall.learn(*events)
    scope = sealed.memory.events("ada", app=app)
    before = {entry.key: entry.version for entry in (await scope.list()).entries}
    await recall.learn(*events)
    assert {entry.key: entry.version for entry in (await scope.list()).entries} == before
    await recall.learn(*events, said("and more", "e3"))
    assert len(await recall.find("axolotl more")) == 3
    async with sojourn.open(shared_server.url) as plain:
        without = Recall(MemoryService(plain), app)
        assert await without.find("axolotl") == []
        await without.forget("e1")
    assert len(await recall.find("axolotl")) == 1
