"""Values that pass between the sessions room and its store.

A store keeps bytes: events and state values reach it as JSON text and leave it so. It decides what
only it can decide in one atomic step: existence, operation ids, versions, order, lifetimes, caps.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

import msgspec

from sojourn.calls.call import Argument
from sojourn.ids import SessionId, SessionKey
from sojourn.sessions.record import FIELDS, merge
from sojourn.sessions.record import Pairs as Pairs  # noqa: PLC0414 - re-exported

Label = tuple[str, str]
"""A label's name and its value."""

NOTHING: Pairs = MappingProxyType({})


class WriteOptions(msgspec.Struct, frozen=True):
    """Arguments that every write carries.

    Attributes:
        operation_id: a write repeated with the same id takes effect once.
        incarnation: the session must still be this one; empty for any.
        expected: the session must still be of this version; None for any.
    """

    operation_id: str
    incarnation: str = ""
    expected: int | None = None


class LogId(NamedTuple):
    """What a log is known by, and the incarnation of the session that has it."""

    incarnation: str
    log_id: str

    @classmethod
    def read(cls, incarnation: bytes, log_id: bytes) -> LogId:
        """From the fields of a session; a damaged one counts as missing, as where it is read."""
        try:
            return cls(incarnation.decode(errors="replace"), log_id.decode())
        except UnicodeDecodeError:
            return cls(incarnation.decode(errors="replace"), "")


class Delta(NamedTuple):
    """State to set, by scope."""

    session: Pairs
    user: Pairs
    app: Pairs


NO_CHANGE = Delta(NOTHING, NOTHING, NOTHING)
"""No state to set."""


def has(head: SessionHeader, label: Label | None) -> bool:
    """Whether a session has a label; None is one that all have."""
    return label is None or head.labels.get(label[0]) == label[1]


class Lifetime(NamedTuple):
    """How long a session lives: as long as all of these let it. None sets no end.

    Attributes:
        ttl: seconds from each change.
        max_age: seconds from now.
        until: an instant, seconds since the epoch.
    """

    ttl: float | None
    max_age: float | None = None
    until: float | None = None

    @property
    def min_lifetime(self) -> float | None:
        """Seconds that it lives at least for what it shares with others; None for ever."""
        if self.ttl is not None:
            return self.ttl
        end = self.end(time.time())
        return None if end is None else max(0.001, end - time.time())

    def end(self, now: float) -> float | None:
        """The instant that it does not outlive when it begins now; None when there is none."""
        ends = [self.until, None if self.max_age is None else now + self.max_age]
        return min((end for end in ends if end is not None), default=None)


class Change(NamedTuple):
    """Fields to set (title, status, labels, metadata), and a lifetime as `Lifetime` has it.

    `labels` is a JSON object: each is set, or removed where it is null; the others stay.
    """

    fields: Pairs
    ttl: float | Literal["keep"] | None = "keep"
    until: float | Literal["keep"] | None = "keep"

    @property
    def is_touch(self) -> bool:
        """Whether it changes nothing but when the session expires."""
        return not self.fields and self.ttl == self.until == "keep"


class EventWindow(NamedTuple):
    """Which rows of a log to read: the last `last` (None for all), or from list index `start` on.

    Attributes:
        last: how many from the end; 0 for none.
        start: list index of the first row wanted; takes the place of `last`.
    """

    last: int | None = None
    start: int | None = None


class SessionHeader(NamedTuple):
    """A session without its state and events.

    Fields with a default may be missing on the server. `log_id` is random, and the same as long as
    there is the log: a save, a trim, a rotation and an import keep it. `chain` is a sum of all
    events that were appended, None for unknown. `fields` are those that applications set
    (`record.FIELDS`), as they are stored; `more` those that this version does not know.
    """

    incarnation: str
    version: int
    epoch: int
    seq: int
    dropped: int
    created: float
    updated: float
    ttl: float | None
    expires: float | None
    until: float | None = None
    log_id: str = ""
    chain: int | None = None
    fields: Pairs = NOTHING
    more: Pairs = NOTHING

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels by name."""
        found: Mapping[str, str] = FIELDS["labels"].decode(self.fields.get("labels", b""))
        return found

    @property
    def min_lifetime(self) -> float | None:
        """As `Lifetime.min_lifetime`."""
        return Lifetime(self.ttl, until=self.until).min_lifetime

    def from_now(self, now: float) -> SessionHeader:
        """The head after a change that resets its expiry.

        A hundredth later than asked, as on a server, where not every change does.
        """
        ends = [self.until, None if self.ttl is None else now + self.ttl * 1.01]
        return self._replace(expires=min((end for end in ends if end is not None), default=None))

    def told(self, fields: Pairs) -> SessionHeader:
        """The head after a change of fields."""
        rest = dict(fields)
        log_id = rest.pop("log_id", self.log_id.encode()).decode()
        return self._replace(log_id=log_id, fields=merge(self.fields, rest))


class SessionSnapshot(NamedTuple):
    """A session as a store gives it back.

    Attributes:
        head: its fields.
        state: its own state.
        user: its user's state.
        app: its app's state.
        rows: the rows asked for, as they stood when `head` was read.
        first: the seq of the first row; meaningless without rows.
        complete: False when rows asked for are missing.
        durable: False when it comes from the outage buffer of this process.
        readable: False when something beside the rows cannot be read and is left out.
    """

    head: SessionHeader
    state: Pairs
    user: Pairs
    app: Pairs
    rows: list[bytes]
    first: int
    complete: bool = True
    durable: bool = True
    readable: bool = True


class Created(NamedTuple):
    """When a session was created and will expire, at the latest, and the state that it found.

    `repeated` says that this very operation had created it before; `durable` is False when only the
    outage buffer of this process has it; `readable` is False when the state of its user or app
    cannot be read and is left out.
    """

    created: float
    expires: float | None
    until: float | None
    user: Pairs
    app: Pairs
    repeated: bool = False
    durable: bool = True
    readable: bool = True


class WriteResult(msgspec.Struct, frozen=True):
    """The version that a write led to, the last seq, and whether it was a repetition.

    `durable` is False when only the outage buffer of this process has it.
    """

    version: int
    seq: int
    repeated: bool
    durable: bool = True


class RotateResult(NamedTuple):
    """The id and the incarnation that a rotation led to, and whether it was a repetition."""

    session: SessionId
    incarnation: str
    repeated: bool = False


class IndexPlace(NamedTuple):
    """A place in an index: the score and the name of the last entry seen."""

    score: float
    name: str


class StoredPage(NamedTuple):
    """A page of an index with the place after which the next one starts; None at the end.

    `corrupt` are sessions of the page that cannot be read, `newer` those that a newer version wrote
    in a way that this one cannot read; `places` where each of all these stands, in order.
    """

    sessions: list[tuple[SessionKey, SessionSnapshot]]
    after: IndexPlace | None
    corrupt: Sequence[SessionKey] = ()
    newer: Sequence[SessionKey] = ()
    places: Mapping[SessionKey, IndexPlace] = MappingProxyType({})


class StoredNames(NamedTuple):
    """A page of names with their places, and whether there are more."""

    places: list[IndexPlace]
    more: bool


class IndexEntry(NamedTuple):
    """A session in the index of its app, as scripts give it.

    Attributes:
        key: which session.
        updated: when it was last changed, seconds since the epoch; empty for one that is gone.
        expires: when it expires, milliseconds since the epoch; empty for never. Of one that is gone
            the place that it must still have in the index, or empty.
        labels: its labels, as JSON.
        former: labels that it had before, as JSON.
    """

    key: SessionKey
    updated: Argument = b""
    expires: Argument = b""
    labels: Argument = b""
    former: Argument = b""


class Repaired(NamedTuple):
    """Errors found in the indexes of a user.

    Attributes:
        expired: sessions that had expired and were still listed.
        dropped: sessions that were gone before their time (deleted or evicted by others).
        restored: sessions that an index had lost.
        carried: deltas of `app:` state that waited for a client that has died.
    """

    expired: int
    dropped: int
    restored: int
    carried: int


class FoundSessions(NamedTuple):
    """What stands where an index leads to: sessions in order, and those that cannot be served."""

    sessions: list[tuple[SessionKey, SessionSnapshot]]
    corrupt: list[SessionKey]
    newer: list[SessionKey]
    gone: list[SessionKey]
