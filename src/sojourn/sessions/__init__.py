"""Sessions: identity, log of events, state; created, appended to, listed, deleted."""

from sojourn.sessions.model import Appended, Event, NamePage, Session, SessionPage
from sojourn.sessions.nearcache import NearCacheStats
from sojourn.sessions.service import EVENTS, Sessions, View

__all__ = [
    "EVENTS",
    "Appended",
    "Event",
    "NamePage",
    "NearCacheStats",
    "Session",
    "SessionPage",
    "Sessions",
    "View",
]
