"""ADK's events, as its session services store them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sojourn.sessions import Event
from sojourn.surfaces.renderers.model import (
    CallPart,
    CodePart,
    JsonPart,
    MediaPart,
    NoticePart,
    Part,
    Rendered,
    ResultPart,
    TextPart,
    ThoughtPart,
    items,
    mapping,
    usage,
    words,
)

_QUIET = {"role", "thought_signature", "media_resolution", "part_metadata", "video_metadata"}


def render(event: Event) -> Rendered:
    """What ADK's web UI shows of an event, and what its actions did."""
    said = mapping(event.payload)
    used = mapping(said.get("usage_metadata"))
    parts = list(_parts(said))
    if not parts and said and not event.state_delta:
        parts = [JsonPart({name: value for name, value in said.items() if name not in _QUIET})]
    results = bool(parts) and all(isinstance(part, ResultPart) for part in parts)
    return Rendered(
        "user" if event.author == "user" else "tool" if results else "assistant",
        parts,
        usage=usage(
            used.get("prompt_token_count"),
            used.get("candidates_token_count"),
            used.get("total_token_count"),
        ),
        turn=words(said.get("invocation_id")),
        partial=said.get("partial") is True,
        branch=words(said.get("branch")),
        model=words(said.get("model_version")),
    )


def _parts(said: Mapping[str, Any]) -> Iterator[Part]:
    content = said.get("content")
    if isinstance(content, str):
        yield TextPart(content)
    for part in items(mapping(content).get("parts")):
        yield from _part(mapping(part), part)
    for name in ("input_transcription", "output_transcription"):
        if text := words(mapping(said.get(name)).get("text")):
            yield TextPart(text)
    if said.get("output") is not None:
        yield JsonPart(said["output"])
    yield from _notes(said, mapping(said.get("actions")))


def _part(part: Mapping[str, Any], whole: object) -> Iterator[Part]:
    found = [made for name, make in _MAKE.items() if name in part for made in make(part[name])]
    if isinstance(part.get("text"), str):
        found.insert(0, (ThoughtPart if part.get("thought") is True else TextPart)(part["text"]))
    if not found and whole:
        found = [JsonPart(whole)]
    yield from found


def _call(value: object) -> Iterator[Part]:
    if call := mapping(value):
        yield CallPart(_name(call), call.get("args"), words(call.get("id")))


def _reply(value: object) -> Iterator[Part]:
    if reply := mapping(value):
        response = reply.get("response")
        failed = mapping(response).get("error") not in (None, False, "")
        yield ResultPart(_name(reply), response, words(reply.get("id")), error=failed)
        for nested in items(reply.get("parts")):
            yield from _part(mapping(nested), nested)


def _data(value: object) -> Iterator[Part]:
    if data := mapping(value):
        yield MediaPart(_mime(data), words(data.get("data")), None, words(data.get("display_name")))


def _file(value: object) -> Iterator[Part]:
    if file := mapping(value):
        yield MediaPart(
            _mime(file), None, words(file.get("file_uri")), words(file.get("display_name"))
        )


def _code(value: object) -> Iterator[Part]:
    if code := mapping(value):
        yield CodePart(words(code.get("code")), words(code.get("language")).lower())


def _printed(value: object) -> Iterator[Part]:
    if ran := mapping(value):
        yield CodePart(words(ran.get("output")), "output")


_MAKE: Mapping[str, Callable[[object], Iterator[Part]]] = {
    "function_call": _call,
    "tool_call": _call,
    "function_response": _reply,
    "tool_response": _reply,
    "inline_data": _data,
    "file_data": _file,
    "executable_code": _code,
    "code_execution_result": _printed,
}
"""What a part may hold, and what is made of it."""


def _name(call: Mapping[str, Any]) -> str:
    return words(call.get("name")) or words(call.get("tool_type"))


def _mime(data: Mapping[str, Any]) -> str:
    return words(data.get("mime_type")) or "application/octet-stream"


def _notes(said: Mapping[str, Any], actions: Mapping[str, Any]) -> Iterator[NoticePart]:
    code, message = words(said.get("error_code")), words(said.get("error_message"))
    if code or message:
        yield NoticePart(": ".join(filter(None, (code, message))), "error")
    if said.get("interrupted") is True:
        yield NoticePart("Interrupted by the user.")
    if agent := words(actions.get("transfer_to_agent")):
        yield NoticePart(f"Transferred to {agent}.")
    if actions.get("escalate") is True:
        yield NoticePart("Escalated to the agent above.")
    if back := words(actions.get("rewind_before_invocation_id")):
        yield NoticePart(f"Rewound to before {back}.")
    if compacted := mapping(actions.get("compaction")):
        yield NoticePart(_compaction(compacted))
    for name in mapping(actions.get("artifact_delta")):
        yield NoticePart(f"Saved the artifact {name}.")
    for name, label in (
        ("requested_auth_configs", "Asked for credentials."),
        ("requested_tool_confirmations", "Asked for a confirmation."),
    ):
        if mapping(actions.get(name)):
            yield NoticePart(label)


def _compaction(compacted: Mapping[str, Any]) -> str:
    parts = items(mapping(compacted.get("compacted_content")).get("parts"))
    text = " ".join(filter(None, (words(mapping(part).get("text")) for part in parts)))
    return f"Earlier events were summarised: {text}" if text else "Earlier events were summarised."
