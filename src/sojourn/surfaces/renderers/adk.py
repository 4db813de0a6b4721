"""ADK's events, as its session services store them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sojourn.sessions import Event
from sojourn.surfaces.renderers.model import (
    Call,
    Code,
    Json,
    Media,
    Note,
    Part,
    Rendered,
    Result,
    Text,
    Thought,
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
        parts = [Json({name: value for name, value in said.items() if name not in _QUIET})]
    results = bool(parts) and all(isinstance(part, Result) for part in parts)
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
        yield Text(content)
    for part in items(mapping(content).get("parts")):
        yield from _part(mapping(part), part)
    for name in ("input_transcription", "output_transcription"):
        if text := words(mapping(said.get(name)).get("text")):
            yield Text(text)
    if said.get("output") is not None:
        yield Json(said["output"])
    yield from _notes(said, mapping(said.get("actions")))


def _part(part: Mapping[str, Any], whole: object) -> Iterator[Part]:
    known = False
    if isinstance(part.get("text"), str):
        known = True
        yield (Thought if part.get("thought") is True else Text)(part["text"])
    for name, kind in (("function_call", "args"), ("tool_call", "args")):
        if call := mapping(part.get(name)):
            known = True
            called = words(call.get("name")) or words(call.get("tool_type"))
            yield Call(called, call.get(kind), words(call.get("id")))
    for name in ("function_response", "tool_response"):
        if reply := mapping(part.get(name)):
            known = True
            value = reply.get("response")
            error = mapping(value).get("error") not in (None, False, "")
            called = words(reply.get("name")) or words(reply.get("tool_type"))
            yield Result(called, value, words(reply.get("id")), error=error)
            for nested in items(reply.get("parts")):
                yield from _part(mapping(nested), nested)
    if data := mapping(part.get("inline_data")):
        known = True
        yield Media(
            words(data.get("mime_type")) or "application/octet-stream",
            data=words(data.get("data")),
            name=words(data.get("display_name")),
        )
    if file := mapping(part.get("file_data")):
        known = True
        yield Media(
            words(file.get("mime_type")) or "application/octet-stream",
            url=words(file.get("file_uri")),
            name=words(file.get("display_name")),
        )
    if code := mapping(part.get("executable_code")):
        known = True
        yield Code(words(code.get("code")), words(code.get("language")).lower())
    if ran := mapping(part.get("code_execution_result")):
        known = True
        yield Code(words(ran.get("output")), "output")
    if not known and whole:
        yield Json(whole)


def _notes(said: Mapping[str, Any], actions: Mapping[str, Any]) -> Iterator[Note]:
    code, message = words(said.get("error_code")), words(said.get("error_message"))
    if code or message:
        yield Note(": ".join(filter(None, (code, message))), "error")
    if said.get("interrupted") is True:
        yield Note("Interrupted by the user.")
    if agent := words(actions.get("transfer_to_agent")):
        yield Note(f"Transferred to {agent}.")
    if actions.get("escalate") is True:
        yield Note("Escalated to the agent above.")
    if back := words(actions.get("rewind_before_invocation_id")):
        yield Note(f"Rewound to before {back}.")
    if compacted := mapping(actions.get("compaction")):
        yield Note(_compaction(compacted))
    for name in mapping(actions.get("artifact_delta")):
        yield Note(f"Saved the artifact {name}.")
    for name, label in (
        ("requested_auth_configs", "Asked for credentials."),
        ("requested_tool_confirmations", "Asked for a confirmation."),
    ):
        if mapping(actions.get(name)):
            yield Note(label)


def _compaction(compacted: Mapping[str, Any]) -> str:
    parts = items(mapping(compacted.get("compacted_content")).get("parts"))
    text = " ".join(filter(None, (words(mapping(part).get("text")) for part in parts)))
    return f"Earlier events were summarised: {text}" if text else "Earlier events were summarised."
