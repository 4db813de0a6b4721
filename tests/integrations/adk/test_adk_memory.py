"""Add, search and delete memories, as ADK's in-memory service does."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
from adk_kit import event, newer
from adk_samples import PARTS
from google.genai import types
from memory_kit import Recall, beside, content, said


@pytest.fixture
def recall(service, app) -> Recall:
    return Recall(beside(service), app)


# ── what is kept ───────────────────────────────────────────────────────────────────────────────


@newer
async def test_what_was_said_is_found_as_it_was(recall):
    one = said("I like green tea", time=1_700_000_000.25)
    two = said("Noted: jasmine", author="bot", time=1_700_000_001)
    await recall.learn(one, two)
    for event_, query in ((one, "tea"), (two, "jasmine")):
        (found,) = await recall.find(query)
        assert found.content == event_.content
        assert (found.id, found.author) == (event_.id, event_.author)
        when = datetime.fromtimestamp(event_.timestamp).isoformat()  # noqa: DTZ006 - as ADK does
        assert found.timestamp == when
        assert found.custom_metadata == {}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
async def test_content_comes_back_whole(recall, part):
    whole = types.Content(role="model", parts=[types.Part(text="about giraffes"), part])
    await recall.learn(event(content=whole))
    (found,) = await recall.find("giraffes")
    assert found.content == whole
    assert found.content.model_dump() == whole.model_dump()


async def test_only_events_with_a_text_are_found(recall):
    call = types.Part(function_call=types.FunctionCall(name="giraffe", args={"a": "giraffe"}))
    answer = types.Part(
        function_response=types.FunctionResponse(name="giraffe", response={"a": "giraffe"})
    )
    silent = [
        event(),
        event(content=types.Content(role="giraffe")),
        event(content=types.Content(role="user", parts=[])),
        *(event(content=types.Content(role="user", parts=[part])) for part in (call, answer)),
        said(""),
        said(" \n"),
        said("...!"),
        said("something else", author="giraffe", invocation_id="giraffe"),
        said("nothing", "giraffe"),
    ]
    await recall.learn(*silent, session="giraffe")
    await recall.add(*silent, session="giraffe")
    assert await recall.find("giraffe") == []
    for query in ("s", "user", "i", recall.app):
        assert await recall.find(query) == []


async def test_all_texts_of_an_event_are_searched(recall):
    await recall.learn(event(content=content("first words", "", "last ones")))
    for query in ("first", "ones"):
        assert await recall.texts(query) == ["first words"]


async def test_nothing_is_remembered_of_nothing(recall):
    await recall.learn()
    await recall.add()
    assert await recall.find("anything") == []


# ── searching ──────────────────────────────────────────────────────────────────────────────────


async def test_one_word_in_common_is_enough_in_any_case(recall):
    await recall.learn("The Parrot speaks", "a red CAR", "nothing here")
    assert await recall.texts("PARROT") == ["The Parrot speaks"]
    assert await recall.texts("does the parrot drive my car?") == ["The Parrot speaks", "a red CAR"]
    assert await recall.texts("zebra") == []
    assert await recall.texts("parr") == []
    assert await recall.texts("ar") == []


@pytest.mark.parametrize("query", ["", " ", "?!", "...", "\n", "*", '"'])
async def test_a_query_without_words_finds_nothing(recall, query):
    await recall.learn("a parrot")
    assert await recall.find(query) == []


@newer
@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("私はPythonを使う", "Python"),
        ("私はPythonを使う", "python を"),
        ("我喜欢喝乌龙茶", "乌龙茶"),
        ("東京都に住んでいます", "東京"),
        ("저는 학교에서 일합니다", "학교"),
        ("caf\u00e9 au lait", "cafe\u0301"),
        ("cafe\u0301 au lait", "CAF\u00c9"),
        ("Пользователь любит чай", "ЧАЙ"),
        ("order 1234", "1234"),
    ],
)
async def test_words_of_any_script_are_found(recall, text, query):
    await recall.learn(text, "заметка", "関係ない memo")
    assert await recall.texts(query) == [text]


@newer
async def test_a_part_of_a_latin_word_is_none(recall):
    await recall.learn("私はPythonを使う")
    assert await recall.find("thon") == []


@newer
async def test_ten_are_found_at_most_and_the_best_are_among_them(recall):
    filler = [said(f"tea number {n}", f"e{n}") for n in range(15)]
    best = said("green tea from Japan", "best")
    await recall.learn(*filler[:8], best, *filler[8:])
    found = await recall.find("green tea Japan")
    assert len(found) == 10
    assert found[0].id == "best"


async def test_memories_of_all_sessions_are_found(recall):
    await recall.learn("tea in the first", session="s1")
    await recall.learn("tea in the second", session="s2")
    await recall.add(said("tea in none"))
    assert await recall.texts("tea") == ["tea in none", "tea in the first", "tea in the second"]


# ── whose it is ────────────────────────────────────────────────────────────────────────────────


async def test_users_never_see_each_others(recall):
    users = ["ada", "", "bob", "ada ", "Ada", "a:b", "{ada}", "*"]
    for number, user in enumerate(users):
        await recall.learn(f"tea {number}", user=user)
        await recall.add(said(f"more tea {number}"), user=user)
    for number, user in enumerate(users):
        assert await recall.texts("tea", user=user) == [f"more tea {number}", f"tea {number}"]
    assert await recall.find("tea", user="eve") == []
    assert await recall.find("tea", app=f"{recall.app}-2") == []


@newer
async def test_an_app_and_a_user_are_not_one_text(recall):
    await recall.learn("tea", app=f"{recall.app}/a", user="b")
    assert await recall.find("tea", app=recall.app, user="a/b") == []


# ── adding again ───────────────────────────────────────────────────────────────────────────────


async def test_a_session_added_again_adds_what_is_new(recall):
    events = [said("tea one"), said("tea two")]
    for _ in range(3):
        await recall.learn(*events)
    assert await recall.texts("tea") == ["tea one", "tea two"]
    events.append(said("tea three"))
    await recall.learn(*events)
    assert await recall.texts("tea") == ["tea one", "tea three", "tea two"]


async def test_a_session_added_again_replaces_what_has_changed(recall):
    await recall.learn(said("my number is 5551234", "e"), said("tea", "f"))
    await recall.learn(said("my number is hidden", "e"), said("tea", "f"))
    assert await recall.texts("number 5551234") == ["my number is hidden"]
    assert await recall.texts("5551234") == []


async def test_events_are_added_to_those_that_are_there(recall):
    await recall.learn(said("tea one", "e1"))
    await recall.add(said("tea two", "e2"), session="s")
    await recall.add(said("tea three", "e3"), said("tea four", "e4"), session="s")
    assert await recall.texts("tea") == ["tea four", "tea one", "tea three", "tea two"]


@pytest.mark.parametrize("session", ["s", None])
async def test_an_event_is_added_once_and_the_first_stays(recall, session):
    for _ in range(2):
        await recall.add(said("first tea", "e"), said("second tea", "e"), session=session)
        await recall.add(said("third tea", "e"), session=session)
    assert await recall.texts("tea") == ["first tea"]


@newer
async def test_an_id_is_that_of_an_event_in_its_session(recall):
    await recall.learn(said("tea in the first", "e"), session="s1")
    await recall.learn(said("tea in the second", "e"), session="s2")
    await recall.add(said("tea in none", "e"))
    assert await recall.texts("tea") == ["tea in none", "tea in the first", "tea in the second"]
    assert {each.id for each in await recall.find("tea")} == {"e"}


async def test_an_empty_session_id_is_none(recall):
    await recall.add(said("tea", "e"), session="")
    await recall.add(said("tea", "e"), session=None)
    assert len(await recall.find("tea")) == 1


@newer
async def test_what_callers_do_with_theirs_changes_no_memory(recall):
    event_ = said("green tea")
    await recall.learn(event_)
    await recall.add(event_)
    event_.content.parts[0].text = "changed"
    for found in await recall.find("tea"):
        found.content.parts[0].text = "changed"
    assert await recall.texts("tea") == ["green tea", "green tea"]


async def test_many_who_add_at_once_lose_nothing(recall):
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight"]
    every = [said(f"tea {word}", word) for word in words]
    await asyncio.gather(
        *(recall.add(*every[n : n + 3], session="s") for n in range(7)),
        *(recall.learn(*every[n:], session="t") for n in (0, 3, 0)),
    )
    for word in words:
        assert await recall.texts(word) == [f"tea {word}"] * 2


# ── deleting ───────────────────────────────────────────────────────────────────────────────────


@newer
async def test_what_was_deleted_is_not_added_again(recall):
    gone, stays = said("green tea"), said("black tea")
    await recall.learn(gone, stays)
    (found,) = await recall.find("green")
    await recall.forget(found.id)
    await recall.forget(found.id)
    assert await recall.texts("tea") == ["black tea"]
    await recall.learn(gone, stays)
    await recall.learn(gone, session="another")
    await recall.add(gone, session="s")
    await recall.add(gone)
    assert await recall.texts("tea") == ["black tea"]
    await recall.add(said("white tea"))
    assert await recall.texts("tea") == ["black tea", "white tea"]


@newer
async def test_what_has_an_id_is_deleted_in_all_sessions_of_the_user_alone(recall):
    for user in ("ada", "", "bob"):
        for session in ("s", "t"):
            await recall.learn(said("tea", "e"), said("tea", "f"), user=user, session=session)
    await recall.forget("e")
    assert [each.id for each in await recall.find("tea")] == ["f", "f"]
    for user in ("", "bob"):
        assert len(await recall.find("tea", user=user)) == 4


@newer
@pytest.mark.parametrize("name", [None, "", "e", "tea", "*"])
async def test_what_is_not_there_is_not_remembered_as_deleted(recall, name):
    await recall.learn(said("tea", "f"))
    await recall.forget(name)
    await recall.learn(said("tea", "e"), said("tea", "f"))
    assert sorted(each.id for each in await recall.find("tea")) == ["e", "f"]


@newer
@pytest.mark.parametrize("name", ["x" * 2000, "é 🦊", "a:b", "{x}", "a/b", " ", "a.b"])
async def test_any_text_is_an_id(recall, name):
    await recall.learn(said("tea", name), said("tea", f"{name}."), session=name)
    assert len(await recall.find("tea")) == 2
    await recall.forget(name)
    assert [each.id for each in await recall.find("tea")] == [f"{name}."]


@newer
async def test_text_with_half_a_character_is_no_trouble(recall):
    await recall.learn("green \ud800 tea")
    assert len(await recall.find("tea \udfff")) == 1
