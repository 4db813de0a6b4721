"""Reports of exports and imports: frozen values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from sojourn.errors import CorruptRecord, Erased, Undecodable
from sojourn.transfer.lines import Counts
from sojourn.transfer.passing import PassedOver

NOT_HERE = (Undecodable, Erased)
"""Why a sound record cannot be read by this process: a newer version wrote it, or its key is not
here."""
NOT_READ = (CorruptRecord, *NOT_HERE)
"""Why a record cannot be read."""

Existing = Literal["skip", "fail", "replace"]
"""What an import does with what is there already and is something else."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is.

    Attributes:
        step: `exporting`, `checking` or `importing`.
        counts: what was dealt with until now.
        bytes: how much of the file is written or read.
        total: bytes of the file that is read; None while one is written.
    """

    step: Literal["exporting", "checking", "importing"]
    counts: Counts
    bytes: int
    total: int | None = None


Told = Callable[[str], None]
"""Gets a line about something that is not as it should be."""
Watch = Callable[[Progress], None]


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export has written.

    Attributes:
        counts: what the archive holds. `unreadable` and `newer` are records of the store that are
            not in it: `newer` those that only a newer version of Sojourn can read, or only with a
            key that is not here.
        bytes: its size.
        seconds: how long this run took.
        resumed: whether it went on where an earlier run had stopped.
        sealed: what its key is wrapped by; empty for an archive in plain text.
    """

    counts: Counts
    bytes: int
    seconds: float
    resumed: bool
    sealed: str = ""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds.

    Attributes:
        counts: how much of what.
        bytes: its size.
        created: when it was begun, seconds since the epoch.
        source: the server that it is of.
        sealed: what its key is wrapped by; empty for an archive in plain text.
        passed_over: what of it this version does not know.
    """

    counts: Counts
    bytes: int
    created: float
    source: str
    sealed: str = ""
    passed_over: PassedOver = PassedOver()


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import has done.

    Attributes:
        counts: what was written; `unreadable` and `newer` are records that the export could not
            read.
        identical: sessions, states, memories, artifacts and cached values that were there already.
        conflicts: those that were there and are something else; they stayed, unless they were to be
            replaced. And those of users who were forgotten, whose keys were destroyed.
        newer: those of them that only a newer version can read, or only with a key that is not
            here; they stayed in any case.
        expired: those whose time had come.
        bytes: the size of the archive.
        seconds: how long this run took.
        passed_over: what of the archive this version does not know, and has not written.
    """

    counts: Counts
    identical: int
    conflicts: int
    newer: int
    expired: int
    bytes: int
    seconds: float
    passed_over: PassedOver = PassedOver()
