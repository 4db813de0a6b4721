"""ADK's Runner with its memory tools, over each service."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from google.adk.agents import Agent
from google.adk.memory import InMemoryMemoryService
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.tools import load_memory, preload_memory
from google.genai import types
from memory_kit import beside

from sojourn.integrations.adk import MemoryService


class Forgetful(BaseLlm):
    """A model that asks its memory when it is asked what it knows, and says what came of it."""

    model: str = "forgetful"

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        part = llm_request.contents[-1].parts[0]
        if part.function_response:
            reply = types.Part(text=f"I know: {part.function_response.response}")
        elif "know" in (part.text or ""):
            call = types.FunctionCall(name="load_memory", args={"query": part.text})
            reply = types.Part(function_call=call)
        else:
            reply = types.Part(text="Noted.")
        yield LlmResponse(content=types.Content(role="model", parts=[reply]))


class Parrot(BaseLlm):
    """A model that says all that it was told."""

    model: str = "parrot"

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        told = [part.text or "" for each in llm_request.contents for part in each.parts]
        told.append(str(llm_request.config.system_instruction))
        reply = types.Part(text="\n".join(told))
        yield LlmResponse(content=types.Content(role="model", parts=[reply]))


async def keep(callback_context) -> None:
    await callback_context.add_session_to_memory()


@pytest.fixture
def memory(service):
    return beside(service)


def runner_with(model, tool, service, memory, app) -> Runner:
    agent = Agent(name="clerk", model=model, tools=[tool], after_agent_callback=keep)
    return Runner(app_name=app, agent=agent, session_service=service, memory_service=memory)


async def say(runner: Runner, text: str, session: str, user: str = "ada") -> str:
    message = types.Content(role="user", parts=[types.Part(text=text)])
    said = [
        event
        async for event in runner.run_async(user_id=user, session_id=session, new_message=message)
    ]
    return said[-1].content.parts[0].text


async def test_a_second_session_knows_what_was_said_in_the_first(desk, memory, app, shared_server):
    for user in ("ada", "bob"):
        for session in ("first", "second"):
            await desk.create(session, user=user)
    first = runner_with(Forgetful(), load_memory, desk.service, memory, app)
    assert await say(first, "My parcel has the number 4711", "first") == "Noted."
    await say(first, "I prefer jasmine tea", "first")

    anew = memory
    if not isinstance(memory, InMemoryMemoryService) and memory.store.where != "memory://":
        anew = MemoryService(shared_server.url, near_cache_bytes=0)  # a store of its own
    second = runner_with(Forgetful(), load_memory, desk.service, anew, app)
    answer = await say(second, "What do you know about my tea?", "second")
    assert "I prefer jasmine tea" in answer
    assert "jasmine" not in await say(second, "What do you know about my tea?", "first", "bob")
    await second.close()
    if anew is not memory:
        await anew.close()


async def test_a_model_is_told_beforehand_what_was_said(desk, memory, app):
    await desk.create("first")
    await desk.create("second")
    runner = runner_with(Parrot(), preload_memory, desk.service, memory, app)
    await say(runner, "I prefer jasmine tea", "first")
    answer = await say(runner, "Some tea?", "second")
    assert "PAST_CONVERSATIONS" in answer
    assert "user: I prefer jasmine tea" in answer
