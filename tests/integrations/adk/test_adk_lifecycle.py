"""Create, get and delete, as ADK's in-memory service does."""

from __future__ import annotations

import asyncio

import pytest
from adk_kit import event, newer, ours, texts
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError

from sojourn.errors import SessionRotated
from sojourn.ids import SessionKey


async def test_a_created_session_says_who_it_is(desk):
    session = await desk.create("s", state={"k": 1})
    assert (session.app_name, session.user_id, session.id) == (desk.app, "ada", "s")
    assert (session.state, session.events) == ({"k": 1}, [])


async def test_a_created_session_is_found_as_it_was_created(desk, elsewhere):
    created = await desk.create("s", state={"k": 1})
    assert await elsewhere.get("s") == created


async def test_the_time_of_a_created_session_is_now(desk):
    before = event().timestamp
    created = await desk.create()
    assert before - 1 <= created.last_update_time <= event().timestamp + 1


async def test_ids_are_made_when_none_is_given(desk):
    first, second = await desk.create(), await desk.create()
    assert first.id
    assert first.id != second.id
    assert (await desk.get(first.id)).id == first.id


@pytest.mark.parametrize("blank", ["", " ", "\t\n "])
async def test_a_blank_id_is_none_given(desk, blank):
    session = await desk.create(blank)
    assert session.id.strip()
    assert (await desk.get(session.id)).id == session.id


async def test_padding_is_stripped_from_a_new_id(desk):
    assert (await desk.create("  s\n")).id == "s"
    assert (await desk.get("s")).id == "s"


@newer
async def test_padding_is_stripped_from_an_id_that_is_looked_for(desk):
    await desk.create("s")
    assert (await desk.get("  s\t")).id == "s"


@newer
async def test_padding_is_stripped_from_an_id_to_delete(desk):
    await desk.create("s")
    await desk.delete(" s ")
    assert await desk.get("s") is None


@newer
async def test_a_padded_id_is_taken_as_well(desk):
    await desk.create("s")
    with pytest.raises(AlreadyExistsError):
        await desk.create(" s ")


@pytest.mark.parametrize("blank", ["", "  "])
async def test_no_session_has_a_blank_id(desk, blank):
    await desk.create()
    assert await desk.get(blank) is None
    await desk.delete(blank)
    assert len(await desk.list("ada")) == 1


async def test_a_taken_id_is_refused(desk):
    await desk.create("s")
    with pytest.raises(AlreadyExistsError):
        await desk.create("s")


async def test_a_refused_create_touches_nothing(desk):
    session = await desk.create("s", state={"app:a": 1, "user:u": 1, "k": 1})
    await desk.say(session, "hello")
    with pytest.raises(AlreadyExistsError):
        await desk.create("s", state={"app:a": 2, "app:b": 2, "user:u": 2, "user:v": 2, "k": 2})
    found = await desk.get("s")
    assert found.state == {"app:a": 1, "user:u": 1, "k": 1}
    assert texts(found) == ["hello"]


@ours
async def test_an_id_is_free_again_after_deletion(desk):
    session = await desk.create("s", state={"k": 1})
    await desk.say(session, "old")
    await desk.delete("s")
    created = await desk.create("s")
    assert (created.state, created.events) == ({}, [])
    assert await desk.get("s") == created


async def test_the_same_id_is_another_session_for_another_user(desk):
    await desk.create("s", user="ada", state={"of": "ada"})
    await desk.create("s", user="bob", state={"of": "bob"})
    assert await desk.state("s", user="ada") == {"of": "ada"}
    assert await desk.state("s", user="bob") == {"of": "bob"}


async def test_what_is_not_there_is_none(desk):
    await desk.create("s")
    assert await desk.get("other") is None
    assert await desk.get("s", user="bob") is None


async def test_after_deletion_it_is_none(desk, elsewhere):
    await desk.create("s")
    assert await desk.get("s") is not None
    await elsewhere.delete("s")
    assert await desk.get("s") is None


async def test_deleting_what_is_not_there_is_no_error(desk):
    await desk.delete("never")
    await desk.create("s")
    await desk.delete("s")
    await desk.delete("s")
    assert await desk.list() == []


async def test_deletion_takes_one_session_only(desk):
    await desk.create("s")
    await desk.create("t")
    await desk.create("s", user="bob")
    await desk.delete("s")
    assert [(s.user_id, s.id) for s in await desk.list()] == [("ada", "t"), ("bob", "s")]


async def test_user_and_app_state_outlive_the_session(desk):
    await desk.create("s", state={"app:a": 1, "user:u": 2, "k": 3})
    await desk.delete("s")
    assert (await desk.create("t")).state == {"app:a": 1, "user:u": 2}


async def test_flush_does_nothing_and_fails_at_nothing(desk):
    session = await desk.create("s")
    await desk.say(session, "hello")
    await desk.service.flush()
    assert texts(await desk.get("s")) == ["hello"]


@ours
@pytest.mark.parametrize("state", [None, {}])
async def test_get_and_then_create_fails_for_none_of_ten(desk, state):
    """As ADK's `auto_create_session` and its A2A executor do; in turn, none is ever late."""
    ready = asyncio.Barrier(10)

    async def first_message(number: int) -> None:
        assert await desk.get("s") is None
        await ready.wait()
        session = await desk.create("s", state=state)
        await desk.say(session, str(number))

    async with asyncio.TaskGroup() as tasks:
        for number in range(10):
            tasks.create_task(first_message(number))
    assert sorted(texts(await desk.get("s"))) == [str(number) for number in range(10)]


@ours
async def test_a_session_that_was_not_sought_or_has_a_first_state_is_not_joined(desk):
    assert await desk.get("s") is None
    await desk.create("s")
    with pytest.raises(AlreadyExistsError):
        await desk.create("s")
    assert await desk.get("t") is None
    await asyncio.create_task(desk.create("t"))
    with pytest.raises(AlreadyExistsError):
        await desk.create("t", state={"k": 1})
    with pytest.raises(AlreadyExistsError):
        await desk.create("t")
    assert await desk.get("u") is None
    await asyncio.create_task(desk.create("u"))
    assert await desk.get("other") is None
    with pytest.raises(AlreadyExistsError):
        await desk.create("u")


@ours
async def test_a_session_that_is_rotated_while_a_turn_runs(desk):
    """ADK's word for it goes out over HTTP, and is that of any other; the cause says more."""
    session = await desk.create("s")
    store = desk.service.store
    done = await store.sessions.rotate(SessionKey.of(desk.app, "ada", "s"))
    with pytest.raises(SessionNotFoundError) as caught:
        await desk.say(session, "hello")
    assert str(caught.value) == "Session s not found."
    assert type(caught.value.__cause__) is SessionRotated
    assert done.key.session not in str(caught.value.__cause__)
    assert session.events == []
