"""Protocol that export and import need of a session store, beyond `SessionStore`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from sojourn.ids import AppName, SessionKey, UserKey
from sojourn.sessions.store import NOTHING, Pairs, SessionHeader, SessionSnapshot

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
    """

    incarnation: str
    epoch: int
    dropped: int
    lost: int
    seq: int
    first: int
    rows: Sequence[bytes]


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


class SessionArchive(Protocol):
    """Sessions as they are stored, out and in. Reading lengthens no lifetime."""

    async def find(self, key: SessionKey) -> SessionSnapshot | None:
        """A session with its own state and no rows.

        Raises:
            CorruptRecord: its fields cannot be read.
        """
        ...

    async def stretch(self, key: SessionKey, first: int, most: int, size: int) -> LogSlice | None:
        """Rows from a number on: `most` at most, and none after so many bytes. None: no session.

        Raises:
            CorruptRecord: the session's fields cannot be read, or its log is none.
        """
        ...

    async def stage(
        self, key: SessionKey, name: str, dropped: int, before: int, rows: Sequence[bytes]
    ) -> int:
        """Keep rows of a log that is not there yet, for an hour; how many there are now.

        Only those are added that are not there. With fewer than `before` none are. The first of
        all is event `dropped + 1`.
        """
        ...

    async def restore(self, key: SessionKey, image: ArchivedSession, *, replace: bool) -> Outcome:
        """Write a session in one step, with what was staged; repeated, once.

        Raises:
            TooManySessions: the user has as many as one may have.
            TooLarge: the state is over its cap.
            Conflict: it was restored under this incarnation and is gone; or the rows are.
        """
        ...

    async def expire(
        self, key: SessionKey, incarnation: str, version: int, ttl: float | None, at: float | None
    ) -> None:
        """Set when a session expires, and its TTL from its next change on; both None for never.

        That is no change of it: its version and its times stay, and so does the end it has.

        Raises:
            SessionNotFound: there is none, or not this incarnation.
            StaleSession: not this version.
            CorruptRecord: its fields cannot be read.
        """
        ...

    async def clock(self) -> float:
        """What the time is where sessions are kept, seconds since the epoch."""
        ...

    async def shared(self, of: UserKey | AppName) -> ArchivedState:
        """The state of a user, all changes of its app carried out that the user left; or an app's.

        Raises:
            CorruptRecord: it is a key of another type.
            Unavailable: a change of the app's state cannot be carried out now.
        """
        ...

    async def reinstate(
        self, of: UserKey | AppName, pairs: Pairs, expires: float | None, *, replace: bool
    ) -> Outcome:
        """Write the state of a user or an app in one step.

        Raises:
            TooLarge: it is over its cap.
        """
        ...
