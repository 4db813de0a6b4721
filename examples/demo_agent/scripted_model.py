"""A model that needs no API key: phrases become tool calls, tool results become sentences."""

import json
import re
from collections.abc import AsyncGenerator
from typing import Any

from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types

HELP = """I am a scripted model and understand:
- Show my session info
- Store test_key with value test_123
- Remember for me that color is blue
- Remember for everyone that season is autumn
- What is test_key?"""

THAT = r"[,:]?( that)?( my| the)?"
PHRASES = {
    r"(show )?(me )?(my |the |this )?session( info(rmation)?)?": "show_session_info",
    r"store (?P<key>.+?) with( the)? value (?P<value>.+)": "store_value",
    rf"remember for me{THAT} (?P<key>.+?) is (?P<value>.+)": "remember_for_user",
    rf"remember for everyone{THAT} (?P<key>.+?) is (?P<value>.+)": "remember_for_everyone",
    r"what(?: i|'|)s( my| the)? (?P<key>.+)": "recall_value",
}

WHOSE = {
    "session": "in this session",
    "user": "for you, in all your sessions",
    "app": "for everyone",
    "turn": "for this turn only",
}


class ScriptedModel(BaseLlm):
    """Answers like a model, by rule."""

    async def generate_content_async(
        self,
        llm_request: LlmRequest,
        stream: bool = False,
    ) -> AsyncGenerator[LlmResponse, None]:
        """Yield text word by word first where ADK streams, then the whole answer."""
        part = answer(llm_request.contents[-1]) if llm_request.contents else types.Part(text=HELP)
        if stream and part.text:
            for chunk in re.findall(r"\s*\S+", part.text):
                yield reply(types.Part(text=chunk), partial=True)
        yield reply(part, partial=False)


def reply(part: types.Part, *, partial: bool) -> LlmResponse:
    """Wrap one part as the model's response."""
    return LlmResponse(content=types.Content(role="model", parts=[part]), partial=partial)


def answer(content: types.Content) -> types.Part:
    """Word the tools' results if there are any, else do what the user says."""
    parts = content.parts or []
    results = [part.function_response for part in parts if part.function_response]
    if results:
        return types.Part(text="\n".join(word(result) for result in results))
    return understand(" ".join(part.text for part in parts if part.text))


def understand(text: str) -> types.Part:
    """Turn a phrase into a tool call."""
    phrase = tidy(text)
    for pattern, tool in PHRASES.items():
        if match := re.fullmatch(pattern, phrase, re.IGNORECASE | re.DOTALL):
            arguments = {name: tidy(value) for name, value in match.groupdict().items()}
            return types.Part(function_call=types.FunctionCall(name=tool, args=arguments))
    return types.Part(text=HELP)


def tidy(text: str) -> str:
    """Drop the quotes and the punctuation around a phrase, a key or a value."""
    straight = text.translate(str.maketrans("\u2018\u2019\u201c\u201d", "''\"\""))
    return straight.strip(" \t\r\n\"'`.,;!?")


def word(result: types.FunctionResponse) -> str:
    """Say in a sentence what a tool returned."""
    response = result.response or {}
    if result.name == "show_session_info":
        return word_session(response)
    if result.name == "recall_value":
        return word_recall(response)
    if "key" in response:
        return f"Stored {response['key']} = {response['value']} {WHOSE[response['scope']]}."
    return json.dumps(response, ensure_ascii=False)


def word_session(info: dict[str, Any]) -> str:
    """List what the session holds; the web UI shows Markdown."""
    lines = [
        f"- Session ID: {info['session_id']}",
        f"- User: {info['user_id']}",
        f"- App: {info['app_name']}",
        f"- Events: {info['events']}",
    ]
    for scope, values in info["state"].items():
        lines.append(f"- State of the {scope}: `{json.dumps(values, ensure_ascii=False)}`")
    return "\n".join(lines)


def word_recall(recalled: dict[str, Any]) -> str:
    """Say each value that was found and whose it is."""
    values = [
        f"{found['key']} is {found['value']} ({WHOSE[found['scope']]})."
        for found in recalled["found"]
    ]
    return " ".join(values) or f"I do not know {recalled['key']}."
