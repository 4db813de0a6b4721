"""What the tests of ADK's memory share: a desk that says a case briefly."""

from __future__ import annotations

from adk_kit import event
from google.adk.events.event import Event
from google.adk.memory import InMemoryMemoryService
from google.adk.memory.memory_entry import MemoryEntry
from google.adk.sessions.session import Session
from google.genai import types

from sojourn.integrations.adk import MemoryService, SessionService


def beside(service):
    """The memory service beside a session service: of the same kind, over the same store."""
    if isinstance(service, SessionService):
        return MemoryService(service.store)
    return InMemoryMemoryService()


def content(*texts: str) -> types.Content:
    return types.Content(role="user", parts=[types.Part(text=text) for text in texts])


def said(text: str, name: str | None = None, **fields) -> Event:
    """An event with a text, and an id if one is given."""
    return event(text, **({"id": name} if name else {}), **fields)


class Recall:
    """One app of its own in a memory service; user `ada` and session `s` unless said."""

    def __init__(self, service, app: str) -> None:
        self.service = service
        self.app = app

    async def learn(self, *events: Event | str, user="ada", session="s", app=None) -> None:
        """Add a session of these events."""
        await self.service.add_session_to_memory(
            Session(
                id=session,
                app_name=app or self.app,
                user_id=user,
                events=[said(each) if isinstance(each, str) else each for each in events],
            )
        )

    async def add(self, *events: Event, user="ada", session=None, **options) -> None:
        await self.service.add_events_to_memory(
            app_name=self.app, user_id=user, events=events, session_id=session, **options
        )

    async def store(self, *memories: MemoryEntry, user="ada", **options) -> None:
        await self.service.add_memory(app_name=self.app, user_id=user, memories=memories, **options)

    async def find(self, query: str, *, user="ada", app=None) -> list[MemoryEntry]:
        found = await self.service.search_memory(
            app_name=app or self.app, user_id=user, query=query
        )
        return found.memories

    async def texts(self, query: str, **where) -> list[str]:
        """What was found, in alphabetical order: which of them is the best is another question."""
        return sorted(each.content.parts[0].text for each in await self.find(query, **where))

    async def forget(self, name: str | None, *, user="ada") -> None:
        await self.service.delete_memory(app_name=self.app, user_id=user, memory_id=name)
