"""Memory that outlives sessions: of users and agents, shared knowledge, session history."""

from sojourn.memory.about import LAST, remember
from sojourn.memory.model import (
    KEEP,
    Draft,
    Entry,
    Hit,
    Keep,
    Kind,
    MemoryPage,
    ScopeKey,
    ScopePage,
)
from sojourn.memory.scope import MemoryScope
from sojourn.memory.service import Lives, Memory
from sojourn.memory.vectors import Embed

__all__ = [
    "KEEP",
    "LAST",
    "Draft",
    "Embed",
    "Entry",
    "Hit",
    "Keep",
    "Kind",
    "Lives",
    "Memory",
    "MemoryPage",
    "MemoryScope",
    "ScopeKey",
    "ScopePage",
    "remember",
]
