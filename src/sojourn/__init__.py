"""Sojourn keeps what an AI agent must not forget, in Redis or Valkey.

    async with sojourn.open("redis://localhost:6379") as store:
        session = await store.sessions.create("shop", "ada")
        hello = sojourn.Event(author="user", payload={"text": "Hello"})
        await store.sessions.append(session.key, hello)

Names are resolved when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sojourn import sync as sync
    from sojourn.artifacts import Artifact, ArtifactVersion
    from sojourn.client import Sojourn, open  # noqa: A004 - sojourn.open(url)
    from sojourn.errors import (
        AccessDenied,
        BufferFull,
        Closed,
        ConfigurationError,
        Conflict,
        CorruptRecord,
        Erased,
        EventExists,
        InvalidArchive,
        InvalidBinding,
        InvalidId,
        InvalidInput,
        InvalidToken,
        InvalidValue,
        NewerFormat,
        NotPicklable,
        OutcomeUnknown,
        Refused,
        ServerBusy,
        ServerFault,
        ServerOutOfMemory,
        ServerReadOnly,
        SessionExists,
        SessionNotFound,
        SessionRotated,
        SojournError,
        StaleEntry,
        StaleSession,
        Throttled,
        TooLarge,
        TooManyLabels,
        TooManySessions,
        Unavailable,
        UnsupportedServer,
    )
    from sojourn.ids import SessionKey, UserKey
    from sojourn.process import close_default, default, force_memory
    from sojourn.sessions import Event, History, Message, Quarantined, Result, Session, SessionPage
    from sojourn.settings import Settings

__version__ = "0.1.0"

_HOME = {
    "Artifact": "sojourn.artifacts",
    "ArtifactVersion": "sojourn.artifacts",
    "Event": "sojourn.sessions",
    "History": "sojourn.sessions",
    "Message": "sojourn.sessions",
    "Quarantined": "sojourn.sessions",
    "Result": "sojourn.sessions",
    "Session": "sojourn.sessions",
    "SessionKey": "sojourn.ids",
    "SessionPage": "sojourn.sessions",
    "Settings": "sojourn.settings",
    "Sojourn": "sojourn.client",
    "UserKey": "sojourn.ids",
    "close_default": "sojourn.process",
    "default": "sojourn.process",
    "force_memory": "sojourn.process",
    "open": "sojourn.client",
}
"""Where a name lives; an error lives in `sojourn.errors`."""

__all__ = [
    "AccessDenied",
    "Artifact",
    "ArtifactVersion",
    "BufferFull",
    "Closed",
    "ConfigurationError",
    "Conflict",
    "CorruptRecord",
    "Erased",
    "Event",
    "EventExists",
    "History",
    "InvalidArchive",
    "InvalidBinding",
    "InvalidId",
    "InvalidInput",
    "InvalidToken",
    "InvalidValue",
    "Message",
    "NewerFormat",
    "NotPicklable",
    "OutcomeUnknown",
    "Quarantined",
    "Refused",
    "Result",
    "ServerBusy",
    "ServerFault",
    "ServerOutOfMemory",
    "ServerReadOnly",
    "Session",
    "SessionExists",
    "SessionKey",
    "SessionNotFound",
    "SessionPage",
    "SessionRotated",
    "Settings",
    "Sojourn",
    "SojournError",
    "StaleEntry",
    "StaleSession",
    "Throttled",
    "TooLarge",
    "TooManyLabels",
    "TooManySessions",
    "Unavailable",
    "UnsupportedServer",
    "UserKey",
    "close_default",
    "default",
    "force_memory",
    "open",
]


def __getattr__(name: str) -> Any:
    if name == "sync":
        return import_module("sojourn.sync")
    if name not in __all__:
        raise AttributeError(f"module 'sojourn' has no attribute {name!r}")
    home = _HOME.get(name, "sojourn.errors")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
