"""A chat model for any OpenAI-compatible endpoint, with nothing but the standard library.

With langchain-openai installed, `ChatOpenAI(base_url=…)` takes its place.
"""

import json
import urllib.request
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool


class EndpointModel(BaseChatModel):
    """Asks `POST {base_url}/chat/completions`."""

    base_url: str
    model: str
    api_key: str = ""

    @property
    def _llm_type(self) -> str:
        return "openai-compatible"

    def bind_tools(self, tools: Sequence[BaseTool], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain hands it over
        **kwargs: Any,
    ) -> ChatResult:
        body = {"model": self.model, "messages": convert_to_openai_messages(messages), **kwargs}
        if stop:
            body["stop"] = stop
        request = urllib.request.Request(
            f"{self.base_url}/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.api_key}"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        return ChatResult(generations=[ChatGeneration(message=message_of(answer))])


def message_of(answer: dict[str, Any]) -> AIMessage:
    """What the endpoint has answered, as LangChain's message."""
    choice, used = answer["choices"][0], answer.get("usage") or {}
    said = choice["message"]
    return AIMessage(
        content=said.get("content") or "",
        tool_calls=[
            {
                "id": call["id"],
                "name": call["function"]["name"],
                "args": json.loads(call["function"]["arguments"]),
            }
            for call in said.get("tool_calls") or []
        ],
        usage_metadata={
            "input_tokens": used.get("prompt_tokens", 0),
            "output_tokens": used.get("completion_tokens", 0),
            "total_tokens": used.get("total_tokens", 0),
        },
        response_metadata={
            "model_name": answer.get("model"),
            "finish_reason": choice["finish_reason"],
        },
    )
