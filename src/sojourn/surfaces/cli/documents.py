"""Sessions and events as JSON for programs; docs and tests rely on the names."""

from __future__ import annotations

import time
from typing import Any

from sojourn.sessions import Event, Session


def summary(session: Session[Any]) -> dict[str, Any]:
    """A session without its state and events: a line of `ls --json`."""
    expires = session.expires
    return {
        **session.key._asdict(),
        "title": session.title,
        "status": session.status,
        "labels": session.labels,
        "metadata": session.metadata,
        "length": session.length,
        "version": session.version,
        "incarnation": session.incarnation,
        "created": session.created,
        "updated": session.updated,
        "ttl": session.ttl,
        "until": session.until,
        "expires": expires,
        "expires_in": None if expires is None else round(max(0.0, expires - time.time()), 3),
    }


def whole(session: Session[Event]) -> dict[str, Any]:
    """A session with its state and events: the document of `show --json`."""
    return {
        **summary(session),
        "complete": session.complete,
        "state": session.state,
        "events": [happened(event) for event in session.events],
    }


def happened(event: Event) -> dict[str, Any]:
    """An event: a line of `tail --json`."""
    return {
        "seq": event.seq,
        "id": event.id,
        "time": event.time,
        "author": event.author,
        "kind": event.kind,
        "payload": event.payload,
        "state_delta": dict(event.state_delta),
    }
