"""ADK's Runner with the demo agent over each service: what is said is what is stored."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from adk_kit import ADK, newer, ours, texts
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.apps.app import App
from google.adk.apps.llm_event_summarizer import LlmEventSummarizer
from google.adk.cli.utils.agent_loader import AgentLoader
from google.adk.runners import Runner
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

try:
    from google.adk.apps.app import EventsCompactionConfig
except ImportError:
    from google.adk.apps._configs import EventsCompactionConfig

EXAMPLES = Path(__file__).parents[3] / "examples"
KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "DEMO_MODEL")


@pytest.fixture(scope="module")
def agent():
    """The demo agent with its scripted model, loaded as `adk web` does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADK_DISABLE_LOAD_DOTENV", "1")
        for name in (*KEYS, "GOOGLE_GENAI_USE_ENTERPRISE"):
            patch.delenv(name, raising=False)
        AgentLoader(str(EXAMPLES)).load_agent("demo_agent")
        import demo_agent

        yield demo_agent.agent.root_agent


@pytest.fixture
def runner(service, app, agent):
    return Runner(app_name=app, agent=agent, session_service=service)


async def turn(runner: Runner, text: str, *, user: str = "ada", **config) -> list:
    """What the agent emits for one message to the session `s`."""
    message = types.Content(role="user", parts=[types.Part(text=text)])
    return [
        event
        async for event in runner.run_async(
            user_id=user, session_id="s", new_message=message, run_config=RunConfig(**config)
        )
    ]


async def say(runner: Runner, text: str, **options) -> str:
    """The agent's answer to one message."""
    return (await turn(runner, text, **options))[-1].content.parts[0].text


async def test_turns_with_tools_are_stored_event_by_event(desk, elsewhere, runner):
    await desk.create("s")
    emitted = await turn(runner, "Store test_key with value test_123")
    assert "test_123" in await say(runner, "What is test_key?")
    found = await elsewhere.get("s")
    assert len(found.events) == 8
    assert found.events[1:4] == emitted
    assert found.state == {"test_key": "test_123"}
    assert found.last_update_time == found.events[-1].timestamp


async def test_user_and_app_values_reach_others(desk, runner):
    await desk.create("s", user="ada")
    await desk.create("s", user="bob")
    await say(runner, "Remember for me that color is blue", user="ada")
    await say(runner, "Remember for everyone that season is autumn", user="ada")
    assert "autumn" in await say(runner, "What is season?", user="bob")
    assert await say(runner, "What is color?", user="bob") == "I do not know color."


async def test_streamed_chunks_are_not_stored(desk, elsewhere, runner):
    await desk.create("s")
    emitted = await turn(
        runner, "Store test_key with value test_123", streaming_mode=StreamingMode.SSE
    )
    assert any(event.partial for event in emitted)
    stored = (await elsewhere.get("s")).events
    assert stored[1:] == [event for event in emitted if not event.partial]


async def test_a_session_goes_on_in_another_process(desk, elsewhere, runner, agent):
    await desk.create("s")
    await say(runner, "Store test_key with value test_123")
    other = Runner(app_name=desk.app, agent=agent, session_service=elsewhere.service)
    assert "test_123" in await say(other, "What is test_key?")
    assert "Events: 10" in await say(runner, "Show my session info")


async def test_a_runner_that_reads_only_the_last_events_keeps_the_others(desk, runner):
    await desk.create("s")
    await say(runner, "Store test_key with value test_123")
    recent = GetSessionConfig(num_recent_events=2)
    assert "test_123" in await say(runner, "What is test_key?", get_session_config=recent)
    assert len((await desk.get("s")).events) == 8


async def test_rewinding_takes_state_back_and_keeps_the_log(desk, elsewhere, runner):
    await desk.create("s")
    await say(runner, "Store color with value red")
    await say(runner, "Store color with value blue")
    before = (await desk.get("s")).events
    await runner.rewind_async(
        user_id="ada", session_id="s", rewind_before_invocation_id=before[4].invocation_id
    )
    found = await elsewhere.get("s")
    assert found.state == {"color": "red"}
    assert found.events[:-1] == before
    rewind = found.events[-1].actions
    assert rewind.rewind_before_invocation_id == before[4].invocation_id
    assert "red" in await say(runner, "What is color?")


async def test_rewinding_to_the_start_leaves_none_in_the_state(desk, runner):
    await desk.create("s")
    await say(runner, "Store color with value red")
    first = (await desk.get("s")).events[0]
    await runner.rewind_async(
        user_id="ada", session_id="s", rewind_before_invocation_id=first.invocation_id
    )
    assert await desk.state("s") == {"color": None}


@pytest.mark.skipif(ADK < (2, 13), reason="google-adk 2.0 does not compact after such a turn")
async def test_a_compaction_is_an_event_like_any_other(desk, elsewhere, service, agent):
    summary = LlmEventSummarizer(llm=agent.model)
    config = EventsCompactionConfig(summarizer=summary, compaction_interval=2, overlap_size=0)
    app = App(name="demo", root_agent=agent, events_compaction_config=config)
    runner = Runner(app=app, app_name=desk.app, session_service=service)
    await desk.create("s")
    for _ in range(2):
        await say(runner, "Store color with value red")
    found = await elsewhere.get("s")
    (compaction,) = [e.actions.compaction for e in found.events if e.actions.compaction]
    assert compaction.compacted_content.parts
    assert compaction.start_timestamp == found.events[0].timestamp
    assert found.events[-2].timestamp >= compaction.end_timestamp
    assert "red" in await say(runner, "What is color?")


@newer
async def test_a_session_that_is_deleted_during_a_turn_is_not_revived(desk, runner):
    await desk.create("s")
    message = types.Content(role="user", parts=[types.Part(text="Store a with value b")])
    turn = runner.run_async(user_id="ada", session_id="s", new_message=message)
    await anext(turn)
    await desk.delete("s")
    with pytest.raises(Exception, match="s not found"):
        async for _ in turn:
            pass
    assert await desk.list() == []


async def test_closing_a_runner_flushes_the_service(desk, runner):
    await desk.create("s")
    await say(runner, "hello")
    await runner.close()
    assert texts(await desk.get("s"))[0] == "hello"


@ours
async def test_ten_first_messages_at_once(service, app, agent, desk):
    """A double click, and more: each is answered in the session that one of them has made."""
    runner = Runner(app_name=app, agent=agent, session_service=service, auto_create_session=True)
    answers = await asyncio.gather(*(say(runner, "hello") for _ in range(10)))
    assert len(answers) == 10
    assert len(await desk.list()) == 1
    said = [event.author for event in (await desk.get("s")).events]
    assert said.count("user") == 10
