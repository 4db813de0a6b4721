"""Every field of an event comes back equal, to a process that has never seen it.

The fields are ADK's own list: one that a new version adds fails here until it has a sample.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math

import pytest
from adk_kit import event, ours, texts
from adk_samples import ACTIONS, BYTES, FIELDS, PARTS
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.genai import types
from pydantic import BaseModel, Field

from sojourn.errors import TooLarge
from sojourn.integrations.adk import SessionService


async def there_and_back(desk, elsewhere, given: Event) -> Event:
    session = await desk.create("s")
    await desk.service.append_event(session, given)
    (found,) = (await elsewhere.get("s")).events
    return found


def test_every_field_has_a_sample():
    assert Event.model_fields.keys() <= FIELDS.keys()
    assert EventActions.model_fields.keys() <= ACTIONS.keys()


@pytest.mark.parametrize("name", Event.model_fields)
async def test_each_field_comes_back(desk, elsewhere, name):
    session = await desk.create("s")
    given = [event("hi", **{name: value}) if name != "content" else event(content=value)
             for value in FIELDS[name]]  # fmt: skip
    for one in given:
        await desk.service.append_event(session, one)
    found = (await elsewhere.get("s")).events
    assert found == given
    assert [repr(getattr(e, name)) for e in found] == [repr(getattr(e, name)) for e in given]


@pytest.mark.parametrize("name", EventActions.model_fields)
async def test_each_action_comes_back(desk, elsewhere, name):
    session = await desk.create("s")
    given = [event("hi", actions=EventActions(**{name: value})) for value in ACTIONS[name]]
    for one in given:
        await desk.service.append_event(session, one)
    found = (await elsewhere.get("s")).events
    assert found == given
    for before, after in zip(given, found, strict=True):
        assert repr(getattr(after.actions, name)) == repr(getattr(before.actions, name))


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
async def test_each_kind_of_part_comes_back(desk, elsewhere, part):
    given = event(content=types.Content(role="model", parts=[part, part]))
    assert await there_and_back(desk, elsewhere, given) == given


async def test_all_fields_at_once(desk, elsewhere):
    actions = EventActions(**{name: ACTIONS[name][0] for name in EventActions.model_fields})
    fields = {name: FIELDS[name][0] for name in Event.model_fields}
    content = types.Content(role="model", parts=list(PARTS.values()))
    given = Event(**{**fields, "content": content, "actions": actions})
    assert await there_and_back(desk, elsewhere, given) == given


def editable(value) -> dict[int, object]:
    """What somebody could edit in a value, by its identity."""
    found, waiting = {}, [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseModel):
            members = [each.__dict__, each.__pydantic_extra__, each.__pydantic_private__]
        elif isinstance(each, dict):
            members = list(each.values())
        elif isinstance(each, list | tuple | set):
            members = list(each)
        else:
            continue
        found[id(each)] = each
        waiting += members
    return found


@ours
async def test_copies_of_any_event_share_nothing_that_can_be_edited(desk):
    session = await desk.create("s")
    for number in range(max(map(len, ACTIONS.values()))):
        actions, fields = (
            {name: each[number % len(each)] for name, each in of.items() if name in known}
            for of, known in ((ACTIONS, EventActions.model_fields), (FIELDS, Event.model_fields))
        )
        content = types.Content(role="model", parts=list(PARTS.values()))
        own = {"content": content, "actions": EventActions(**actions), "id": f"e{number}"}
        await desk.service.append_event(session, Event(**{**fields, **own}))
    copies = [(await desk.get("s")).events for _ in range(5)]
    for first, second in itertools.combinations(copies, 2):
        assert first == second
        assert editable(first).keys() & editable(second).keys() == set()
    for one, *others in zip(*copies, strict=True):
        for other in others:
            assert one.model_fields_set == other.model_fields_set
            assert one.model_fields_set is not other.model_fields_set


async def test_an_event_with_nothing_in_it(desk, elsewhere):
    given = Event()
    found = await there_and_back(desk, elsewhere, given)
    assert found == given
    assert found.id


@ours
async def test_what_adk_would_say_over_http_is_the_same(desk, elsewhere):
    given = event(content=types.Content(role="model", parts=list(PARTS.values())))
    found = await there_and_back(desk, elsewhere, given)
    assert found.model_dump_json(by_alias=True, exclude_none=True) == given.model_dump_json(
        by_alias=True, exclude_none=True
    )


class Reply(BaseModel):
    full_name: str = Field(alias="fullName")
    nick: str | None = None


def as_adk_persists(given: Event) -> Event:
    """What ADK's own SQL services return for an event."""
    return Event.model_validate(given.model_dump(mode="json", exclude_none=True))


@ours
async def test_a_model_as_output_comes_back_as_from_adks_sql_services(desk, elsewhere):
    given = event("hi", output=Reply(fullName="Ada"))
    found = await there_and_back(desk, elsewhere, given)
    assert found.output == {"full_name": "Ada"}
    assert found == as_adk_persists(given)


@ours
async def test_rich_metadata_comes_back_as_from_adks_sql_services(desk, elsewhere):
    metadata = {"reply": Reply(fullName="Ada"), "when": dt.date(2026, 1, 2), "set": {1}}
    given = event("hi", custom_metadata=metadata)
    found = await there_and_back(desk, elsewhere, given)
    assert found.custom_metadata == {
        "reply": {"full_name": "Ada"},
        "when": "2026-01-02",
        "set": [1],
    }
    assert found == as_adk_persists(given)


class Opaque:
    def __repr__(self) -> str:
        return "<opaque>"


@ours
@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (Opaque(), "<opaque>"),
        ({"f": Opaque(), "n": None}, {"f": "<opaque>", "n": None}),
        ([math.nan, math.inf, 1.5], [None, None, 1.5]),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00Z"),
    ],
)
async def test_output_that_json_cannot_hold_is_stored(desk, elsewhere, value, stored):
    given = event("hi", output=value, state={"k": 1})
    before = given.output
    found = await there_and_back(desk, elsewhere, given)
    assert given.output is before
    assert found.output == stored
    assert found.actions.state_delta == {"k": 1}


@ours
@pytest.mark.parametrize("value", [Opaque(), {"deep": [Opaque()]}, math.nan, {1, 2}])
async def test_arguments_that_json_cannot_hold_spoil_nothing_else(desk, elsewhere, value):
    call = types.FunctionCall(id="c", name="tool", args={"odd": value, "n": 1})
    blob = types.Blob(data=BYTES, mime_type="a/b")
    parts = [types.Part(function_call=call), types.Part(inline_data=blob), types.Part(text="end")]
    given = event(content=types.Content(role="model", parts=parts), long_running_tool_ids={"c"})
    found = await there_and_back(desk, elsewhere, given)
    assert found.content.parts[0].function_call.args["n"] == 1
    assert found.content.parts[1:] == given.content.parts[1:]
    assert (found.long_running_tool_ids, found.id) == ({"c"}, given.id)


@ours
@pytest.mark.parametrize("text", ["half a \ud83d", "\udc00"])
async def test_half_a_character_in_a_text_is_stored_and_spoils_nothing(desk, elsewhere, text):
    parts = [types.Part(text=text), types.Part(text="whole")]
    given = event(content=types.Content(role="model", parts=parts))
    found = await there_and_back(desk, elsewhere, given)
    assert len(found.content.parts) == 2
    assert found.content.parts[1].text == "whole"


@ours
async def test_an_event_over_the_cap_is_refused_and_changes_nothing(service, app):
    from adk_kit import Desk

    desk = Desk(SessionService("memory://?max_event_bytes=1000"), app)
    session = await desk.create("s")
    with pytest.raises(TooLarge, match="max_event_bytes"):
        await desk.say(session, "x" * 1000, state={"k": 1})
    assert (session.events, session.state) == ([], {})
    await desk.say(session, "short")
    assert texts(await desk.get("s")) == ["short"]
