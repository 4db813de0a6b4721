"""The demo agent under ADK's Runner: what it answers is what the session service keeps."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("google.adk", reason="google-adk is not installed: demo agent not run")

from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.cli.utils.agent_loader import AgentLoader
from google.adk.events.event import Event
from google.adk.runners import Runner
from google.adk.sessions import InMemorySessionService
from google.adk.sessions.session import Session
from google.genai import types

EXAMPLES = Path(__file__).parents[2] / "examples"
APP = "demo_agent"
CREDENTIALS = (
    "GOOGLE_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "GOOGLE_GENAI_USE_ENTERPRISE",
    "DEMO_MODEL",
)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def demo():
    """The package, loaded by ADK as `adk web` does, without credentials."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADK_DISABLE_LOAD_DOTENV", "1")
        for name in CREDENTIALS:
            patch.delenv(name, raising=False)
        AgentLoader(str(EXAMPLES)).load_agent(APP)
        import demo_agent

        yield demo_agent


class Chat:
    """One session of one user, and a runner that talks in it."""

    def __init__(self, runner: Runner, session: Session) -> None:
        self.runner = runner
        self.session = session

    async def stream(self, text: str, mode=StreamingMode.NONE) -> AsyncIterator[Event]:
        async for event in self.runner.run_async(
            user_id=self.session.user_id,
            session_id=self.session.id,
            new_message=types.Content(role="user", parts=[types.Part(text=text)]),
            run_config=RunConfig(streaming_mode=mode),
        ):
            yield event

    async def say(self, text: str) -> str:
        events = [event async for event in self.stream(text)]
        return events[-1].content.parts[0].text

    async def stored(self) -> Session:
        return await self.runner.session_service.get_session(
            app_name=APP, user_id=self.session.user_id, session_id=self.session.id
        )


@pytest.fixture
def new_chat(demo: ModuleType):
    service = InMemorySessionService()
    runner = Runner(app_name=APP, agent=demo.agent.root_agent, session_service=service)

    async def start(user: str = "ada") -> Chat:
        return Chat(runner, await service.create_session(app_name=APP, user_id=user))

    return start


async def test_a_stored_value_is_in_the_session_and_is_found_again(new_chat):
    chat = await new_chat()
    await chat.say("Store test_key with value test_123")
    assert (await chat.stored()).state == {"test_key": "test_123"}
    assert "test_123" in await chat.say("What is test_key?")


async def test_a_value_of_the_user_is_in_all_of_their_sessions_and_in_no_one_elses(new_chat):
    await (await new_chat("ada")).say("Remember for me that color is blue")
    again, other = await new_chat("ada"), await new_chat("bob")
    assert (await again.stored()).state == {"user:color": "blue"}
    assert "blue" in await again.say("What is color?")
    assert await other.say("What is color?") == "I do not know color."


async def test_a_value_of_the_app_is_everyones(new_chat):
    await (await new_chat("ada")).say("Remember for everyone that season is autumn")
    other = await new_chat("bob")
    assert (await other.stored()).state == {"app:season": "autumn"}
    assert "autumn" in await other.say("What is season?")


async def test_recall_says_whose_each_value_is(new_chat):
    chat = await new_chat()
    await chat.say("Store color with value red")
    await chat.say("Remember for me that color is blue")
    await chat.say("Remember for everyone that color is green")
    assert await chat.say("What is color?") == (
        "color is red (in this session). "
        "color is blue (for you, in all your sessions). "
        "color is green (for everyone)."
    )


async def test_session_info_is_the_sessions_own(new_chat):
    chat = await new_chat()
    await chat.say("Store test_key with value test_123")
    await chat.say("Remember for me that color is blue")
    before = len((await chat.stored()).events)
    answer = await chat.say("Show my session info")
    # The question and the tool call are in the session by the time the tool looks.
    assert answer.splitlines() == [
        f"- Session ID: {chat.session.id}",
        "- User: ada",
        "- App: demo_agent",
        f"- Events: {before + 2}",
        '- State of the session: `{"test_key": "test_123"}`',
        '- State of the user: `{"color": "blue"}`',
        "- State of the app: `{}`",
    ]


async def test_a_tool_turn_stores_four_events(new_chat):
    chat = await new_chat()
    await chat.say("Store test_key with value test_123")
    events = (await chat.stored()).events
    assert [event.author for event in events] == ["user", APP, APP, APP]
    assert events[1].get_function_calls()[0].name == "store_value"
    assert events[2].actions.state_delta == {"test_key": "test_123"}


async def test_streaming_sends_chunks_that_add_up_and_are_not_stored(new_chat):
    chat = await new_chat()
    events = [
        event
        async for event in chat.stream("Store test_key with value test_123", StreamingMode.SSE)
    ]
    chunks = [event.content.parts[0].text for event in events if event.partial]
    assert len(chunks) > 1
    assert "".join(chunks) == events[-1].content.parts[0].text
    assert not events[-1].partial
    assert len((await chat.stored()).events) == 4


@pytest.mark.parametrize(
    ("phrase", "tool", "arguments"),
    [
        ("  show my SESSION info!! ", "show_session_info", {}),
        ("Session info", "show_session_info", {}),
        (
            "store 'a b' with the value \u201cX y\u201d.",
            "store_value",
            {"key": "a b", "value": "X y"},
        ),
        (
            "STORE pi with value 3.14",
            "store_value",
            {"key": "pi", "value": "3.14"},
        ),
        ("what\u2019s test_key", "recall_value", {"key": "test_key"}),
        ("Whats my color", "recall_value", {"key": "color"}),
        (
            "remember for me: my color is deep blue!",
            "remember_for_user",
            {"key": "color", "value": "deep blue"},
        ),
        (
            "Remember for everyone, that the season is autumn",
            "remember_for_everyone",
            {"key": "season", "value": "autumn"},
        ),
    ],
)
def test_phrases_are_matched_leniently(demo, phrase, tool, arguments):
    call = demo.scripted_model.understand(phrase).function_call
    assert (call.name, call.args) == (tool, arguments)


async def test_keys_are_found_in_any_case(new_chat):
    chat = await new_chat()
    await chat.say("Remember for me that Color is blue")
    assert "blue" in await chat.say("what is color")


@pytest.mark.parametrize("text", ["hello", "", "Store", "What is?", "Remember for me"])
def test_anything_else_gets_help_that_lists_working_phrases(demo, text):
    understand = demo.scripted_model.understand
    advice = understand(text).text
    phrases = re.findall(r"^- (.+)$", advice, re.MULTILINE)
    assert len(phrases) == 5
    assert all(understand(phrase).function_call for phrase in phrases)


def test_without_credentials_the_model_is_scripted(demo):
    assert isinstance(demo.agent.root_agent.model, demo.scripted_model.ScriptedModel)


@pytest.mark.parametrize(
    ("environment", "model"),
    [
        ({"GOOGLE_API_KEY": "k"}, "gemini-2.5-flash"),
        ({"GEMINI_API_KEY": "k"}, "gemini-2.5-flash"),
        ({"GOOGLE_GENAI_USE_VERTEXAI": "TRUE"}, "gemini-2.5-flash"),
        ({"GOOGLE_API_KEY": "k", "DEMO_MODEL": "gemini-x"}, "gemini-x"),
    ],
)
def test_with_credentials_the_model_is_real(demo, monkeypatch, environment, model):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert demo.agent.choose_model() == model
