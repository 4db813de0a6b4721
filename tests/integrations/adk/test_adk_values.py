"""Values of state: what JSON can hold comes back equal, the rest as pydantic writes it in JSON.

ADK's in-memory service keeps Python objects as they are; its services that persist store
`to_jsonable_python` of them, and so does Sojourn.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import pathlib
import uuid

import pytest
from adk_kit import ours
from google.genai import types
from pydantic import BaseModel

from sojourn.errors import InvalidValue

DAY = dt.date(2026, 1, 2)

JSON_VALUES = {
    "nothing": None,
    "true": True,
    "false": False,
    "zero": 0,
    "negative": -7,
    "a big integer": 2**70,
    "a big negative integer": -(2**64) - 1,
    "the edge of 64 bits": [2**63 - 1, 2**63, 2**64 - 1, -(2**63)],
    "the edge of a float's integers": [2**53, 2**53 + 1],
    "a float": 0.1 + 0.2,
    "an integral float": 1.0,
    "a tiny float": 5e-324,
    "a huge float": 1.7976931348623157e308,
    "negative zero": -0.0,
    "text": "hello",
    "empty text": "",
    "emoji": "👩‍👩‍👧 naïve Ωμέγα 日本語 \u202e",
    "control characters": 'a\0b\x1f\x7f\r\n\t\u2028"\\/',
    "text that looks like JSON": '{"a": [1, null]}',
    "an empty list": [],
    "an empty dict": {},
    "empty ones inside": {"l": [], "d": {}, "ll": [[]], "ld": [{}], "n": [None]},
    "a list": [1, "two", None, [3.0], {"four": 5}],
    "odd keys": {"": 1, " ": 2, ":": 3, "a.b": 4, "ключ": 5, "\n": 6, "\0": 7, "🙂": 8, '"': 9},
    "keys in an order": {"z": 1, "a": 2, "m": 3},
    "deep nesting": None,
}


def deep(levels: int) -> list:
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


JSON_VALUES["deep nesting"] = deep(150)


def exactly(state: dict) -> dict[str, str]:
    """For comparing 1 with 1.0, and the order of keys: only that of the state itself is free."""
    return {key: repr(value) for key, value in state.items()}


@pytest.mark.parametrize("value", JSON_VALUES.values(), ids=JSON_VALUES)
@pytest.mark.parametrize("prefix", ["", "user:", "app:"])
async def test_a_json_value_comes_back_equal(desk, elsewhere, prefix, value):
    session = await desk.create("s", state={f"{prefix}first": value})
    event = await desk.say(session, state={f"{prefix}then": value})
    found = await elsewhere.get("s")
    (listed,) = await elsewhere.list("ada")
    for state in (found.state, listed.state):
        assert exactly(state) == exactly({f"{prefix}first": value, f"{prefix}then": value})
    assert exactly(found.events[0].actions.state_delta) == exactly(event.actions.state_delta)


class Colour(enum.Enum):
    RED = "red"


class Address(BaseModel):
    street: str
    since: dt.date | None = None


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Opaque:
    def __repr__(self) -> str:
        return "<opaque>"


def function() -> None:
    """Only there to be stored."""


RICH_VALUES = {
    "a time": (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2026-01-02T03:04:05Z"),
    "a date": (DAY, "2026-01-02"),
    "a duration": (dt.timedelta(seconds=90), "PT1M30S"),
    "a set": ({7}, [7]),
    "a frozen set": (frozenset({"x"}), ["x"]),
    "a tuple": ((1, (2,)), [1, [2]]),
    "bytes": (b"text", "text"),
    "a model": (Address(street="Main", since=DAY),
                {"street": "Main", "since": "2026-01-02"}),
    "a dataclass": (Point(1, 2), {"x": 1, "y": 2}),
    "an enum": (Colour.RED, "red"),
    "a uuid": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "a path": (pathlib.PurePosixPath("/a/b"), "/a/b"),
    "a decimal": (decimal.Decimal("1.50"), "1.50"),
    "integer keys": ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
    "an opaque object": (Opaque(), "<opaque>"),
    "nested": (
        {"when": [DAY], "who": {"at": Address(street="Main")}, "n": [None]},
        {"when": ["2026-01-02"], "who": {"at": {"street": "Main", "since": None}}, "n": [None]},
    ),
    "an opaque object inside": (
        {"o": Opaque(), "d": DAY, "k": 1},
        {"o": "<opaque>", "d": "2026-01-02", "k": 1},
    ),
}  # fmt: skip


@ours
@pytest.mark.parametrize(("value", "stored"), RICH_VALUES.values(), ids=RICH_VALUES)
@pytest.mark.parametrize("prefix", ["", "user:", "app:"])
async def test_a_rich_value_in_a_delta_is_stored_as_its_json(
    desk, elsewhere, prefix, value, stored
):
    session = await desk.create("s")
    given = await desk.say(session, "hello", state={f"{prefix}k": value, f"{prefix}n": 1})
    assert given.actions.state_delta[f"{prefix}k"] is value
    assert session.state[f"{prefix}k"] is value
    found = await elsewhere.get("s")
    assert found.state == {f"{prefix}k": stored, f"{prefix}n": 1}
    assert found.events[0].actions.state_delta == {f"{prefix}k": stored, f"{prefix}n": 1}


@ours
@pytest.mark.parametrize(("value", "stored"), RICH_VALUES.values(), ids=RICH_VALUES)
async def test_a_rich_value_in_a_first_state_is_stored_as_its_json(desk, elsewhere, value, stored):
    given = {"k": value, "user:k": 1, "app:k": 1, "n": 1}
    await desk.create("s", state=given)
    assert given["k"] is value
    expected = {"k": stored, "user:k": 1, "app:k": 1, "n": 1}
    assert (await elsewhere.get("s")).state == expected


@ours
async def test_a_function_is_stored_as_text(desk):
    session = await desk.create("s", state={"f": function})
    await desk.say(session, state={"g": function, "user:g": [function]})
    state = await desk.state("s")
    assert all("function" in str(state[key]) for key in ("f", "g", "user:g"))
    assert session.state["g"] is function


@ours
@pytest.mark.parametrize(
    "value",
    [math.nan, -math.inf, {"a": [1.0, math.nan]}, {"o": Opaque(), "n": math.inf},
     b"\xff\x00", {"n": [b"\xfe"]}, {"o": Opaque(), "b": b"\xff"}],
)  # fmt: skip
@pytest.mark.parametrize("prefix", ["", "user:", "app:"])
async def test_what_json_has_no_value_for_is_refused_and_changes_nothing(desk, prefix, value):
    """As by ADK's services on databases, which fail over it in each delta."""
    key = f"{prefix}k"
    with pytest.raises(InvalidValue, match=key):
        await desk.create("t", state={key: value})
    session = await desk.create("s", state={key: 1})
    with pytest.raises(InvalidValue, match=key):
        await desk.say(session, "hello", state={key: value})
    found = await desk.get("s")
    assert (found.state, found.events) == ({key: 1}, [])
    assert session.events == []
    assert await desk.get("t") is None


@ours
async def test_what_json_has_no_value_for_may_be_in_a_turn(desk):
    await desk.create("s", state={"temp:k": math.nan})
    await desk.say(await desk.get("s"), "hello", state={"temp:k": b"\xff"})
    assert await desk.state("s") == {}


@ours
async def test_a_set_of_several_is_a_list(desk):
    await desk.create("s", state={"k": {1, 2, 3}})
    assert sorted((await desk.state("s"))["k"]) == [1, 2, 3]


@ours
@pytest.mark.parametrize("prefix", ["", "user:", "app:"])
async def test_half_a_character_is_stored_and_spoils_nothing(desk, prefix):
    """A lone surrogate is no Unicode text; models that stream can split one."""
    session = await desk.create("s", state={f"{prefix}first": "a\ud83d", f"{prefix}n": 1})
    await desk.say(session, "hello", state={f"{prefix}then": ["\ud83d"], f"{prefix}m": 2})
    state = await desk.state("s")
    assert (state[f"{prefix}n"], state[f"{prefix}m"]) == (1, 2)
    assert "a" in state[f"{prefix}first"]
    assert f"{prefix}then" in state


@ours
async def test_a_value_that_holds_itself_is_stored_as_text(desk):
    loop: list = []
    loop.append(loop)
    session = await desk.create("s", state={"first": loop, "n": 1})
    await desk.say(session, state={"then": {"loop": loop}, "m": 2})
    state = await desk.state("s")
    assert (state["n"], state["m"]) == (1, 2)
    assert {"first", "then"} <= state.keys()


def nested(levels: int) -> dict:
    value: dict = {"leaf": 1}
    for _ in range(levels):
        value = {"a": value}
    return value


def endless() -> dict:
    value: dict = {"leaf": 1}
    value["a"] = value
    return value


ENDS = {
    "read by nobody": nested(200),
    "written by nobody": nested(300),
    "too deep to show": nested(3000),
    "endless": endless(),
}


@ours
@pytest.mark.parametrize("value", ENDS.values(), ids=ENDS)
async def test_an_event_that_is_nested_too_deeply_is_served_with_text_at_its_end(desk, value):
    """A tool's answer may be: pydantic writes deeper JSON than it reads."""
    session = await desk.create("s", state={"first": value})
    answer = types.Part.from_function_response(name="tool", response=value)
    await desk.say(session, content=types.Content(parts=[types.Part(text="before"), answer]))
    await desk.say(session, "after", custom_metadata=value, state={"then": value})
    found = await desk.get("s")
    assert [event.content.parts[0].text for event in found.events] == ["before", "after"]
    served = found.events[0].content.parts[1].function_response
    assert (served.name, served.response.keys()) == ("tool", value.keys())
    assert found.events[1].custom_metadata.keys() == value.keys()
    assert (found.state["first"].keys(), found.state["then"].keys()) == (value.keys(), value.keys())
    assert desk.service.store.stats().corrupt == 0


@ours
async def test_a_key_that_is_not_text_is_refused_or_stored_but_never_lost(desk):
    with pytest.raises((AttributeError, TypeError, ValueError)):
        await desk.create("s", state={1: "one"})
    assert await desk.get("s") is None


@ours
async def test_what_cannot_be_json_is_said_in_the_log(desk, caplog):
    await desk.create("s", state={"f": function})
    assert any("'f'" in record.getMessage() for record in caplog.records)
