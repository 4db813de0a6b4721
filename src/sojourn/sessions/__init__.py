"""Sessions: identity, log of events, state; created, appended to, listed, deleted."""

from sojourn.message import Message
from sojourn.sessions.adapters import AdapterSessions
from sojourn.sessions.admin import SessionAdmin
from sojourn.sessions.batch import Batches, Entries, SessionBatch
from sojourn.sessions.document import event_document, session_document
from sojourn.sessions.failsafe import Failures, Result
from sojourn.sessions.history import History
from sojourn.sessions.model import (
    Appended,
    Event,
    EventHit,
    LogPage,
    NamePage,
    Quarantined,
    Revoked,
    Rotated,
    SearchPage,
    Session,
    SessionPage,
    Swept,
)
from sojourn.sessions.nearcache import NearCacheStats
from sojourn.sessions.parts import KEEP, Keep, SessionLimits, SessionParts
from sojourn.sessions.reader import EVENTS, View
from sojourn.sessions.record import FIELDS, JSON_FIELDS, SessionFields, SessionRecord
from sojourn.sessions.safe import SafeBatches, SafeSessions
from sojourn.sessions.service import Sessions
from sojourn.sessions.tombstones import Forgotten

__all__ = [
    "EVENTS",
    "FIELDS",
    "JSON_FIELDS",
    "KEEP",
    "AdapterSessions",
    "Appended",
    "Batches",
    "Entries",
    "Event",
    "EventHit",
    "Failures",
    "Forgotten",
    "History",
    "Keep",
    "LogPage",
    "Message",
    "NamePage",
    "NearCacheStats",
    "Quarantined",
    "Result",
    "Revoked",
    "Rotated",
    "SafeBatches",
    "SafeSessions",
    "SearchPage",
    "Session",
    "SessionAdmin",
    "SessionBatch",
    "SessionFields",
    "SessionLimits",
    "SessionPage",
    "SessionParts",
    "SessionRecord",
    "Sessions",
    "Swept",
    "View",
    "event_document",
    "session_document",
]
