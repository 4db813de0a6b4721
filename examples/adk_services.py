"""ADK's Runner with sessions and files that stay, and a scripted model: no API key.

    python examples/adk_services.py    # and once more: the conversation goes on

The store is that of SOJOURN_URL, or else an embedded server's in ./.sojourn. In ADK's web UI:
`sojourn adk web --session_service_uri=redis://localhost:6379 examples`.
"""

import asyncio

from demo_agent.agent import recall_value, show_session_info, store_value
from demo_agent.scripted_model import ScriptedModel
from google.adk.agents import Agent
from google.adk.runners import Runner
from google.genai import types

import sojourn
from sojourn.integrations.adk import ArtifactService, SessionService

APP, USER, SESSION = "adk_services", "user_123", "test_session"

PHRASES = ["What is test_key?", "Store test_key with value test_123", "What is test_key?"]


async def say(runner: Runner, text: str) -> str:
    """One turn of the conversation; the last event has the answer."""
    message = types.Content(role="user", parts=[types.Part(text=text)])
    events = runner.run_async(user_id=USER, session_id=SESSION, new_message=message)
    return [event async for event in events][-1].content.parts[0].text


async def converse(sessions: SessionService, artifacts: ArtifactService) -> None:
    """Talk, and keep what was said as a file in versions."""
    ours = {"app_name": APP, "user_id": USER, "session_id": SESSION}
    session = await sessions.get_session(**ours) or await sessions.create_session(**ours)
    print(f"Events from before: {len(session.events)}")

    tools = [show_session_info, store_value, recall_value]
    agent = Agent(name="clerk", model=ScriptedModel(model="scripted"), tools=tools)
    runner = Runner(app_name=APP, agent=agent, session_service=sessions, artifact_service=artifacts)
    answers = [await say(runner, phrase) for phrase in PHRASES]
    print(*(f"{phrase} -> {said}" for phrase, said in zip(PHRASES, answers, strict=True)), sep="\n")

    file = types.Part.from_bytes(data="\n".join(answers).encode(), mime_type="text/plain")
    version = await artifacts.save_artifact(filename="answers.txt", artifact=file, **ours)
    loaded = await artifacts.load_artifact(filename="answers.txt", version=0, **ours)
    print(f"Saved answers.txt, version {version}; version 0 has {len(loaded.inline_data.data)} B")


async def walk_through(sessions: SessionService) -> None:
    """Create, get, list and delete a session, without an agent."""
    who = {"app_name": APP, "user_id": "passer-by"}
    made = await sessions.create_session(**who, state={"user:color": "blue", "step": 1})
    found = await sessions.get_session(**who, session_id=made.id)
    print(f"Created and got: {found.state}")
    print(f"Listed: {len((await sessions.list_sessions(**who)).sessions)}")
    await sessions.delete_session(**who, session_id=made.id)
    print(f"Got after its deletion: {await sessions.get_session(**who, session_id=made.id)}")


async def main() -> None:
    """Both services on one store."""
    store = sojourn.default()
    sessions, artifacts = SessionService(store, ttl=86_400), ArtifactService(store)
    await converse(sessions, artifacts)
    await walk_through(sessions)
    await sojourn.close_default()


if __name__ == "__main__":
    asyncio.run(main())
