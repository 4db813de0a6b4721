"""Sessions: identity, log of events, state; created, appended to, listed, deleted."""

from sojourn.sessions.batch import Entries, SessionBatch
from sojourn.sessions.failsafe import Failures, Result, SafeSessions
from sojourn.sessions.graves import Forgotten
from sojourn.sessions.history import History, Message
from sojourn.sessions.model import (
    Appended,
    Event,
    NamePage,
    Quarantined,
    Revoked,
    Rotated,
    Session,
    SessionPage,
    Swept,
)
from sojourn.sessions.nearcache import NearCacheStats
from sojourn.sessions.reader import EVENTS, View
from sojourn.sessions.service import KEEP, Keep, Sessions

__all__ = [
    "EVENTS",
    "KEEP",
    "Appended",
    "Entries",
    "Event",
    "Failures",
    "Forgotten",
    "History",
    "Keep",
    "Message",
    "NamePage",
    "NearCacheStats",
    "Quarantined",
    "Result",
    "Revoked",
    "Rotated",
    "SafeSessions",
    "Session",
    "SessionBatch",
    "SessionPage",
    "Sessions",
    "Swept",
    "View",
]
