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
    from sojourn.admin import Admin, ServerMetrics
    from sojourn.artifacts import Artifact, Artifacts, ArtifactVersion
    from sojourn.artifacts.admin import ArtifactAdmin
    from sojourn.cache import Cache, CacheStats
    from sojourn.cache.admin import CacheAdmin
    from sojourn.checkpoints import (
        CheckpointPlace,
        StoredCheckpoint,
        ThreadHistory,
        ThreadKey,
        ThreadPage,
        Threads,
    )
    from sojourn.checkpoints.admin import ThreadAdmin
    from sojourn.client import Sojourn, open  # noqa: A004 - sojourn.open(url)
    from sojourn.doctor import Doctor, Report
    from sojourn.errors import (
        AccessDenied,
        BufferFull,
        Closed,
        ConfigurationError,
        Conflict,
        CorruptRecord,
        DictionaryMissing,
        Erased,
        EventExists,
        InvalidArchive,
        InvalidBinding,
        InvalidId,
        InvalidInput,
        InvalidToken,
        InvalidValue,
        KeyMissing,
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
        Tampered,
        Throttled,
        TooLarge,
        TooManyLabels,
        TooManySessions,
        Unavailable,
        Undecodable,
        UnsupportedServer,
    )
    from sojourn.ids import SessionKey, UserKey
    from sojourn.jobs.job import JobReport
    from sojourn.memory import Entry, Hit, Memory, MemoryPage, MemoryScope, ScopePage
    from sojourn.memory.admin import MemoryAdmin
    from sojourn.notices import Notice, Notices
    from sojourn.process import close_default, default, force_memory
    from sojourn.security import ErasureReceipt
    from sojourn.sessions import (
        AdapterSessions,
        Appended,
        Batches,
        Event,
        Failures,
        History,
        LogPage,
        Message,
        NamePage,
        NearCacheStats,
        Quarantined,
        Result,
        Revoked,
        Rotated,
        SafeBatches,
        SafeSessions,
        SearchPage,
        Session,
        SessionBatch,
        SessionPage,
        Sessions,
        Swept,
    )
    from sojourn.settings import Settings
    from sojourn.stats import Health, NodeHealth, Stats
    from sojourn.telemetry import CallFact, CorruptFact, OutageFact, ReplayReport

__version__ = "0.1.0"

_HOME = {
    "AdapterSessions": "sojourn.sessions",
    "Admin": "sojourn.admin",
    "ArtifactAdmin": "sojourn.artifacts.admin",
    "ThreadAdmin": "sojourn.checkpoints.admin",
    "CheckpointPlace": "sojourn.checkpoints",
    "StoredCheckpoint": "sojourn.checkpoints",
    "ThreadHistory": "sojourn.checkpoints",
    "ThreadKey": "sojourn.checkpoints",
    "ThreadPage": "sojourn.checkpoints",
    "Threads": "sojourn.checkpoints",
    "CacheAdmin": "sojourn.cache.admin",
    "MemoryAdmin": "sojourn.memory.admin",
    "Appended": "sojourn.sessions",
    "Artifact": "sojourn.artifacts",
    "ArtifactVersion": "sojourn.artifacts",
    "Artifacts": "sojourn.artifacts",
    "Batches": "sojourn.sessions",
    "Cache": "sojourn.cache",
    "CacheStats": "sojourn.cache",
    "CallFact": "sojourn.telemetry",
    "CorruptFact": "sojourn.telemetry",
    "Doctor": "sojourn.doctor",
    "Entry": "sojourn.memory",
    "Event": "sojourn.sessions",
    "Failures": "sojourn.sessions",
    "Health": "sojourn.stats",
    "History": "sojourn.sessions",
    "Hit": "sojourn.memory",
    "Memory": "sojourn.memory",
    "MemoryPage": "sojourn.memory",
    "Message": "sojourn.sessions",
    "JobReport": "sojourn.jobs.job",
    "NamePage": "sojourn.sessions",
    "NearCacheStats": "sojourn.sessions",
    "NodeHealth": "sojourn.stats",
    "Notice": "sojourn.notices",
    "Notices": "sojourn.notices",
    "OutageFact": "sojourn.telemetry",
    "Quarantined": "sojourn.sessions",
    "ErasureReceipt": "sojourn.security",
    "ReplayReport": "sojourn.telemetry",
    "Report": "sojourn.doctor",
    "Result": "sojourn.sessions",
    "Revoked": "sojourn.sessions",
    "Rotated": "sojourn.sessions",
    "SafeBatches": "sojourn.sessions",
    "SafeSessions": "sojourn.sessions",
    "MemoryScope": "sojourn.memory",
    "ScopePage": "sojourn.memory",
    "Session": "sojourn.sessions",
    "SessionBatch": "sojourn.sessions",
    "SessionKey": "sojourn.ids",
    "LogPage": "sojourn.sessions",
    "SearchPage": "sojourn.sessions",
    "ServerMetrics": "sojourn.admin",
    "SessionPage": "sojourn.sessions",
    "Sessions": "sojourn.sessions",
    "Settings": "sojourn.settings",
    "Sojourn": "sojourn.client",
    "Stats": "sojourn.stats",
    "Swept": "sojourn.sessions",
    "UserKey": "sojourn.ids",
    "close_default": "sojourn.process",
    "default": "sojourn.process",
    "force_memory": "sojourn.process",
    "open": "sojourn.client",
}
"""Where a name lives; an error lives in `sojourn.errors`."""

__all__ = [
    "AccessDenied",
    "AdapterSessions",
    "Admin",
    "Appended",
    "Artifact",
    "ArtifactAdmin",
    "ArtifactVersion",
    "Artifacts",
    "Batches",
    "BufferFull",
    "Cache",
    "CacheAdmin",
    "CacheStats",
    "CallFact",
    "CheckpointPlace",
    "Closed",
    "ConfigurationError",
    "Conflict",
    "CorruptFact",
    "CorruptRecord",
    "DictionaryMissing",
    "Doctor",
    "Entry",
    "Erased",
    "ErasureReceipt",
    "Event",
    "EventExists",
    "Failures",
    "Health",
    "History",
    "Hit",
    "InvalidArchive",
    "InvalidBinding",
    "InvalidId",
    "InvalidInput",
    "InvalidToken",
    "InvalidValue",
    "JobReport",
    "KeyMissing",
    "LogPage",
    "Memory",
    "MemoryAdmin",
    "MemoryPage",
    "MemoryScope",
    "Message",
    "NamePage",
    "NearCacheStats",
    "NewerFormat",
    "NodeHealth",
    "NotPicklable",
    "Notice",
    "Notices",
    "OutageFact",
    "OutcomeUnknown",
    "Quarantined",
    "Refused",
    "ReplayReport",
    "Report",
    "Result",
    "Revoked",
    "Rotated",
    "SafeBatches",
    "SafeSessions",
    "ScopePage",
    "SearchPage",
    "ServerBusy",
    "ServerFault",
    "ServerMetrics",
    "ServerOutOfMemory",
    "ServerReadOnly",
    "Session",
    "SessionBatch",
    "SessionExists",
    "SessionKey",
    "SessionNotFound",
    "SessionPage",
    "SessionRotated",
    "Sessions",
    "Settings",
    "Sojourn",
    "SojournError",
    "StaleEntry",
    "StaleSession",
    "Stats",
    "StoredCheckpoint",
    "Swept",
    "Tampered",
    "ThreadAdmin",
    "ThreadHistory",
    "ThreadKey",
    "ThreadPage",
    "Threads",
    "Throttled",
    "TooLarge",
    "TooManyLabels",
    "TooManySessions",
    "Unavailable",
    "Undecodable",
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
    special = (name for name in globals() if name.startswith("__"))
    return sorted({*special, *__all__, "sync"})
