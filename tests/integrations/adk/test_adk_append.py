"""Appending events, as ADK's in-memory service does."""

from __future__ import annotations

import asyncio

import pytest
from adk_kit import ADK, event, newer, ours, texts
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event_actions import EventActions
from google.adk.sessions.session import Session

import sojourn
from sojourn.errors import InvalidInput
from sojourn.ids import SessionKey
from sojourn.integrations.adk import SessionService


async def test_an_event_is_stored_and_is_on_the_callers_session(desk, elsewhere):
    session = await desk.create("s")
    given = event("hello")
    returned = await desk.service.append_event(session, given)
    assert returned is given
    assert session.events == [given]
    assert (await elsewhere.get("s")).events == [given]


async def test_events_keep_their_order_whatever_their_time(desk, elsewhere):
    session = await desk.create("s")
    for text, time in (("one", 30.0), ("two", 10.0), ("three", 20.0)):
        await desk.say(session, text, time=time)
    assert texts(await elsewhere.get("s")) == ["one", "two", "three"]


async def test_the_last_update_is_the_time_of_the_last_event(desk, elsewhere):
    session = await desk.create("s")
    for time in (2000.125, 1000.0):
        await desk.say(session, "hi", time=time)
        assert session.last_update_time == time
        assert (await elsewhere.get("s")).last_update_time == time


async def test_a_time_comes_back_to_the_last_digit(desk):
    session = await desk.create("s")
    for time in (0.0, 0.1 + 0.2, 1e-9, 1_700_000_000.123456, 2.0**40 + 0.5, -1.5):
        await desk.say(session, "hi", time=time)
        found = await desk.get("s")
        assert (found.last_update_time, found.events[-1].timestamp) == (time, time)


async def test_a_partial_event_is_not_stored(desk):
    session = await desk.create("s")
    await desk.say(session, "one")
    updated = session.last_update_time
    given = event("par", partial=True, state={"k": 1, "temp:t": 1, "user:u": 1, "app:a": 1})
    before = given.model_copy(deep=True)
    returned = await desk.service.append_event(session, given)
    assert returned is given
    assert given == before
    for seen in (session, await desk.get("s")):
        assert (texts(seen), seen.state, seen.last_update_time) == (["one"], {}, updated)


async def test_the_callers_session_equals_the_stored_one(desk, elsewhere):
    session = await desk.create("s", state={"k": 1, "app:a": 1})
    await desk.say(session, "one", state={"k": 2, "user:u": 1})
    assert session == await elsewhere.get("s")


@newer
async def test_an_append_to_a_deleted_session_is_refused_and_revives_nothing(desk):
    session = await desk.create("s")
    await desk.say(session, "one")
    await desk.delete("s")
    with pytest.raises(SessionNotFoundError):
        await desk.say(session, "two", state={"k": 1, "user:u": 1, "app:a": 1})
    assert await desk.get("s") is None
    assert await desk.list() == []
    assert (await desk.create("t")).state == {}


@newer
async def test_a_refused_append_leaves_the_callers_session_as_it_was(desk):
    session = await desk.create("s", state={"k": 0})
    await desk.say(session, "one", time=5.0)
    await desk.delete("s")
    with pytest.raises(SessionNotFoundError):
        await desk.say(session, "two", time=6.0, state={"k": 1})
    assert (texts(session), session.state, session.last_update_time) == (["one"], {"k": 0}, 5.0)


@newer
async def test_an_append_to_a_session_that_never_was_is_refused(desk):
    session = Session(id="never", app_name=desk.app, user_id="ada")
    with pytest.raises(SessionNotFoundError):
        await desk.say(session, "one")
    assert await desk.list() == []


@newer
async def test_the_same_event_delivered_again_is_ignored(desk):
    session = await desk.create("s")
    given = event("one", state={"k": 1})
    await desk.service.append_event(session, given)
    await desk.service.append_event(session, given)
    assert texts(session) == ["one"]
    assert texts(await desk.get("s")) == ["one"]


@newer
async def test_a_copy_of_an_event_delivered_again_is_ignored(desk):
    session = await desk.create("s")
    given = event("one", state={"k": 1})
    copy = given.model_copy(deep=True)
    await desk.service.append_event(session, given)
    assert await desk.service.append_event(session, copy) is copy
    assert texts(session) == ["one"]
    assert texts(await desk.get("s")) == ["one"]


@newer
@pytest.mark.parametrize("prefix", ["", "user:", "app:"])
async def test_an_event_delivered_again_does_not_undo_what_came_after(desk, prefix):
    session = await desk.create("s")
    first = event("one", time=10.0, state={f"{prefix}k": 1})
    copy = first.model_copy(deep=True)
    await desk.service.append_event(session, first)
    await desk.say(session, "two", time=20.0, state={f"{prefix}k": 2})
    await desk.service.append_event(session, copy)
    found = await desk.get("s")
    assert (found.state, found.last_update_time) == ({f"{prefix}k": 2}, 20.0)
    assert (session.state, session.last_update_time) == ({f"{prefix}k": 2}, 20.0)


@newer
async def test_an_equal_event_with_its_keys_in_another_order_is_ignored(desk):
    session = await desk.create("s")
    first = event("one", time=1.0, id="e", state={"a": 1, "b": 2}, custom_metadata={"c": 3, "d": 4})
    again = event("one", time=1.0, id="e", state={"b": 2, "a": 1}, custom_metadata={"d": 4, "c": 3})
    assert first == again
    await desk.service.append_event(session, first)
    await desk.service.append_event(session, again)
    assert texts(await desk.get("s")) == ["one"]


@newer
async def test_an_event_that_was_read_back_and_is_delivered_again_is_ignored(desk):
    session = await desk.create("s")
    await desk.say(session, "one", state={"k": 1})
    found = await desk.get("s")
    await desk.service.append_event(found, found.events[0])
    assert texts(await desk.get("s")) == ["one"]


@newer
async def test_an_event_delivered_again_over_another_handle_is_ignored(desk):
    session = await desk.create("s")
    other = await desk.get("s")
    given = event("one", state={"k": 1})
    copy = given.model_copy(deep=True)
    await desk.service.append_event(session, given)
    await desk.service.append_event(other, copy)
    assert texts(await desk.get("s")) == ["one"]


@ours
async def test_another_event_with_an_id_of_the_session_is_refused(desk, elsewhere):
    """As by ADK's services on databases; its in-memory service takes it."""
    session = await desk.create("s")
    await desk.say(session, "one", id="same", time=1.0)
    for at, other in ((desk, session), (elsewhere, await elsewhere.get("s"))):
        for fields in ({"text": "two"}, {"time": 2.0}, {"author": "agent"}, {"state": {"k": 1}}):
            with pytest.raises(AlreadyExistsError, match="'same'"):
                await at.say(other, **{"text": "one", "id": "same", "time": 1.0, **fields})
        assert texts(other) == ["one"]
    found = await desk.get("s")
    assert (texts(found), found.state) == (["one"], {})
    await desk.say(session, "two", id="other")
    assert texts(await elsewhere.get("s")) == ["one", "two"]


@ours
@pytest.mark.parametrize("on_stale", ["merge", "raise"])
async def test_an_event_delivered_again_long_after_is_stored_once(desk, service, on_stale):
    """Its operation id is forgotten; its id never is."""
    key = sojourn.SessionKey.of(desk.app, "ada", "s")
    other = SessionService(service.store, on_stale=on_stale)
    session = await desk.create("s")
    given = event("one", time=1.0, state={"k": {"deep": [1, None]}})
    again = given.model_copy(deep=True)
    await service.append_event(session, given)
    for _ in range(11):
        new = (sojourn.Event(author="a", payload=1) for _ in range(100))
        await asyncio.gather(*(service.store.sessions.append(key, each) for each in new))
    await service.store.sessions.append(
        key, sojourn.Event(author="a", payload=1, state_delta={"k": 2})
    )
    handle = await other.get_session(app_name=desk.app, user_id="ada", session_id="s")
    before = await service.store.sessions.get(key)
    for _ in range(2):
        assert await other.append_event(handle, again) is again
    after = await service.store.sessions.get(key)
    assert (after.version, after.state) == (before.version, {"k": 2})
    assert len(handle.events) == len(before.events)
    await other.append_event(handle, event("two"))
    changed = given.model_copy(deep=True)
    changed.content.parts[0].text = "another"
    with pytest.raises(AlreadyExistsError):
        await other.append_event(handle, changed)


async def test_equal_events_with_ids_of_their_own_are_kept(desk):
    session = await desk.create("s")
    for _ in range(3):
        await desk.say(session, "again", time=1.0)
    assert texts(await desk.get("s")) == ["again"] * 3


@pytest.mark.skipif(ADK < (2, 13), reason="google-adk before 2.13 fails on such events itself")
async def test_an_event_without_actions_is_stored(desk):
    session = await desk.create("s")
    given = event("hello")
    given.actions = None
    await desk.service.append_event(session, given)
    assert texts(await desk.get("s")) == ["hello"]


@ours
async def test_a_handle_of_a_session_that_was_replaced_is_refused(desk):
    """ADK's in-memory service takes the event into the new session: a documented difference."""
    old = await desk.create("s")
    await desk.delete("s")
    await desk.create("s", state={"k": 1})
    with pytest.raises(SessionNotFoundError):
        await desk.say(old, "to the old one", state={"k": 2})
    found = await desk.get("s")
    assert (found.events, found.state) == ([], {"k": 1})
    await desk.say(found, "to the new one")
    assert texts(await desk.get("s")) == ["to the new one"]


async def test_a_session_rebuilt_from_json_can_append(desk):
    session = await desk.create("s", state={"k": 1})
    await desk.say(session, "one")
    for dumped in (
        Session.model_validate((await desk.get("s")).model_dump()),
        Session.model_validate_json((await desk.get("s")).model_dump_json(by_alias=True)),
        (await desk.get("s")).model_copy(deep=True),
    ):
        await desk.say(dumped, "more")
    assert texts(await desk.get("s")) == ["one", "more", "more", "more"]


@ours
@pytest.mark.parametrize("how", ["save", "trim"])
async def test_a_rewind_of_a_log_that_was_rewritten_removes_no_state(desk, how):
    session = await desk.create("s")
    for number in range(4):
        await desk.say(session, str(number), state={f"k{number}": number})
    key, room = SessionKey.of(desk.app, "ada", "s"), desk.service.store.sessions
    if how == "trim":
        await room.trim(key, drop=1)
    else:
        await room.save(key, state={"kept": 1}, events=[])
    before = await desk.state("s")
    actions = EventActions(state_delta=dict.fromkeys(before), rewind_before_invocation_id="i")
    with pytest.raises(InvalidInput, match=r"rewritten"):
        await desk.service.append_event(await desk.get("s"), event("", actions=actions))
    assert await desk.state("s") == before


@ours
@pytest.mark.parametrize("cut", [False, True])
async def test_a_rewind_that_lacks_events_removes_no_state(desk, cut):
    session = await desk.create("s")
    for number in range(4):
        await desk.say(session, str(number), state={f"k{number}": number})
    if cut:
        await desk.service.store.sessions.trim(SessionKey.of(desk.app, "ada", "s"), keep=2)
    state = {"k0": None, "k1": None, "k3": None}
    actions = EventActions(state_delta=state, rewind_before_invocation_id="i")
    rewind = event("", actions=actions)
    session = await desk.get("s")
    if cut:
        with pytest.raises(InvalidInput, match=r"k0, k1, k3.* 2 of the session's 4 events"):
            await desk.service.append_event(session, rewind)
        assert await desk.state("s") == {f"k{number}": number for number in range(4)}
    else:
        await desk.service.append_event(session, rewind)
        assert (await desk.state("s"))["k3"] is None
    harmless = EventActions(state_delta={"k2": 7}, rewind_before_invocation_id="i")
    await desk.service.append_event(session, event("", actions=harmless))
    assert (await desk.state("s"))["k2"] == 7
