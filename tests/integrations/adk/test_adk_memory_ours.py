"""What Sojourn's memory service promises beyond ADK's in-memory one, and where it differs."""

from __future__ import annotations

import pytest
from adk_kit import ours
from google.adk.memory.memory_entry import MemoryEntry
from google.genai import types
from memory_kit import Recall, beside, content, said

import sojourn
from sojourn.integrations.adk import MemoryService

pytestmark = ours


@pytest.fixture
def recall(service, app) -> Recall:
    return Recall(beside(service), app)


@pytest.fixture
async def elsewhere(recall, shared_server):
    """The same memory through a store of its own, if there is a server."""
    if recall.service.store.where == "memory://":
        yield recall
        return
    async with sojourn.open(shared_server.url) as store:
        yield Recall(MemoryService(store), recall.app)


# ── searching ──────────────────────────────────────────────────────────────────────────────────


async def test_words_are_found_in_their_other_forms(recall):
    await recall.learn("She prefers running shoes", "the parcels were returned", "naïve café")
    assert await recall.texts("run") == ["She prefers running shoes"]
    assert await recall.texts("returning a PARCEL") == ["the parcels were returned"]
    assert await recall.texts("NAIVE CAFE") == ["naïve café"]


async def test_a_rare_word_weighs_more_than_frequent_ones(recall):
    await recall.learn(*(f"what is the weather on day {n}" for n in range(20)), "a giraffe")
    assert (await recall.find("what is the giraffe"))[0].content == content("a giraffe")


async def test_how_many_are_found_is_a_choice(service, app):
    recall = Recall(MemoryService(service.store, limit=3), app)
    await recall.learn(*(f"tea {n}" for n in range(12)))
    assert len(await recall.find("tea")) == 3
    for wrong in (0, 1001):
        with pytest.raises(sojourn.InvalidInput, match="limit"):
            MemoryService(service.store, limit=wrong)


async def test_what_is_nested_too_deeply_is_found(recall):
    value: dict = {"leaf": 1}
    for _ in range(250):
        value = {"a": value}
    answer = types.Part.from_function_response(name="tool", response=value)
    parts = [types.Part(text="jasmine"), answer]
    await recall.store(MemoryEntry(content=types.Content(parts=parts)))
    (found,) = await recall.find("jasmine")
    assert found.content.parts[1].function_response.name == "tool"


# ── adding ─────────────────────────────────────────────────────────────────────────────────────


async def test_what_a_session_has_no_more_is_still_remembered(recall):
    """ADK's in-memory service forgets it; its SqliteMemoryService does not."""
    one, two = said("tea one"), said("tea two")
    await recall.learn(one, two)
    await recall.learn(two)
    await recall.learn()
    assert await recall.texts("tea") == ["tea one", "tea two"]


async def test_a_session_of_thousands_is_remembered(recall, elsewhere):
    long = [said(f"word{n} " + "x" * 1000) for n in range(2300)]
    for _ in range(2):
        await recall.learn(*long)
    for n in (0, 499, 500, 1234, 2299):
        assert len(await elsewhere.find(f"word{n}")) == 1


async def test_metadata_of_events_come_back_and_a_ttl_is_a_lifetime(recall, app):
    await recall.add(said("green tea"), custom_metadata={"ttl": "100s", "topic": ["drinks"]})
    await recall.add(said("black tea"), custom_metadata={"ttl": 50.5})
    await recall.add(said("white tea"), custom_metadata={"ttl": None})
    found = {each.content.parts[0].text: each for each in await recall.find("tea")}
    assert found["green tea"].custom_metadata == {"topic": ["drinks"]}
    assert found["black tea"].custom_metadata == {}
    page = await recall.service.store.memory.events("ada", app=app).list()
    lives = {entry.text: entry.expires and entry.expires - entry.updated for entry in page.entries}
    assert lives["white tea"] is None
    assert lives["green tea"] == pytest.approx(100, abs=0.01)
    assert lives["black tea"] == pytest.approx(50.5, abs=0.01)


@pytest.mark.parametrize(
    "metadata", [{"ttl": 0}, {"ttl": "soon"}, {"ttl": [1]}, {"ttl": -5}, {"a": object()}]
)
async def test_metadata_that_make_no_sense_are_refused(recall, metadata):
    with pytest.raises(sojourn.InvalidInput):
        await recall.add(said("tea"), custom_metadata=metadata)
    with pytest.raises(sojourn.InvalidInput):
        await recall.store(MemoryEntry(content=content("tea")), custom_metadata=metadata)
    assert await recall.find("tea") == []


async def test_memories_can_be_added_as_such(recall, elsewhere):
    full = MemoryEntry(
        id="m",
        content=content("likes green tea"),
        author="bot",
        timestamp="last summer",
        custom_metadata={"a": 1, "b": [None]},
    )
    await recall.store(full, custom_metadata={"a": 2, "c": 3})
    assert await elsewhere.find("tea") == [
        full.model_copy(update={"custom_metadata": {"a": 1, "b": [None], "c": 3}})
    ]
    bare = MemoryEntry(content=content("likes parrots"))
    await recall.store(bare, bare)
    found = await elsewhere.find("parrots")
    assert len({each.id for each in found} - {None, ""}) == 2
    assert [each.model_copy(update={"id": None}) for each in found] == [bare, bare]


async def test_a_memory_with_the_id_of_another_replaces_it(recall):
    await recall.learn(said("tea was said", "m"), session="m")
    for text in ("green tea", "black tea"):
        await recall.store(MemoryEntry(id="m", content=content(text)))
    assert await recall.texts("tea") == ["black tea", "tea was said"]
    await recall.forget("m")
    assert await recall.find("tea") == []
    await recall.store(MemoryEntry(id="m", content=content("white tea")))
    await recall.learn(said("tea was said", "m"))
    assert await recall.texts("tea") == ["white tea"]


async def test_an_event_over_the_cap_is_refused_before_anything_is_added(service, app):
    recall = Recall(beside(service), app)
    image = types.Part(inline_data=types.Blob(data=b"x" * 9_000_000, mime_type="image/png"))
    large = types.Content(role="user", parts=[types.Part(text="tea"), image])
    with pytest.raises(sojourn.TooLarge):
        await recall.learn("some tea", said("").model_copy(update={"content": large}))
    assert await recall.find("tea") == []


async def test_the_users_own_memory_is_another(recall, app):
    memory = recall.service.store.memory
    await memory.user("ada", app=app).put("k", "own tea")
    await memory.sessions("ada", app=app).put("s", "tea of the session")
    await recall.learn("tea")
    assert await recall.texts("tea") == ["tea"]
    assert len(await memory.user("ada", app=app).search("tea")) == 1
    await memory.user("ada", app=app).clear()
    assert await recall.texts("tea") == ["tea"]


async def test_an_entry_that_is_no_memory_is_left_out(recall, app, caplog):
    await recall.learn("green tea")
    scope = recall.service.store.memory.events("ada", app=app)
    for key, value in {"a": "tea", "b": {"id": "x", "content": 5}, "c": {}}.items():
        await scope.put(key, value, text="tea")
    assert await recall.texts("tea") == ["green tea"]
    assert caplog.text.count("is no memory of ADK's") == 3


# ── lifetimes ──────────────────────────────────────────────────────────────────────────────────


async def test_adding_a_session_again_renews_what_it_has_and_what_was_deleted(service, app):
    events = [said("green tea", "e"), said("black tea", "f")]
    short = Recall(MemoryService(service.store, ttl=0.5), app)
    await short.learn(*events)
    await short.forget("e")
    long = Recall(MemoryService(service.store), app)
    await long.learn(*events)
    page = await service.store.memory.events("ada", app=app).list()
    assert [entry.expires - entry.created > 1000 for entry in page.entries] == [True, True]
