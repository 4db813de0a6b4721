"""Sessions and events as JSON for programs: the command line, MCP, users' exports."""

from __future__ import annotations

from typing import Any

from sojourn.sessions.model import Event, Session
from sojourn.sessions.record import FIELDS


def session_document(session: Session[Any]) -> dict[str, Any]:
    """A session without its state and events. Times are seconds since the epoch."""
    return {
        **session.key._asdict(),
        **{name: getattr(session, name) for name in FIELDS},
        "length": session.length,
        "version": session.version,
        "incarnation": session.incarnation,
        "created": session.created,
        "updated": session.updated,
        "ttl": session.ttl,
        "until": session.until,
        "expires": session.expires,
    }


def event_document(event: Event) -> dict[str, Any]:
    """An event."""
    return {
        "seq": event.seq,
        "id": event.id,
        "time": event.time,
        "author": event.author,
        "kind": event.kind,
        "payload": event.payload,
        "state_delta": dict(event.state_delta),
    }
