"""Values of export and import: sessions in their stored form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from sojourn.sessions.store import NOTHING, Pairs, SessionHeader

Outcome = Literal["restored", "exists", "expired"]
"""What became of something to restore; but for the first, nothing was written."""

STAGED = 3600.0
"""Seconds that rows wait for the next ones, and for their session."""


class LogSlice(NamedTuple):
    """A part of a log, and where the log stood then.

    Attributes:
        incarnation: of the session; `epoch` and `seq` likewise.
        epoch: another one is another log.
        dropped: how many events are cut off at the front, with those that were lost.
        lost: how many of them were lost.
        seq: the number of the last event.
        first: the number of the first row.
        rows: as they are stored.
        log_id: what the log is known by.
        version: of the session.
    """

    incarnation: str
    epoch: int
    dropped: int
    lost: int
    seq: int
    first: int
    rows: Sequence[bytes]
    log_id: str = ""
    version: int = 0


class ArchivedSession(NamedTuple):
    """A session as it is to be again.

    Attributes:
        head: its fields, `expires` as it is; a new log begins with epoch 0.
        state: its own.
        staged: under which name its first rows were staged.
        before: how many these are.
        rows: those behind them.
    """

    head: SessionHeader
    state: Pairs
    staged: str
    before: int
    rows: Sequence[bytes]


class ArchivedState(NamedTuple):
    """The state of a user or an app.

    Attributes:
        pairs: its values; empty when there is none.
        expires: when it is forgotten, seconds since the epoch; None is never.
        readable: False when something of it cannot be read and is left out.
        more: fields of its hash that this version does not know.
        newer: how many changes of the app's state a newer version has left at the user, that only
            such a one can carry out.
    """

    pairs: Pairs
    expires: float | None
    readable: bool = True
    more: Pairs = NOTHING
    newer: int = 0
