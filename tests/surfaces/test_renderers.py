"""Renderers: what people read of the events of each framework, and of events from hell."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from google.adk.events import Event as AdkEvent
from google.adk.events import EventActions
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

import sojourn
from extent import examples
from sojourn import Event, SessionKey
from sojourn.integrations.adk.events import to_event
from sojourn.integrations.langchain import ChatMessageHistory
from sojourn.surfaces.renderers import Rendered, message, render
from sojourn.surfaces.renderers.model import Usage


def plain(rendered: Rendered) -> list[dict[str, Any]]:
    """The parts as the page gets them."""
    return msgspec.to_builtins(rendered.parts)


def adk(*parts: types.Part, **members: Any) -> Rendered:
    content = types.Content(role="model", parts=list(parts)) if parts else None
    event = AdkEvent(author="agent", invocation_id="i1", content=content, **members)
    stored = to_event(event)
    return render(msgspec.structs.replace(stored, payload=msgspec.json.decode(stored.payload)))


def test_a_turn_of_adk() -> None:
    call = types.FunctionCall(id="c1", name="find", args={"a": 1})
    found = adk(
        types.Part(text="hm", thought=True),
        types.Part(text="Look."),
        types.Part(function_call=call),
        usage_metadata=types.GenerateContentResponseUsageMetadata(
            prompt_token_count=8, candidates_token_count=2, total_token_count=10
        ),
        branch="a.b",
        partial=True,
        model_version="m-1",
    )
    assert plain(found) == [
        {"type": "thought", "text": "hm"},
        {"type": "text", "text": "Look."},
        {"type": "call", "name": "find", "arguments": {"a": 1}, "id": "c1"},
    ]
    assert found.usage == Usage(8, 2, 10)
    assert (found.role, found.turn, found.branch, found.partial, found.model) == (
        *("assistant", "i1", "a.b", True),
        "m-1",
    )


def test_what_tools_and_code_gave_to_adk() -> None:
    reply = types.FunctionResponse(id="c1", name="find", response={"error": "none"})
    found = adk(types.Part(function_response=reply))
    assert plain(found) == [
        {"type": "result", "name": "find", "value": {"error": "none"}, "id": "c1", "error": True}
    ]
    assert found.role == "tool"
    found = adk(
        types.Part(
            executable_code=types.ExecutableCode(code="1+1", language=types.Language.PYTHON)
        ),
        types.Part(
            code_execution_result=types.CodeExecutionResult(
                output="2", outcome=types.Outcome.OUTCOME_OK
            )
        ),
        types.Part(inline_data=types.Blob(mime_type="image/png", data=b"\x89")),
        types.Part(file_data=types.FileData(mime_type="audio/wav", file_uri="gs://a/b")),
    )
    assert [(part["type"], part.get("text"), part.get("mime")) for part in plain(found)] == [
        ("code", "1+1", None),
        ("code", "2", None),
        ("media", None, "image/png"),
        ("media", None, "audio/wav"),
    ]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"actions": EventActions(transfer_to_agent="billing")}, "billing"),
        ({"actions": EventActions(rewind_before_invocation_id="i0")}, "i0"),
        ({"actions": EventActions(escalate=True)}, "Escalated"),
        ({"actions": EventActions(artifact_delta={"a.png": 1})}, "a.png"),
        ({"error_code": "429", "error_message": "slow down"}, "429: slow down"),
        ({"interrupted": True}, "Interrupted"),
    ],
)
def test_what_happened_to_the_conversation(members: dict[str, Any], said: str) -> None:
    (note,) = plain(adk(**members))
    assert note["type"] == "notice"
    assert said in note["text"]


def test_a_compaction_of_adk() -> None:
    summary = {"parts": [{"text": "They like tea."}]}
    payload = {"actions": {"compaction": {"compacted_content": summary, "start_timestamp": 1}}}
    (note,) = plain(render(Event(author="agent", kind="adk", payload=payload)))
    assert "They like tea." in note["text"]


async def test_conversations_of_langchain() -> None:
    calls = [{"name": "find", "args": {"a": 1}, "id": "c1", "type": "tool_call"}]
    used: Any = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    said = [
        HumanMessage("Hello"),
        AIMessage("", tool_calls=calls, usage_metadata=used),
        ToolMessage('{"b": 2}', tool_call_id="c1", name="find"),
    ]
    async with sojourn.open("memory://") as store:
        await ChatMessageHistory(SessionKey.of("shop", "ada", "s"), store).aadd_messages(said)
        session = await store.sessions.get(SessionKey.of("shop", "ada", "s"))
    assert session is not None
    human, ai, tool = [render(event) for event in session.events]
    assert (human.role, plain(human)) == ("user", [{"type": "text", "text": "Hello"}])
    assert plain(ai) == [{"type": "call", "name": "find", "arguments": {"a": 1}, "id": "c1"}]
    assert ai.usage == Usage(3, 4, 7)
    assert (tool.role, plain(tool)[0]["value"], plain(tool)[0]["id"]) == ("tool", {"b": 2}, "c1")


def test_messages_of_threads_and_of_openai() -> None:
    function = {"name": "find", "arguments": '{"a": 1}'}
    found = message(
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": function}]}
    )
    assert found is not None
    assert plain(found) == [{"type": "call", "name": "find", "arguments": {"a": 1}, "id": "c"}]
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
    found = message({"type": "human", "content": ["See", picture]})
    assert found is not None
    assert [part["type"] for part in plain(found)] == ["text", "media"]
    assert message({"a": 1}) is message("text") is None


async def test_a_plain_history_and_plain_events() -> None:
    async with sojourn.open("memory://") as store:
        history = store.history(SessionKey.of("shop", "ada", "s"))
        await history.append("user", "Hello")
        await history.append("assistant", [{"type": "text", "text": "Hi"}])
        session = await store.sessions.get(history.key)
    assert session is not None
    assert [(each.role, plain(each)[0]["text"]) for each in map(render, session.events)] == [
        ("user", "Hello"),
        ("assistant", "Hi"),
    ]
    assert plain(render(Event(author="user", payload="x"))) == [{"type": "text", "text": "x"}]
    assert plain(render(Event(author="a", payload={"x": 1}))) == [
        {"type": "json", "value": {"x": 1}}
    ]
    assert not plain(render(Event(author="a", payload=None, state_delta={"x": 1})))


_NAMES = st.sampled_from(
    [
        *("content", "parts", "text", "function_call", "function_response", "inline_data", "data"),
        *("actions", "compaction", "usage_metadata", "args", "name", "id", "response", "role"),
        *("type", "tool_calls", "metadata", "langchain", "image_url", "url", "source", "output"),
    ]
)
_HELL = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=examples(300), deadline=None)
@given(payload=_HELL, kind=st.sampled_from(["adk", "message", "other"]))
def test_no_event_is_too_strange(payload: Any, kind: str) -> None:
    """Whatever it holds is rendered, as JSON can hold it."""
    rendered = render(Event(author="user", payload=payload, kind=kind))
    msgspec.json.encode(rendered)
