"""Handles that are behind, and many writers at once: nothing is lost."""

from __future__ import annotations

import anyio
import pytest
from adk_kit import Desk, event, newer, on_a_server, ours, texts

from sojourn.errors import InvalidInput
from sojourn.integrations.adk import SessionService
from sojourn.integrations.adk.stale import StaleSessionError

WRITERS, EACH = 40, 5


async def test_two_handles_that_are_behind_both_append_and_both_survive(desk, elsewhere):
    await desk.create("s", state={"k": 0})
    first, second = await desk.get("s"), await elsewhere.get("s")
    await desk.say(first, "one", state={"k": 1, "a": 1})
    await elsewhere.say(second, "two", state={"k": 2, "b": 2})
    await desk.say(first, "three", state={"c": 3})
    found = await desk.get("s")
    assert texts(found) == ["one", "two", "three"]
    assert found.state == {"k": 2, "a": 1, "b": 2, "c": 3}
    assert texts(first) == ["one", "three"]


@pytest.mark.parametrize("config", [{"num_recent_events": 1}, {"num_recent_events": 0}])
async def test_an_append_after_a_filtered_read_keeps_the_whole_history(desk, config):
    session = await desk.create("s")
    for text in ("one", "two", "three"):
        await desk.say(session, text)
    part = await desk.get("s", **config)
    assert len(part.events) == config["num_recent_events"]
    await desk.say(part, "four")
    assert texts(await desk.get("s")) == ["one", "two", "three", "four"]


async def test_an_append_after_a_read_by_time_keeps_the_whole_history(desk):
    session = await desk.create("s")
    for time in (1.0, 2.0, 3.0):
        await desk.say(session, str(time), time=time)
    part = await desk.get("s", after_timestamp=2.5)
    await desk.say(part, "4.0", time=4.0)
    assert texts(part) == ["3.0", "4.0"]
    assert texts(await desk.get("s")) == ["1.0", "2.0", "3.0", "4.0"]


async def test_many_writers_over_handles_of_their_own_lose_nothing(desk, elsewhere):
    await desk.create("s")

    async def write(writer: int) -> None:
        at = desk if writer % 2 else elsewhere
        session = await at.get("s")
        for turn in range(EACH):
            delta = {f"k{writer}": turn, f"user:u{writer}": turn, f"app:a{writer}": turn}
            await at.say(session, f"{writer}/{turn}", state=delta)

    async with anyio.create_task_group() as group:
        for writer in range(WRITERS):
            group.start_soon(write, writer)

    found = await desk.get("s")
    said = texts(found)
    assert len(said) == WRITERS * EACH
    for writer in range(WRITERS):
        mine = [text for text in said if text.startswith(f"{writer}/")]
        assert mine == [f"{writer}/{turn}" for turn in range(EACH)]
    scopes = ("k", "user:u", "app:a")
    assert found.state == {f"{s}{writer}": EACH - 1 for s in scopes for writer in range(WRITERS)}


async def test_many_writers_over_one_handle_lose_nothing(desk):
    session = await desk.create("s")
    async with anyio.create_task_group() as group:
        for writer in range(WRITERS):
            group.start_soon(desk.service.append_event, session, event(str(writer)))
    wanted = sorted(str(writer) for writer in range(WRITERS))
    assert sorted(texts(session)) == wanted
    assert sorted(texts(await desk.get("s"))) == wanted


@newer
async def test_one_event_delivered_many_times_at_once_is_stored_once(desk):
    """ADK serialises appends to one session, so its service never sees this; ours may."""
    session = await desk.create("s")
    given = event("one", state={"k": 1})
    copies = [given.model_copy(deep=True) for _ in range(10)]
    async with anyio.create_task_group() as group:
        for copy in copies:
            group.start_soon(desk.service.append_event, session, copy)
    assert texts(await desk.get("s")) == ["one"]
    assert texts(session) == ["one"]


@on_a_server
async def test_one_create_wins_when_many_want_the_same_id(desk, elsewhere):
    won = []

    async def create(number: int) -> None:
        try:
            await (desk if number % 2 else elsewhere).create("s", state={"n": number})
        except Exception as error:  # noqa: BLE001 - whichever it is is looked at below
            assert type(error).__name__ == "AlreadyExistsError"  # noqa: PT017
        else:
            won.append(number)

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(create, number)
    assert len(won) == 1
    assert await desk.state("s") == {"n": won[0]}


@pytest.fixture
async def strict(service, app):
    """A desk over the same data whose handles must be up to date."""
    desk = Desk(SessionService(service.store, on_stale="raise"), app)
    yield desk
    await desk.service.close()


@ours
async def test_on_stale_raise_refuses_the_second_of_two_handles(strict):
    await strict.create("s", state={"k": 0})
    first, second = await strict.get("s"), await strict.get("s")
    await strict.say(first, "one", state={"k": 1})
    with pytest.raises(StaleSessionError):
        await strict.say(second, "two", state={"k": 2, "user:u": 2, "app:a": 2})
    assert (texts(second), second.state) == ([], {"k": 0})
    found = await strict.get("s")
    assert (texts(found), found.state) == (["one"], {"k": 1})


@ours
async def test_on_stale_raise_lets_a_fresh_handle_append(strict):
    await strict.create("s")
    first, second = await strict.get("s"), await strict.get("s")
    await strict.say(first, "one")
    with pytest.raises(StaleSessionError):
        await strict.say(second, "two")
    fresh = await strict.get("s")
    await strict.say(fresh, "two")
    await strict.say(fresh, "three")
    assert texts(await strict.get("s")) == ["one", "two", "three"]


@ours
async def test_on_stale_raise_lets_a_handle_go_on_that_nobody_overtook(strict):
    session = await strict.create("s")
    for text in ("one", "two", "three"):
        await strict.say(session, text, state={"app:a": text, "user:u": text})
    assert texts(await strict.get("s")) == ["one", "two", "three"]


@ours
@pytest.mark.parametrize("config", [{"num_recent_events": 0}, {"after_timestamp": 9e12}])
async def test_on_stale_raise_lets_a_filtered_handle_append(strict, config):
    session = await strict.create("s")
    await strict.say(session, "one")
    await strict.say(await strict.get("s", **config), "two")
    assert len((await strict.get("s")).events) == 2


@ours
async def test_on_stale_raise_ignores_an_event_delivered_again(strict):
    session = await strict.create("s")
    given = event("one")
    copy = given.model_copy(deep=True)
    await strict.service.append_event(session, given)
    await strict.service.append_event(session, copy)
    await strict.say(session, "two")
    assert texts(await strict.get("s")) == ["one", "two"]


@ours
async def test_a_stale_handle_is_a_value_error_as_adk_callers_expect(strict):
    await strict.create("s")
    first, second = await strict.get("s"), await strict.get("s")
    await strict.say(first, "one")
    with pytest.raises(ValueError, match="version"):
        await strict.say(second, "two")


@ours
@pytest.mark.parametrize("options", [{"on_stale": "ignore"}, {"copies": "none"}])
async def test_a_wrong_option_is_refused(service, options):
    with pytest.raises(InvalidInput):
        SessionService(service.store, **options)
