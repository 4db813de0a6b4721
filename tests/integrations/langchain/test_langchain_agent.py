"""The example agent, as two processes one after the other: the second remembers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

import sojourn
from sojourn.integrations.langchain import ChatMessageHistory

AGENT = Path(__file__).parents[3] / "examples/langchain_agent"


def ask(url: str, *questions: str, session: str = "ada") -> list[str]:
    """What a process of its own answers."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")
    }
    done = subprocess.run(
        [sys.executable, str(AGENT), "--session", session, *questions],
        env={**environment, "SOJOURN_URL": url},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("row", ["embedded", "server"])
async def test_the_second_process_remembers(
    request: pytest.FixtureRequest, tmp_path: Path, row: str
) -> None:
    url = f"embedded:{tmp_path}" if row == "embedded" else request.getfixturevalue("server_url")
    assert ask(url, "My name is Ada.", "What is 17 times 23?") == [
        "Nice to meet you, Ada.",
        "It is 391.",
    ]
    assert ask(url, "What is my name?", "What was the last result?") == [
        "You are Ada.",
        "It was 391.",
    ]
    assert ask(url, "What is my name?", session="bob") == ["You have not told me."]
    async with sojourn.open(url) as store:
        found = await ChatMessageHistory("ada", store).aget_messages()
        asked, called, result, answered = found[2:6]
    assert asked == HumanMessage("What is 17 times 23?")
    assert isinstance(called, AIMessage)
    assert called.tool_calls == [
        {"id": "call-1", "name": "multiply", "args": {"a": 17, "b": 23}, "type": "tool_call"}
    ]
    assert called.response_metadata["finish_reason"] == "tool_calls"
    assert isinstance(result, ToolMessage)
    assert (result.content, result.tool_call_id) == ("391", "call-1")
    assert isinstance(answered, AIMessage)
    assert answered.usage_metadata is not None
    assert len(found) == 10
