"""Messages of nothing but text become what other messages become, and all come back."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from sojourn.integrations.langgraph import values

TEXT = "".join(map(chr, range(0x300))) + '"\\/\u2028\u2029\ufeff\U0001f600'
PLAIN: list[Any] = [
    HumanMessage(TEXT),
    AIMessage("", id="a"),
    SystemMessage("x"),
    RemoveMessage("i"),
]
OTHERS: list[Any] = [
    HumanMessage([{"type": "text", "text": "x"}]),
    AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1", "type": "tool_call"}]),
    HumanMessage("x", own=1),
    HumanMessage("x", additional_kwargs={"a": 1}),
    AIMessage("x", name=""),
    SystemMessage("x", name=TEXT),
    *(ToolMessage("x", tool_call_id="1", artifact=each) for each in (None, 0, {}, [])),
    HumanMessage("x", id=""),
]


@pytest.mark.parametrize("message", PLAIN, ids=range(len(PLAIN)))
def test_plain_messages_become_the_same_bytes(
    message: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    serde = JsonPlusSerializer()
    quick = values.to_content(message, serde)
    monkeypatch.setattr(values, "_simple", lambda _: None)
    assert quick == values.to_content(message, serde)


@pytest.mark.parametrize("message", PLAIN + OTHERS, ids=range(len(PLAIN + OTHERS)))
def test_each_comes_back_as_it_was(message: Any) -> None:
    serde = JsonPlusSerializer(allowed_msgpack_modules=None)
    made = values.of_content(values.to_content(message, serde), serde)
    assert made == message
    assert type(made) is type(message)
