"""What the ADK tests share: the rows that a case runs on, and a desk that says a case briefly."""

from __future__ import annotations

import re

import pytest
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import BaseSessionService, GetSessionConfig
from google.adk.sessions.session import Session
from google.adk.version import __version__ as adk_version
from google.genai import types

ADK = tuple(int(number) for number in re.findall(r"\d+", adk_version)[:2])
"""Which google-adk is installed."""

ROWS = ["adk", "memory", "server"]
"""ADK's own in-memory service proves that a case states ADK's behaviour; the others are ours."""

OURS = ROWS[1:]

ours = pytest.mark.parametrize("service", OURS, indirect=True)
"""A case where Sojourn promises more than ADK's in-memory service, or documents a difference."""

newer = pytest.mark.parametrize("service", ROWS if ADK >= (2, 13) else OURS, indirect=True)
"""A case that ADK's in-memory service meets in 2.13 and not yet in 2.0."""

on_a_server = pytest.mark.parametrize("service", ["server"], indirect=True)


def event(text: str | None = None, *, time: float | None = None, **fields) -> Event:
    """An event with a text. `state` is its state delta."""
    if text is not None:
        fields["content"] = types.Content(role="user", parts=[types.Part(text=text)])
    if "state" in fields:
        fields["actions"] = EventActions(state_delta=fields.pop("state"))
    if time is not None:
        fields["timestamp"] = time
    return Event(**{"author": "user", "invocation_id": "i", **fields})


def texts(session: Session) -> list[str]:
    """What was said in a session, in order."""
    return [event.content.parts[0].text for event in session.events]


class Desk:
    """One app of its own in a session service.

    Attributes:
        service: the service under test.
        app: an app name that no other test uses.
    """

    def __init__(self, service: BaseSessionService, app: str) -> None:
        self.service = service
        self.app = app

    async def create(self, name: str | None = None, *, user: str = "ada", **fields) -> Session:
        return await self.service.create_session(
            app_name=self.app, user_id=user, session_id=name, **fields
        )

    async def get(self, name: str, *, user: str = "ada", **config) -> Session | None:
        return await self.service.get_session(
            app_name=self.app,
            user_id=user,
            session_id=name,
            config=GetSessionConfig(**config) if config else None,
        )

    async def list(self, user: str | None = None) -> list[Session]:
        found = await self.service.list_sessions(app_name=self.app, user_id=user)
        return found.sessions

    async def delete(self, name: str, *, user: str = "ada") -> None:
        await self.service.delete_session(app_name=self.app, user_id=user, session_id=name)

    async def say(self, session: Session, text: str | None = None, **fields) -> Event:
        return await self.service.append_event(session, event(text, **fields))

    async def state(self, name: str, *, user: str = "ada") -> dict:
        found = await self.get(name, user=user)
        assert found is not None
        return found.state
