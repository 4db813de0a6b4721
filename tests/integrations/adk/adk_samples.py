"""A value, or several, for every field of ADK's events and for every kind of part."""

from __future__ import annotations

from typing import Any

from fastapi.openapi.models import APIKey, APIKeyIn
from google.adk.auth.auth_credential import AuthCredential, AuthCredentialTypes
from google.adk.auth.auth_tool import AuthConfig
from google.adk.events.event import NodeInfo
from google.adk.events.event_actions import EventActions, EventCompaction
from google.adk.events.ui_widget import UiWidget
from google.adk.models.cache_metadata import CacheMetadata
from google.adk.tools.tool_confirmation import ToolConfirmation
from google.genai import types

TRICKY: dict[str, Any] = {
    "none": None,
    "list": [],
    "dict": {},
    "deep": {"none": None, "list": [None, [], {}], "dict": {"": {}}},
    "numbers": [0, -0.0, 1.0, 2**70, 1e-9],
    "text": "naïve 🙂 \0 \u2028 </script>",
    "snake_case": {"camelCase": True, "kebab-case": False},
}
"""JSON that careless stores change: Nones, empties, big numbers, keys that look like aliases."""

BYTES = bytes(range(256))
"""No UTF-8, and base64 of it holds both `+/` and `-_` characters."""


def _content(*parts: types.Part) -> types.Content:
    return types.Content(role="model", parts=list(parts))


PARTS: dict[str, types.Part] = {
    "text": types.Part(text="naïve 🙂 \0\u2028"),
    "empty text": types.Part(text=""),
    "thought": types.Part(text="hm", thought=True, thought_signature=BYTES),
    "inline bytes": types.Part(inline_data=types.Blob(data=BYTES, mime_type="image/png")),
    "no bytes": types.Part(inline_data=types.Blob(data=b"", mime_type="a/b", display_name="n")),
    "bytes that look like base64": types.Part(
        inline_data=types.Blob(data=b"aGVsbG8=", mime_type="text/plain")
    ),
    "a megabyte": types.Part(inline_data=types.Blob(data=BYTES * 4096, mime_type="a/b")),
    "file": types.Part(file_data=types.FileData(file_uri="gs://b/o", mime_type="video/mp4")),
    "function call": types.Part(
        function_call=types.FunctionCall(id="c1", name="tool", args=TRICKY),
        thought_signature=b"\xff\xfe",
    ),
    "function call with no arguments": types.Part(
        function_call=types.FunctionCall(id="c1", name="tool", args={})
    ),
    "function response": types.Part(
        function_response=types.FunctionResponse(id="c1", name="tool", response=TRICKY)
    ),
    "executable code": types.Part(
        executable_code=types.ExecutableCode(code="print(1)\n", language=types.Language.PYTHON)
    ),
    "code result": types.Part(
        code_execution_result=types.CodeExecutionResult(
            outcome=types.Outcome.OUTCOME_OK, output="1\n"
        )
    ),
    "video metadata": types.Part(
        file_data=types.FileData(file_uri="gs://b/v"),
        video_metadata=types.VideoMetadata(start_offset="1s", end_offset="2.5s", fps=0.5),
    ),
}

_AUTH = AuthConfig(
    auth_scheme=APIKey(**{"in": APIKeyIn.header, "name": "X-Key"}),
    raw_auth_credential=AuthCredential(auth_type=AuthCredentialTypes.API_KEY, api_key="secret"),
)

ACTIONS: dict[str, list[Any]] = {
    "skip_summarization": [True, False],
    "state_delta": [{"k": TRICKY, "user:u": None, "app:a": []}],
    "artifact_delta": [{"file.txt": 3, "user:mine.png": 0}],
    "transfer_to_agent": ["other"],
    "transfer_reason": ["it knows more"],
    "escalate": [True, False],
    "requested_auth_configs": [{"call-1": _AUTH}],
    "requested_tool_confirmations": [
        {"call-1": ToolConfirmation(hint="sure?", confirmed=True, payload=TRICKY)}
    ],
    "compaction": [
        EventCompaction(
            start_timestamp=1.25,
            end_timestamp=2.5,
            compacted_content=_content(types.Part(text="in short"), PARTS["inline bytes"]),
        )
    ],
    "end_of_agent": [True, False],
    "agent_state": [TRICKY, {}],
    "rewind_before_invocation_id": ["inv-3"],
    "route": [True, 7, "left", ["a", 1, False]],
    "render_ui_widgets": [[UiWidget(id="w", provider="mcp", payload=TRICKY)], []],
    "set_model_response": [TRICKY, "text", 0, [], {}],
}


def _newest() -> dict[str, list[Any]]:
    """Fields whose types the oldest google-genai does not have."""
    if not hasattr(types, "InteractionStatus"):
        return {}
    return {
        "interaction_status": [types.InteractionStatus.IDLE],
        "voice_activity": [types.VoiceActivity(audio_offset="1.5s")],
    }


FIELDS: dict[str, list[Any]] = {
    "model_version": ["gemini-2.5-flash"],
    "content": [types.Content(), types.Content(role="user", parts=[])],
    "grounding_metadata": [
        types.GroundingMetadata(
            web_search_queries=["q"],
            grounding_chunks=[
                types.GroundingChunk(web=types.GroundingChunkWeb(uri="https://a", title="A"))
            ],
            grounding_supports=[
                types.GroundingSupport(
                    confidence_scores=[0.5],
                    grounding_chunk_indices=[0],
                    segment=types.Segment(start_index=0, end_index=3, text="abc"),
                )
            ],
            search_entry_point=types.SearchEntryPoint(rendered_content="<b>", sdk_blob=BYTES),
        )
    ],
    "partial": [False],
    "turn_complete": [True, False],
    "turn_complete_reason": [types.TurnCompleteReason.RESPONSE_REJECTED],
    "finish_reason": [types.FinishReason.MAX_TOKENS],
    "error_code": ["429"],
    "error_message": ["too many\nrequests"],
    "interrupted": [True, False],
    "custom_metadata": [TRICKY, {}],
    "usage_metadata": [
        types.GenerateContentResponseUsageMetadata(
            prompt_token_count=1,
            total_token_count=2**40,
            prompt_tokens_details=[
                types.ModalityTokenCount(modality=types.MediaModality.TEXT, token_count=1)
            ],
        )
    ],
    "live_session_resumption_update": [
        types.LiveServerSessionResumptionUpdate(
            new_handle="h", resumable=True, last_consumed_client_message_index=3
        )
    ],
    "live_session_id": ["live-1"],
    "go_away": [types.LiveServerGoAway(time_left="10s")],
    "input_transcription": [types.Transcription(text="said", finished=True)],
    "output_transcription": [types.Transcription(text="answered", finished=False)],
    "avg_logprobs": [-0.25],
    "logprobs_result": [
        types.LogprobsResult(
            chosen_candidates=[
                types.LogprobsResultCandidate(token="a", token_id=1, log_probability=-0.5)
            ]
        )
    ],
    "cache_metadata": [
        CacheMetadata(
            cache_name="c",
            expire_time=2.5,
            fingerprint="f",
            invocations_used=1,
            contents_count=2,
            created_at=1.5,
        )
    ],
    "citation_metadata": [
        types.CitationMetadata(citations=[types.Citation(uri="https://a", start_index=1)])
    ],
    "interaction_id": ["interaction-1"],
    "environment_id": ["environment-1"],
    "invocation_id": ["", "inv-1"],
    "author": ["user", "agent 🙂", ""],
    "actions": [EventActions()],
    "output": [TRICKY, "text", 0, False, [], {}, [None]],
    "node_info": [
        NodeInfo(path="a/b@1", output_for=["a", "a/b"], message_as_output=True),
        NodeInfo(output_for=[]),
    ],
    "long_running_tool_ids": [{"call-1"}, set()],
    "branch": ["a.b.c"],
    "isolation_scope": ["call-1"],
    "id": ["e-1", "🙂 {}:*\n"],
    "timestamp": [1_700_000_000.123456, 0.0],
    **_newest(),
}
