"""The scopes of state, and who may change what, as ADK's in-memory service has them."""

from __future__ import annotations

import pytest
from adk_kit import newer, ours


async def test_a_delta_is_stored_and_is_on_the_callers_session(desk, elsewhere):
    session = await desk.create("s", state={"kept": 1, "changed": 1})
    await desk.say(session, state={"changed": 2, "new": 3})
    expected = {"kept": 1, "changed": 2, "new": 3}
    assert session.state == expected
    assert await elsewhere.state("s") == expected


async def test_session_state_is_of_one_session(desk):
    await desk.create("t")
    await desk.say(await desk.create("s"), state={"k": 1})
    assert await desk.state("t") == {}


async def test_user_state_is_in_all_sessions_of_the_user_and_in_nobody_elses(desk):
    session = await desk.create("s")
    await desk.create("t")
    await desk.create("s", user="bob")
    await desk.say(session, state={"user:u": 1})
    assert await desk.state("s") == {"user:u": 1}
    assert await desk.state("t") == {"user:u": 1}
    assert await desk.state("s", user="bob") == {}


async def test_app_state_is_in_all_sessions_of_the_app_and_in_no_other_app(desk):
    session = await desk.create("s")
    await desk.create("t", user="bob")
    await desk.say(session, state={"app:a": 1})
    assert await desk.state("s") == {"app:a": 1}
    assert await desk.state("t", user="bob") == {"app:a": 1}
    other = await desk.service.create_session(app_name=desk.app + "x", user_id="ada")
    assert other.state == {}


async def test_a_first_state_is_sorted_into_its_scopes(desk):
    created = await desk.create("s", state={"app:a": 1, "user:u": 2, "k": 3, "temp:t": 4})
    assert created.state == {"app:a": 1, "user:u": 2, "k": 3}
    assert (await desk.create("t")).state == {"app:a": 1, "user:u": 2}
    assert (await desk.create("t", user="bob")).state == {"app:a": 1}


async def test_a_new_session_starts_with_what_is_shared(desk):
    await desk.say(await desk.create("s"), state={"user:u": 1, "app:a": 1})
    created = await desk.create("t", state={"user:u": 2})
    assert created.state == {"user:u": 2, "app:a": 1}
    assert await desk.state("s") == {"user:u": 2, "app:a": 1}


async def test_temp_state_is_on_the_callers_session_and_is_not_stored(desk, elsewhere):
    session = await desk.create("s")
    event = await desk.say(session, state={"temp:t": object(), "k": 1})
    assert set(session.state) == {"temp:t", "k"}
    assert event.actions.state_delta == {"k": 1}
    found = await elsewhere.get("s")
    assert found.state == {"k": 1}
    assert found.events[0].actions.state_delta == {"k": 1}


async def test_an_event_with_nothing_but_temp_state_is_stored_without_it(desk):
    session = await desk.create("s")
    await desk.say(session, "hi", state={"temp:t": 1})
    found = await desk.get("s")
    assert (found.state, found.events[0].actions.state_delta) == ({}, {})


async def test_temp_state_of_a_create_is_not_stored(desk):
    created = await desk.create("s", state={"temp:t": 1})
    assert created.state == {}
    assert await desk.state("s") == {}


@pytest.mark.parametrize("prefix", ["", "user:", "app:"])
async def test_a_dict_replaces_and_never_merges(desk, prefix):
    session = await desk.create("s", state={f"{prefix}d": {"a": 1, "b": 2}})
    await desk.say(session, state={f"{prefix}d": {"c": 3}})
    assert await desk.state("s") == {f"{prefix}d": {"c": 3}}


@pytest.mark.parametrize("prefix", ["", "user:", "app:"])
async def test_none_is_a_value(desk, prefix):
    session = await desk.create("s", state={f"{prefix}a": 1, f"{prefix}b": None})
    await desk.say(session, state={f"{prefix}a": None})
    assert await desk.state("s") == {f"{prefix}a": None, f"{prefix}b": None}
    assert session.state == {f"{prefix}a": None, f"{prefix}b": None}


@pytest.mark.parametrize(
    "key",
    [
        "",
        " ",
        ":",
        "User:x",
        "users:x",
        "x:user:y",
        "user",
        "app",
        "temp",
        "é🙂",
        "a\nb",
        "{x}*%",
        "\0",
    ],
)
async def test_odd_keys_are_the_sessions(desk, key):
    session = await desk.create("s", state={key: 1})
    await desk.create("t")
    assert await desk.state("s") == {key: 1}
    await desk.say(session, state={key: 2})
    assert await desk.state("s") == {key: 2}
    assert await desk.state("t") == {}


@pytest.mark.parametrize("rest", ["", "user:x", "app:x", "temp:x", ":", "a b", "é🙂"])
@pytest.mark.parametrize("prefix", ["user:", "app:"])
async def test_only_the_first_prefix_counts(desk, prefix, rest):
    await desk.say(await desk.create("s"), state={prefix + rest: 1})
    await desk.create("t")
    assert await desk.state("t") == {prefix + rest: 1}


@pytest.mark.parametrize(
    "key", ["incarnation", "version", "seq", "state:x", "bytes", "ttl", "updated", "format"]
)
async def test_keys_that_look_like_fields_of_the_store_are_keys(desk, key):
    state = {key: "mine", f"user:{key}": "u", f"app:{key}": "a"}
    session = await desk.create("s", state=state)
    await desk.say(session, "hello", state={key: "again"})
    found = await desk.get("s")
    assert found.state == {**state, key: "again"}
    assert len(found.events) == 1


async def test_the_state_returned_is_the_callers_own(desk):
    created = await desk.create("s", state={"k": {"deep": [1]}, "n": 1})
    created.state["k"]["deep"].append(2)
    created.state["n"] = 2
    first = await desk.get("s")
    first.state["k"]["deep"].append(3)
    first.state["new"] = 1
    assert await desk.state("s") == {"k": {"deep": [1]}, "n": 1}


@newer
async def test_shared_state_returned_is_the_callers_own(desk):
    await desk.create("s", state={"user:u": {"deep": [1]}, "app:a": {"deep": [1]}})
    first = await desk.get("s")
    first.state["user:u"]["deep"].append(2)
    first.state["app:a"]["deep"].append(2)
    assert await desk.state("s") == {"user:u": {"deep": [1]}, "app:a": {"deep": [1]}}


async def test_the_state_given_stays_the_callers_own(desk):
    given = {"k": {"deep": [1]}, "user:u": 1, "app:a": 1, "temp:t": 1}
    await desk.create("s", state=given)
    assert given == {"k": {"deep": [1]}, "user:u": 1, "app:a": 1, "temp:t": 1}


@ours
async def test_what_a_caller_changes_after_an_append_is_not_stored(desk):
    session = await desk.create("s")
    value = {"deep": [1]}
    await desk.say(session, state={"k": value})
    value["deep"].append(2)
    assert await desk.state("s") == {"k": {"deep": [1]}}


async def test_the_list_of_events_returned_is_the_callers_own(desk):
    session = await desk.create("s")
    await desk.say(session, "one")
    first, second = await desk.get("s"), await desk.get("s")
    first.events.clear()
    assert len(second.events) == 1
    assert len((await desk.get("s")).events) == 1


async def test_fields_of_a_returned_event_are_the_callers_own(desk):
    session = await desk.create("s")
    await desk.say(session, "one")
    first = await desk.get("s")
    first.events[0].author = "somebody"
    first.events[0].branch = "x"
    again = (await desk.get("s")).events[0]
    assert (again.author, again.branch) == ("user", None)


@newer
async def test_user_state_by_itself_has_keys_without_prefix(desk):
    await desk.create("s", state={"user:u": 1, "user:v": None, "app:a": 2, "k": 3})
    found = await desk.service.get_user_state(app_name=desk.app, user_id="ada")
    assert found == {"u": 1, "v": None}


@newer
async def test_user_state_of_nobody_is_empty(desk):
    await desk.create("s", user="bob", state={"user:u": 1})
    assert await desk.service.get_user_state(app_name=desk.app, user_id="ada") == {}
    assert await desk.service.get_user_state(app_name=desk.app, user_id="") == {}


@newer
async def test_user_state_by_itself_is_a_copy(desk):
    await desk.create("s", state={"user:u": {"deep": [1]}})
    found = await desk.service.get_user_state(app_name=desk.app, user_id="ada")
    found["u"]["deep"].append(2)
    found["new"] = 1
    again = await desk.service.get_user_state(app_name=desk.app, user_id="ada")
    assert again == {"u": {"deep": [1]}}


@newer
async def test_user_state_outlives_the_last_session(desk):
    await desk.create("s", state={"user:u": 1})
    await desk.delete("s")
    assert await desk.service.get_user_state(app_name=desk.app, user_id="ada") == {"u": 1}
