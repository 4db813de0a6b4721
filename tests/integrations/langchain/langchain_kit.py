"""Messages of every class, with every field that they have."""

from __future__ import annotations

import inspect
from typing import Any

import langchain_core.messages
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    BaseMessageChunk,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)

EVERY_CLASS = {
    each
    for name in langchain_core.messages.__all__
    if inspect.isclass(each := getattr(langchain_core.messages, name))
    and issubclass(each, BaseMessage)
}
"""The message classes of the langchain-core that is installed."""

ABSTRACT = {BaseMessage, BaseMessageChunk}

PARTS: list[Any] = [
    "bare text",
    {"type": "text", "text": "🦊", "annotations": [{"type": "citation", "url": "https://x"}]},
    {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
    {"type": "reasoning", "reasoning": "hm", "extras": {"signature": "s"}},
    {"type": "image_url", "image_url": {"url": "https://x", "detail": None}},
    {"text": "no type"},
]
COMMON: dict[str, Any] = {
    "content": PARTS,
    "id": "m-1",
    "name": "ada",
    "additional_kwargs": {"a": {"b": [1, 2.5, None, True]}, "big": 2**70},
    "response_metadata": {"model_name": "m", "logprobs": [{"token": "x", "logprob": -0.1}]},
    "example": True,
    "of_their_own": {"x": []},
}
USAGE = {
    "input_tokens": 1,
    "output_tokens": 2,
    "total_tokens": 3,
    "input_token_details": {"cache_read": 1},
    "output_token_details": {"reasoning": 2},
}
AI: dict[str, Any] = {
    "tool_calls": [{"name": "f", "args": {"x": [1, {}]}, "id": "c1", "type": "tool_call"}],
    "invalid_tool_calls": [
        {"name": "g", "args": "{oops", "id": None, "error": "no JSON", "type": "invalid_tool_call"}
    ],
    "usage_metadata": USAGE,
}
CHUNKS: dict[str, Any] = {
    "tool_call_chunks": [
        {"name": "f", "args": '{"x":', "id": "c1", "index": 0, "type": "tool_call_chunk"},
        {"name": "g", "args": "[1]", "id": "c2", "index": 1, "type": "tool_call_chunk"},
    ],
    "usage_metadata": USAGE,
}
TOOL: dict[str, Any] = {
    "tool_call_id": "c1",
    "artifact": {"rows": [[1, "a"], [2, None]], "deep": {"er": 1.5}},
    "status": "error",
}
OWN: dict[type[BaseMessage], dict[str, Any]] = {
    AIMessage: AI,
    AIMessageChunk: CHUNKS,
    ChatMessage: {"role": "critic"},
    ChatMessageChunk: {"role": "critic"},
    FunctionMessage: {},
    FunctionMessageChunk: {},
    HumanMessage: {},
    HumanMessageChunk: {},
    RemoveMessage: {"content": ""},
    SystemMessage: {},
    SystemMessageChunk: {},
    ToolMessage: TOOL,
    ToolMessageChunk: TOOL,
}
"""What each class has beside `COMMON`."""


def full(kind: type[BaseMessage]) -> BaseMessage:
    """A message of a class with all of its fields set."""
    return kind(**{**COMMON, **OWN[kind]})


def bare(kind: type[BaseMessage]) -> BaseMessage:
    """A message of a class with as little as it takes."""
    needed = {
        name: OWN[kind].get(name, COMMON.get(name))
        for name, field in kind.model_fields.items()
        if field.is_required()
    }
    return kind(**{**needed, "content": "", **({"id": "x"} if kind is RemoveMessage else {})})


def everything() -> list[BaseMessage]:
    """Messages of all classes."""
    return [make(kind) for kind in OWN for make in (full, bare)]
