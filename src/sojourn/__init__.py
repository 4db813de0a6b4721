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
    from sojourn.client import Sojourn, open  # noqa: A004 - sojourn.open(url)
    from sojourn.errors import *  # noqa: F403
    from sojourn.ids import SessionKey
    from sojourn.sessions import Event, Session, SessionPage

__version__ = "0.1.0"

_HOME = {
    "Event": "sojourn.sessions",
    "Session": "sojourn.sessions",
    "SessionKey": "sojourn.ids",
    "SessionPage": "sojourn.sessions",
    "Sojourn": "sojourn.client",
    "open": "sojourn.client",
}

_ERRORS = (
    "AccessDenied",
    "Closed",
    "ConfigurationError",
    "Conflict",
    "CorruptRecord",
    "InvalidId",
    "InvalidInput",
    "InvalidValue",
    "OutcomeUnknown",
    "ServerBusy",
    "ServerFault",
    "ServerOutOfMemory",
    "ServerReadOnly",
    "SessionExists",
    "SessionNotFound",
    "SojournError",
    "StaleSession",
    "TooLarge",
    "Unavailable",
    "UnsupportedServer",
)
_HOME |= dict.fromkeys(_ERRORS, "sojourn.errors")

__all__ = [  # noqa: PLE0604 - names resolved by __getattr__
    "Event",
    "Session",
    "SessionKey",
    "SessionPage",
    "Sojourn",
    "open",
    *_ERRORS,
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module 'sojourn' has no attribute {name!r}") from None
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
