"""Which events a filtered read returns, as ADK's in-memory service does."""

from __future__ import annotations

import pytest
from adk_kit import Desk, newer, ours, texts
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from sojourn.integrations.adk import SessionService


async def with_times(desk, *times: float):
    session = await desk.create("s")
    for time in times:
        await desk.say(session, str(time), time=time)
    return session


def times(session) -> list[float]:
    return [event.timestamp for event in session.events]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (0, []),
        (1, [5.0]),
        (3, [3.0, 4.0, 5.0]),
        (5, [1.0, 2.0, 3.0, 4.0, 5.0]),
        (6, [1.0, 2.0, 3.0, 4.0, 5.0]),
        (10**9, [1.0, 2.0, 3.0, 4.0, 5.0]),
    ],
)
async def test_the_last_n(desk, last, expected):
    await with_times(desk, 1.0, 2.0, 3.0, 4.0, 5.0)
    assert times(await desk.get("s", num_recent_events=last)) == expected


@pytest.mark.parametrize("last", [0, 1, 5])
async def test_the_last_n_of_none(desk, last):
    await desk.create("s")
    assert (await desk.get("s", num_recent_events=last)).events == []


@pytest.mark.parametrize("config", [{"num_recent_events": 0}, {"after_timestamp": 99.0}])
async def test_a_filter_is_about_events_only(desk, config):
    session = await with_times(desk, 1.0, 2.0)
    await desk.say(session, "3.0", time=3.0, state={"k": 1, "user:u": 2, "app:a": 3})
    found = await desk.get("s", **config)
    assert found.events == []
    assert found.state == {"k": 1, "user:u": 2, "app:a": 3}
    assert found.last_update_time == 3.0


@pytest.mark.parametrize("config", [{"num_recent_events": 2}, {"after_timestamp": 1.0}])
async def test_a_filtered_read_of_what_is_not_there_is_none(desk, config):
    assert await desk.get("s", **config) is None


@newer
async def test_a_negative_number_is_a_value_error(desk):
    await with_times(desk, 1.0)
    with pytest.raises(ValueError):
        await desk.get("s", num_recent_events=-1)


@ours
async def test_a_negative_number_that_was_not_validated_is_a_value_error(desk):
    """google-adk before 2.13 does not look at the number itself."""
    await with_times(desk, 1.0)
    config = GetSessionConfig.model_construct(num_recent_events=-1, after_timestamp=None)
    with pytest.raises(ValueError):
        await desk.service.get_session(
            app_name=desk.app, user_id="ada", session_id="s", config=config
        )


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (0.5, [1.0, 2.0, 3.0]),
        (1.0, [1.0, 2.0, 3.0]),
        (1.5, [2.0, 3.0]),
        (2.0, [2.0, 3.0]),
        (3.0, [3.0]),
        (3.1, []),
        (-1.0, [1.0, 2.0, 3.0]),
    ],
)
async def test_a_time_bound_is_inclusive(desk, since, expected):
    await with_times(desk, 1.0, 2.0, 3.0)
    assert times(await desk.get("s", after_timestamp=since)) == expected


@newer
@pytest.mark.parametrize(("stored", "expected"), [((-2.0, 1.0), [1.0]), ((1.0, 2.0), [1.0, 2.0])])
async def test_zero_is_a_time_bound(desk, stored, expected):
    await with_times(desk, *stored)
    assert times(await desk.get("s", after_timestamp=0.0)) == expected


@pytest.mark.parametrize(
    ("stored", "since", "expected"),
    [
        ((5.0, 1.0, 6.0, 7.0), 4.0, [6.0, 7.0]),
        ((5.0, 6.0, 1.0), 4.0, []),
        ((1.0, 9.0, 2.0, 8.0, 3.0, 7.0), 3.0, [8.0, 3.0, 7.0]),
        ((9.0, 8.0, 7.0), 7.0, [9.0, 8.0, 7.0]),
    ],
)
async def test_what_stands_before_an_older_event_is_left_out(desk, stored, since, expected):
    await with_times(desk, *stored)
    assert times(await desk.get("s", after_timestamp=since)) == expected


@pytest.mark.parametrize(
    ("last", "since", "expected"),
    [
        (2, 2.0, [4.0, 5.0]),
        (4, 4.0, [4.0, 5.0]),
        (3, 9.0, []),
        (0, 1.0, []),
        (10, 1.0, [1.0, 2.0, 3.0, 4.0, 5.0]),
    ],
)
async def test_both_filters_narrow_each_other(desk, last, since, expected):
    await with_times(desk, 1.0, 2.0, 3.0, 4.0, 5.0)
    found = await desk.get("s", num_recent_events=last, after_timestamp=since)
    assert times(found) == expected


async def test_the_number_counts_before_the_time_cuts(desk):
    await with_times(desk, 9.0, 1.0, 9.0, 2.0, 9.0)
    assert times(await desk.get("s", num_recent_events=3, after_timestamp=1.0)) == [9.0, 2.0, 9.0]


LONG = 300


@pytest.fixture
async def long(service, desk):
    """A session of events at the times 0, 1, 2, … 299."""
    session = await desk.create("s")
    for number in range(LONG):
        await desk.say(session, str(number), time=float(number))
    return session


async def test_a_time_bound_in_a_long_session(long, elsewhere):
    for since in (0, 1, 43, 44, 45, 235, 236, 237, 299, 300):
        found = await elsewhere.get("s", after_timestamp=float(since))
        assert texts(found) == [str(number) for number in range(since, LONG)]


@pytest.mark.parametrize("since", [-5, 40, 240])
async def test_both_filters_in_a_long_session(long, elsewhere, since):
    for last in (63, 64, 65, 255, 256, 257, 300, 301):
        found = await elsewhere.get("s", num_recent_events=last, after_timestamp=float(since))
        first = max(since, LONG - last, 0)
        assert texts(found) == [str(number) for number in range(first, LONG)]


async def test_one_old_event_in_a_long_session_cuts_what_stands_before_it(desk, long, elsewhere):
    await desk.say(long, "old", time=-1.0)
    for number in range(70):
        await desk.say(long, f"more {number}", time=400.0)
    found = await elsewhere.get("s", after_timestamp=1.0)
    assert texts(found) == [f"more {number}" for number in range(70)]


async def test_reads_of_every_kind_in_turn_agree(desk, long, elsewhere):
    """The near-cache serves some of these reads, and must not be seen."""
    whole = [str(number) for number in range(LONG)]
    for config, expected in [
        ({"num_recent_events": 10}, whole[-10:]),
        ({"after_timestamp": 100.0}, whole[100:]),
        ({}, whole),
        ({"num_recent_events": 0}, []),
        ({"num_recent_events": 299}, whole[1:]),
        ({"after_timestamp": 250.0, "num_recent_events": 20}, whole[-20:]),
        ({}, whole),
    ]:
        assert texts(await elsewhere.get("s", **config)) == expected
    await desk.say(long, "300", time=300.0)
    whole.append("300")
    assert texts(await elsewhere.get("s", num_recent_events=2)) == ["299", "300"]
    assert texts(await elsewhere.get("s", after_timestamp=200.0)) == whole[200:]
    assert texts(await elsewhere.get("s")) == whole


async def test_callers_share_nothing_that_can_be_edited(desk):
    """In a second session of another name, too: what one request edits is no other request's."""
    await desk.say(
        await desk.create("s"),
        "hello",
        state={"k": {"list": [1, {"deep": 2}]}},
        custom_metadata={"tags": ["a"]},
        usage_metadata=types.GenerateContentResponseUsageMetadata(prompt_token_count=1),
    )
    await desk.get("s")
    first = await desk.get("s")
    (event,) = first.events
    event.content.parts[0].text = "changed"
    event.content.parts.append(types.Part(text="more"))
    event.actions.state_delta["k"]["list"][1]["deep"] = 3
    event.actions.artifact_delta["file"] = 1
    event.custom_metadata["tags"].append("b")
    event.usage_metadata.prompt_token_count = 2
    event.author = "eve"
    first.state["k"]["list"].append(4)
    second = await desk.get("s")
    (event,) = second.events
    assert [part.text for part in event.content.parts] == ["hello"]
    assert event.actions.state_delta == {"k": {"list": [1, {"deep": 2}]}}
    assert event.actions.artifact_delta == {}
    assert event.custom_metadata == {"tags": ["a"]}
    assert event.usage_metadata.prompt_token_count == 1
    assert event.author == "user"
    assert second.state == {"k": {"list": [1, {"deep": 2}]}}


@ours
async def test_a_deep_state_is_copied(desk):
    deep = []
    for _ in range(200):
        deep = [deep]
    await desk.say(await desk.create("s"), "hello", state={"k": deep})
    for _ in range(2):
        (event,) = (await desk.get("s")).events
        assert event.actions.state_delta == {"k": deep}


@ours
async def test_light_copies_share_content_and_nothing_else(service, desk):
    await desk.say(await desk.create("s"), "hello", state={"k": 1})
    light = Desk(SessionService(service.store, copies="light"), desk.app)
    first, second = await light.get("s"), await light.get("s")
    assert first.events[0].content is second.events[0].content
    assert first.events[0] is not second.events[0]
