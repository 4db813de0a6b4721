"""Every message of LangChain's goes in and comes out as it was, or is refused."""

from __future__ import annotations

import json
import math
from enum import Enum
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_kit import ABSTRACT, EVERY_CLASS, OWN, bare, everything, full

from sojourn import InvalidValue
from sojourn.integrations.langchain.messages import CLASSES, dump, load


def again(message: BaseMessage) -> BaseMessage:
    return load(json.loads(json.dumps(dump(message))))


def test_every_class_of_langchain_is_known() -> None:
    assert set(CLASSES.values()) == set(OWN) == EVERY_CLASS - ABSTRACT


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.__name__)
def test_a_message_with_all_of_its_fields_comes_back(kind: type[BaseMessage]) -> None:
    message = full(kind)
    unset = {"chunk_position"}  # of the last chunk only
    for name in kind.model_fields.keys() - unset:
        assert getattr(message, name) not in (None, [], {}), name
    found = again(message)
    assert type(found) is kind
    assert found == message
    assert found.model_dump() == message.model_dump()
    assert dumps(found) == dumps(message)


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.__name__)
def test_a_message_with_few_fields_comes_back(kind: type[BaseMessage]) -> None:
    message = bare(kind)
    assert again(message) == message
    assert again(message).model_dump() == message.model_dump()
    assert len(dump(message)) <= 4


def test_what_was_taken_out_of_a_message_stays_out() -> None:
    raw = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = AIMessage("", additional_kwargs={"tool_calls": [raw]})
    message.tool_calls = []
    assert AIMessage(**message.model_dump()).tool_calls  # LangChain's own dump brings it back
    assert again(message) == message


def test_chunks_that_were_added_come_back() -> None:
    call = {"name": "f", "args": '{"x":', "id": "c", "index": 0}
    rest = {"name": None, "args": "1}", "id": None, "index": 0}
    added = AIMessageChunk("a", tool_call_chunks=[call]) + AIMessageChunk(
        "b", tool_call_chunks=[rest]
    )
    assert again(added) == added
    assert added.tool_calls[0]["args"] == {"x": 1}


class Point:
    pass


class Colour(str, Enum):
    RED = "red"


@pytest.mark.parametrize(
    "artifact",
    [
        Point(),
        Document("text"),
        b"bytes",
        {1, 2},
        math.nan,
        (1, 2),
        {"a": [(1, 2)]},
        {1: "a"},
        "\ud800",
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_is_refused(artifact: Any) -> None:
    with pytest.raises(InvalidValue, match="artifact of a ToolMessage"):
        dump(ToolMessage("x", tool_call_id="1", artifact=artifact))


def test_text_of_a_subclass_is_text() -> None:
    assert again(HumanMessage("x", colour=Colour.RED)) == HumanMessage("x", colour="red")


class Loud(HumanMessage):
    pass


@pytest.mark.parametrize("message", [Loud("x"), BaseMessage(content="x", type="human")])
def test_a_class_that_would_not_come_back_is_refused(message: BaseMessage) -> None:
    with pytest.raises(InvalidValue, match="message classes"):
        dump(message)


def test_a_message_that_is_none_is_refused() -> None:
    message = HumanMessage("x")
    message.content = 3  # type: ignore[assignment]
    with pytest.raises(InvalidValue, match="HumanMessage"):
        dump(message)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"type": "os.system", "content": "x"},
        {"type": ["human"], "content": "x"},
        {"type": "human"},
        {"type": "human", "content": 3},
        {"type": "tool", "content": 3, "tool_call_id": "1"},
        {"type": "tool", "content": "x"},
        {"type": "ai", "content": "x", "tool_calls": "oops"},
        {"type": "ai", "content": "x", "tool_calls": [{"nonsense": 1}]},
        {"type": "ai", "content": "x", "additional_kwargs": []},
        {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {}},
    ],
)
def test_what_is_no_message_is_a_value_error(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"type|fields|content"):
        load(fields)


def test_the_kit_tries_every_class() -> None:
    assert {type(message) for message in everything()} == set(OWN)
