"""Messages with a role or a type, as LangChain, LangGraph, OpenAI and plain histories have them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sojourn.surfaces.renderers.model import (
    CallPart,
    JsonPart,
    MediaPart,
    Part,
    Rendered,
    ResultPart,
    Role,
    TextPart,
    ThoughtPart,
    items,
    mapping,
    usage,
    words,
)

_ROLES: Mapping[str, Role] = {
    "human": "user",
    "user": "user",
    "ai": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
    "system": "system",
    "developer": "system",
}


def role_of(word: str) -> Role:
    """Who speaks under a framework's word; chunks of messages speak as these."""
    plain = word.lower().removesuffix("chunk").removesuffix("message")
    return _ROLES.get(plain, "assistant")


def is_message(value: object) -> bool:
    """Whether a value looks like one: content or calls, and a role or a type."""
    known = mapping(value)
    return ("content" in known or "tool_calls" in known) and bool(
        words(known.get("role")) or words(known.get("type"))
    )


def render(message: Mapping[str, Any], role: str = "") -> Rendered:
    """A message as people read it.

    Args:
        message: `content`, and what else its framework adds.
        role: who speaks, if the message does not say it.
    """
    word = role or words(message.get("role")) or words(message.get("type"))
    used = mapping(message.get("usage_metadata")) or mapping(message.get("usage"))
    told = mapping(message.get("response_metadata"))
    return Rendered(
        role_of(word),
        list(_parts(message, role_of(word))),
        usage=usage(
            used.get("input_tokens", used.get("prompt_tokens")),
            used.get("output_tokens", used.get("completion_tokens")),
            used.get("total_tokens"),
        ),
        model=words(told.get("model_name")) or words(told.get("model")),
    )


def _parts(message: Mapping[str, Any], role: Role) -> Iterator[Part]:
    content: object = message.get("content")
    blocks = items(content)
    if role == "tool":
        yield ResultPart(
            words(message.get("name")),
            _loaded(content),
            words(message.get("tool_call_id")),
            error=message.get("status") == "error",
        )
    elif isinstance(content, str):
        if content:
            yield TextPart(content)
    elif blocks:
        for block in blocks:
            yield from _block(block)
    elif content is not None and content != []:
        yield JsonPart(content)
    shown = {words(mapping(each).get("id")) for each in blocks}
    for call in map(mapping, items(message.get("tool_calls"))):
        function = mapping(call.get("function"))
        if words(call.get("id")) not in shown - {""}:
            name = words(call.get("name")) or words(function.get("name"))
            given = call.get("args", _loaded(function.get("arguments")))
            yield CallPart(name, given, words(call.get("id")))
    for call in map(mapping, items(message.get("invalid_tool_calls"))):
        yield CallPart(words(call.get("name")), call.get("args"), words(call.get("id")))


def _block(block: object) -> Iterator[Part]:
    if isinstance(block, str):
        yield TextPart(block)
        return
    known = mapping(block)
    kind = words(known.get("type"))
    if kind in ("text", "input_text", "output_text") and isinstance(known.get("text"), str):
        yield TextPart(known["text"])
    elif kind in ("thinking", "reasoning"):
        yield ThoughtPart(words(known.get("thinking")) or words(known.get("reasoning")))
    elif kind in ("tool_use", "tool_call"):
        given = known.get("input", known.get("args"))
        yield CallPart(words(known.get("name")), given, words(known.get("id")))
    elif kind == "tool_result":
        yield ResultPart("", known.get("content"), words(known.get("tool_use_id")))
    elif media := _media(kind, known):
        yield media
    else:
        yield JsonPart(block)


def _media(kind: str, block: Mapping[str, Any]) -> MediaPart | None:
    if kind == "image_url":
        url = words(mapping(block.get("image_url")).get("url")) or words(block.get("image_url"))
        return _of_url(url, "image/*") if url else None
    if kind in ("image", "audio", "video", "file"):
        source = mapping(block.get("source")) or block
        mime = words(source.get("mime_type")) or words(source.get("media_type"))
        data = words(source.get("base64")) or words(source.get("data"))
        url = words(source.get("url"))
        if data or url:
            return MediaPart(mime or f"{kind}/*", data=data or None, url=url or None)
    return None


def _of_url(url: str, mime: str) -> MediaPart:
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        return MediaPart(head.removeprefix("data:").removesuffix(";base64") or mime, data=data)
    return MediaPart(mime, url=url)


def _loaded(value: object) -> Any:
    """JSON in a text as what it says; any other text as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
