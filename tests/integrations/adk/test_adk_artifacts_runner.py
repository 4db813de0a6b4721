"""ADK's Runner with a tool that saves and loads artifacts, over each service."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from google.adk.agents import Agent
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.tools.tool_context import ToolContext
from google.genai import types


class Obedient(BaseLlm):
    """A model that calls the tool that it is told to call, and then says what came of it."""

    model: str = "obedient"

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        (part, *_) = llm_request.contents[-1].parts
        if part.function_response:
            reply = types.Part(text=str(part.function_response.response["result"]))
        else:
            name, *words = part.text.split()
            args = dict(zip(("name", "text"), words, strict=False))
            reply = types.Part(function_call=types.FunctionCall(name=name, args=args))
        yield LlmResponse(content=types.Content(role="model", parts=[reply]))


async def write(name: str, text: str, tool_context: ToolContext) -> int:
    """Write a file."""
    return await tool_context.save_artifact(
        name, types.Part.from_bytes(data=text.encode() * 300_000, mime_type="text/plain")
    )


async def read(name: str, tool_context: ToolContext) -> str:
    """Read a file."""
    found = await tool_context.load_artifact(name)
    if found is None:
        return "nothing"
    data = found.inline_data.data
    return f"{data[:4].decode()} {len(data)}"


async def files(tool_context: ToolContext) -> str:
    """List the files."""
    return ",".join(await tool_context.list_artifacts())


@pytest.fixture
def runner(service, artifacts, app):
    agent = Agent(name="clerk", model=Obedient(), tools=[write, read, files])
    return Runner(app_name=app, agent=agent, session_service=service, artifact_service=artifacts)


async def say(runner: Runner, text: str, session: str = "s") -> str:
    message = types.Content(role="user", parts=[types.Part(text=text)])
    said = [
        event
        async for event in runner.run_async(user_id="ada", session_id=session, new_message=message)
    ]
    return said[-1].content.parts[0].text


async def test_a_tool_saves_and_loads_and_a_rewind_takes_it_back(desk, runner, artifacts, app):
    await desk.create("s")
    await desk.create("t")
    assert await say(runner, "write a.txt one_") == "0"
    assert await say(runner, "write a.txt two_") == "1"
    assert await say(runner, "write b.txt bbbb") == "0"
    assert await say(runner, "write user:c.txt cccc") == "0"
    assert await say(runner, "read a.txt") == "two_ 1200000"
    assert await say(runner, "files") == "a.txt,b.txt,user:c.txt"
    assert await say(runner, "files", "t") == "user:c.txt"
    assert await say(runner, "read user:c.txt", "t") == "cccc 1200000"

    events = (await desk.get("s")).events
    deltas = [event.actions.artifact_delta for event in events if event.actions.artifact_delta]
    assert deltas == [{"a.txt": 0}, {"a.txt": 1}, {"b.txt": 0}, {"user:c.txt": 0}]
    (second,) = [e for e in events if e.content.parts[0].text == "write a.txt two_"]
    await runner.rewind_async(
        user_id="ada", session_id="s", rewind_before_invocation_id=second.invocation_id
    )
    assert (await desk.get("s")).events[-1].actions.artifact_delta == {"a.txt": 2, "b.txt": 1}
    assert await say(runner, "read a.txt") == "one_ 1200000"
    assert await say(runner, "read b.txt") == "nothing"
    assert await say(runner, "read user:c.txt") == "cccc 1200000"
    assert await say(runner, "write b.txt anew") == "2"
    where = {"app_name": app, "user_id": "ada", "session_id": "s"}
    assert await artifacts.list_versions(**where, filename="a.txt") == [0, 1, 2]
