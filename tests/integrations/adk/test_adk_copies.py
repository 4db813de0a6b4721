"""ADK copies the context of a run, services and all, for agents that work side by side."""

from __future__ import annotations

import pickle

import pytest
from google.adk.agents import BaseAgent
from google.adk.agents.invocation_context import InvocationContext
from google.adk.events import Event
from google.genai import types

from sojourn.errors import NotPicklable
from sojourn.integrations.adk import ArtifactService, MemoryService, SessionService


async def test_a_deep_copy_of_a_context_shares_the_services_and_nothing_else() -> None:
    service = SessionService("memory://")
    made = await service.create_session(app_name="shop", user_id="ada", state={"k": [1]})
    said = types.Content(role="user", parts=[types.Part(text="hello")])
    await service.append_event(made, Event(author="user", content=said))
    session = await service.get_session(app_name="shop", user_id="ada", session_id=made.id)
    assert session is not None
    context = InvocationContext(
        session_service=service,
        memory_service=MemoryService("memory://"),
        artifact_service=ArtifactService("memory://"),
        agent=BaseAgent(name="agent"),
        invocation_id="1",
        session=session,
    )
    copied = context.model_copy(deep=True)
    assert copied.session_service is service
    assert copied.session is not session
    assert copied.session == session
    copied.session.state["k"].append(2)
    assert session.state["k"] == [1]
    assert pickle.loads(pickle.dumps(session)) == session
    for each in (service, context.memory_service, context.artifact_service):
        with pytest.raises(NotPicklable, match="its URL"):
            pickle.dumps(each)
    await service.close()
