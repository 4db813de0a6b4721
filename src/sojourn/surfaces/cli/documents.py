"""Sessions as JSON for programs; docs and tests rely on the names."""

from __future__ import annotations

import time
from typing import Any

from sojourn.sessions import Event, Session, event_document, session_document


def summary(session: Session[Any]) -> dict[str, Any]:
    """A session without its state and events: a line of `ls --json`."""
    expires = session.expires
    left = None if expires is None else round(max(0.0, expires - time.time()), 3)
    return {**session_document(session), "expires_in": left}


def whole(session: Session[Event]) -> dict[str, Any]:
    """A session with its state and events: the document of `show --json`."""
    return {
        **summary(session),
        "complete": session.complete,
        "state": session.state,
        "events": [event_document(event) for event in session.events],
    }
