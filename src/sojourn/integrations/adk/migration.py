"""ADK's own events and sessions, for a migration into Sojourn."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from google.adk.events.event import Event as AdkEvent
from google.adk.sessions.in_memory_session_service import InMemorySessionService
from google.adk.sessions.session import Session as AdkSession

from sojourn.errors import InvalidId
from sojourn.ids import SessionKey
from sojourn.integrations.adk.events import jsonable, to_event
from sojourn.sessions import Event
from sojourn.transfer.migration import Record, SourceSession, SourceState, UnreadableRecord

_ALWAYS = float("inf")


def read_event(stored: Mapping[str, Any]) -> Event:
    """An event of ADK's, as `SessionService.append_event` would have stored it.

    Args:
        stored: what its JSON holds, by field names or by their aliases.

    Raises:
        ValueError: it is none of ADK's events.
    """
    return to_event(AdkEvent.model_validate_json(json.dumps(stored)))


class InMemorySource:
    """The sessions of ADK's in-memory service, as a source.

    Args:
        service: the service; it is only read.
    """

    def __init__(self, service: InMemorySessionService) -> None:
        self._service = service
        self.where = "the memory of ADK's session service"
        self.layout = "adk-memory"

    async def records(self) -> AsyncIterator[Record]:
        """All sessions, then the state of users and apps."""
        service = self._service
        for users in list(service.sessions.values()):
            for sessions in list(users.values()):
                for session in list(sessions.values()):
                    yield _session(session)
        for app, values in service.app_state.items():
            yield SourceState(app=app, user=None, values=jsonable(values), at=_ALWAYS)
        for app, states in service.user_state.items():
            for user, values in states.items():
                yield SourceState(app=app, user=user, values=jsonable(values), at=_ALWAYS)

    async def close(self) -> None:
        """Nothing is open."""


def _session(session: AdkSession) -> Record:
    where = f"session {session.app_name}, {session.user_id}, {session.id}"
    try:
        key = SessionKey.of(session.app_name, session.user_id, session.id)
    except InvalidId as error:
        return UnreadableRecord(where, str(error))
    return SourceSession(
        where=where,
        key=key,
        events=[to_event(event) for event in session.events],
        state=jsonable(session.state),
        updated=session.last_update_time,
    )
