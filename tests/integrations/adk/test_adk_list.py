"""Listing sessions, as ADK's in-memory service does."""

from __future__ import annotations

from adk_kit import newer, on_a_server


def names(sessions) -> list[tuple[str, str]]:
    return [(session.user_id, session.id) for session in sessions]


async def test_an_unknown_app_or_user_has_none(desk):
    assert await desk.list() == []
    assert await desk.list("ada") == []
    await desk.create("s", user="bob")
    assert await desk.list("ada") == []


async def test_a_users_list_holds_only_theirs(desk):
    await desk.create("s", user="ada")
    await desk.create("t", user="bob")
    assert names(await desk.list("ada")) == [("ada", "s")]


async def test_an_apps_list_holds_every_users(desk):
    for user in ("ada", "bob", "cyd"):
        await desk.create("s", user=user)
    assert sorted(names(await desk.list())) == [("ada", "s"), ("bob", "s"), ("cyd", "s")]


async def test_other_apps_are_not_listed(desk):
    await desk.create("s")
    other = await desk.service.list_sessions(app_name=desk.app + "x")
    assert other.sessions == []


async def test_the_empty_user_is_not_every_user(desk):
    await desk.create("s", user="ada")
    assert await desk.list("") == []


async def test_the_empty_user_is_a_user(desk):
    await desk.create("s", user="")
    await desk.create("t", user="ada")
    assert names(await desk.list("")) == [("", "s")]
    assert (await desk.get("s", user="")).user_id == ""
    assert len(await desk.list()) == 2


@newer
async def test_the_oldest_update_comes_first(desk):
    for name, time in (("late", 3000.0), ("early", 1000.0), ("middle", 2000.0)):
        await desk.say(await desk.create(name), "hi", time=time)
    assert names(await desk.list("ada")) == [("ada", "early"), ("ada", "middle"), ("ada", "late")]


@newer
async def test_the_order_of_an_apps_list_is_over_all_users(desk):
    for user, name, time in (("ada", "a", 3.0), ("bob", "b", 1.0), ("ada", "c", 2.0)):
        await desk.say(await desk.create(name, user=user), "hi", time=time)
    assert names(await desk.list()) == [("bob", "b"), ("ada", "c"), ("ada", "a")]


@newer
async def test_at_the_same_time_the_user_and_then_the_id_decide(desk):
    for user, name in (("bob", "x"), ("ada", "z"), ("ada", "10"), ("ada", "9"), ("Ada", "é")):
        await desk.say(await desk.create(name, user=user), "hi", time=5.0)
    assert names(await desk.list()) == [
        ("Ada", "é"),
        ("ada", "10"),
        ("ada", "9"),
        ("ada", "z"),
        ("bob", "x"),
    ]


async def test_listed_sessions_have_their_time_and_no_events(desk):
    session = await desk.create("s")
    await desk.say(session, "hello", time=1234.5)
    (listed,) = await desk.list("ada")
    assert (listed.events, listed.last_update_time) == ([], 1234.5)
    assert len((await desk.get("s")).events) == 1


async def test_listed_sessions_have_the_merged_state(desk):
    await desk.create("s", user="ada", state={"app:a": 1, "user:u": 2, "k": 3})
    await desk.create("t", user="bob")
    by_user = {session.user_id: session.state for session in await desk.list()}
    assert by_user == {"ada": {"app:a": 1, "user:u": 2, "k": 3}, "bob": {"app:a": 1}}
    (of_ada,) = await desk.list("ada")
    assert of_ada.state == by_user["ada"]


@newer
async def test_the_state_in_a_list_is_the_callers_own(desk):
    await desk.create("s", state={"user:u": {"deep": 1}, "k": [1]})
    (listed,) = await desk.list("ada")
    listed.state["user:u"]["deep"] = 2
    listed.state["k"].append(2)
    listed.state["new"] = 1
    (again,) = await desk.list("ada")
    assert again.state == {"user:u": {"deep": 1}, "k": [1]}


async def test_a_deleted_session_is_not_listed(desk):
    await desk.create("s")
    await desk.create("t")
    await desk.delete("s")
    assert names(await desk.list("ada")) == [("ada", "t")]
    assert names(await desk.list()) == [("ada", "t")]


async def test_an_append_to_a_listed_session_keeps_its_history(desk):
    session = await desk.create("s")
    await desk.say(session, "one")
    (listed,) = await desk.list("ada")
    await desk.say(listed, "two")
    assert len((await desk.get("s")).events) == 2


@on_a_server
async def test_more_sessions_than_a_page_are_all_there_once(desk):
    import anyio

    wanted = [f"s{number:04}" for number in range(1203)]
    for start in range(0, len(wanted), 100):  # a slow machine answers so many in time
        async with anyio.create_task_group() as group:
            for name in wanted[start : start + 100]:
                group.start_soon(desk.create, name)
    assert sorted(session.id for session in await desk.list("ada")) == wanted
    assert sorted(session.id for session in await desk.list()) == wanted
