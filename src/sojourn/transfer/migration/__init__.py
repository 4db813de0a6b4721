"""Migration: from other programs' layouts, from ADK's own services, and from memory.

One file for each layout of a source. `migrate` puts what a source yields here and compares.
"""

from sojourn.transfer.migration.adk_sql import SqliteFile
from sojourn.transfer.migration.layout import ReadEvent, ReadThreads, Source
from sojourn.transfer.migration.model import (
    AppCount,
    CachedResult,
    MigrationReport,
    Notable,
    Outcome,
    Record,
    Remembered,
    SourceSession,
    SourceState,
    SourceThread,
    UnreadableRecord,
)
from sojourn.transfer.migration.service import Progress, migrate
from sojourn.transfer.migration.sources import LAYOUTS, source_at

__all__ = [
    "LAYOUTS",
    "AppCount",
    "CachedResult",
    "MigrationReport",
    "Notable",
    "Outcome",
    "Progress",
    "ReadEvent",
    "ReadThreads",
    "Record",
    "Remembered",
    "Source",
    "SourceSession",
    "SourceState",
    "SourceThread",
    "SqliteFile",
    "UnreadableRecord",
    "migrate",
    "source_at",
]
