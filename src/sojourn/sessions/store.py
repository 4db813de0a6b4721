"""What the sessions room asks of a store, and the values that pass between them.

A store keeps bytes: events and state values reach it as JSON text and leave it so. It decides what
only it can decide in one atomic step: existence, operation ids, versions, order, lifetimes, caps.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol

from sojourn.errors import CorruptRecord
from sojourn.ids import AppName, SessionId, SessionKey, UserKey
from sojourn.sessions.graves import Buried, Fate, Forgotten
from sojourn.sessions.record import FIELDS, merge
from sojourn.sessions.record import Pairs as Pairs  # noqa: PLC0414 - re-exported

Label = tuple[str, str]
"""A label's name and its value."""

NOTHING: Pairs = MappingProxyType({})


class Write(NamedTuple):
    """What every write carries.

    Attributes:
        operation_id: a write repeated with the same id takes effect once.
        incarnation: the session must still be this one; empty for any.
        expected: the session must still be of this version; None for any.
    """

    operation_id: str
    incarnation: str = ""
    expected: int | None = None


class Delta(NamedTuple):
    """State to set, by scope."""

    session: Pairs
    user: Pairs
    app: Pairs


def has(head: Head, label: Label | None) -> bool:
    """Whether a session has a label; None is one that all have."""
    return label is None or head.labels.get(label[0]) == label[1]


class Life(NamedTuple):
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
    def span(self) -> float | None:
        """Seconds that it lives at least for what it shares with others; None for ever."""
        if self.ttl is not None:
            return self.ttl
        end = self.end(time.time())
        return None if end is None else max(0.001, end - time.time())

    def end(self, now: float) -> float | None:
        """The instant that it does not outlive when it begins now; None when there is none."""
        ends = [self.until, None if self.max_age is None else now + self.max_age]
        return min((end for end in ends if end is not None), default=None)


class Rows(NamedTuple):
    """Rows to append, the state that they set, and the time of the last of them."""

    rows: Sequence[bytes]
    delta: Delta
    updated: float


class Birth(NamedTuple):
    """A session to create. `created` None means the server's clock.

    `fields` are all of those that a change may set; `fresh` says that the id was made for it, so
    that no other session can have it. `age` are the seconds that it has waited in an outage buffer;
    None for one that has not: then nothing can have been revoked or forgotten since.
    """

    operation_id: str
    created: float | None
    life: Life
    fields: Pairs
    state: Delta
    fresh: bool = False
    age: float | None = None


class Change(NamedTuple):
    """Fields to set (title, status, labels, metadata), and a lifetime as `Life` has it.

    `labels` is a JSON object: each is set, or removed where it is null; the others stay.
    """

    fields: Pairs
    ttl: float | Literal["keep"] | None = "keep"
    until: float | Literal["keep"] | None = "keep"

    @property
    def is_touch(self) -> bool:
        """Whether it changes nothing but when the session expires."""
        return not self.fields and self.ttl == self.until == "keep"


class Image(NamedTuple):
    """A session as a whole: all that a save puts in the place of what is there.

    Attributes:
        change: all fields, and the lifetime; what of that is kept is `ttl`'s in a new session.
        ttl: of a new session, in seconds; None for ever.
        state: its own.
        rows: its log.
        new: whether it may make a session where there is none.
    """

    change: Change
    ttl: float | None
    state: Pairs
    rows: Sequence[bytes]
    new: bool = True


class Window(NamedTuple):
    """Which rows of a log to read: the last `last` (None for all), or from list index `start` on.

    Attributes:
        last: how many from the end; 0 for none.
        start: list index of the first row wanted; takes the place of `last`.
    """

    last: int | None = None
    start: int | None = None


class Head(NamedTuple):
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
    def span(self) -> float | None:
        """As `Life.span`."""
        return Life(self.ttl, until=self.until).span

    def from_now(self, now: float) -> Head:
        """The head after a change that sets its expiry anew.

        A hundredth later than asked, as on a server, where not every change does.
        """
        ends = [self.until, None if self.ttl is None else now + self.ttl * 1.01]
        return self._replace(expires=min((end for end in ends if end is not None), default=None))

    def told(self, fields: Pairs) -> Head:
        """The head after a change of fields."""
        rest = dict(fields)
        log_id = rest.pop("log_id", self.log_id.encode()).decode()
        return self._replace(log_id=log_id, fields=merge(self.fields, rest))


class Stored(NamedTuple):
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

    head: Head
    state: Pairs
    user: Pairs
    app: Pairs
    rows: list[bytes]
    first: int
    complete: bool = True
    durable: bool = True
    readable: bool = True


class Born(NamedTuple):
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


class Written(NamedTuple):
    """The version that a write led to, the last seq, and whether it was a repetition.

    `durable` is False when only the outage buffer of this process has it.
    """

    version: int
    seq: int
    repeated: bool
    durable: bool = True


class Renamed(NamedTuple):
    """The id and the incarnation that a rotation led to, and whether it was a repetition."""

    session: SessionId
    incarnation: str
    repeated: bool = False


class Place(NamedTuple):
    """A place in an index: the score and the name of the last entry seen."""

    score: float
    name: str


class Listed(NamedTuple):
    """A page of an index with the place after which the next one starts; None at the end.

    `corrupt` are sessions of the page that cannot be read, `newer` those that a newer version wrote
    in a way that this one cannot read.
    """

    sessions: list[tuple[SessionKey, Stored]]
    after: Place | None
    corrupt: Sequence[SessionKey] = ()
    newer: Sequence[SessionKey] = ()


class Named(NamedTuple):
    """A page of names with their places, and whether there are more."""

    places: list[Place]
    more: bool


class Tidied(NamedTuple):
    """What was amiss in the indexes of a user.

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


class SessionStore(Protocol):
    """Where sessions are kept. Each method but `forget` is one atomic step.

    All raise `Unavailable` and its kin when the truth cannot be known; none returns "nothing" then.
    """

    async def create(self, key: SessionKey, birth: Birth) -> Born:
        """Create a session. Raises SessionExists, TooManySessions, TooLarge.

        InvalidInput when it would have ended already; Conflict or Erased when it has waited, and it
        or its user or app was revoked or forgotten since.
        """
        ...

    async def ensure(self, key: SessionKey, birth: Birth, window: Window) -> Stored:
        """Read a session; create it first if there is none, in one step. Raises as `create`."""
        ...

    async def read(self, key: SessionKey, window: Window) -> Stored | None:
        """A consistent snapshot of a session, or None when there is none.

        What else cannot be read is left out; without its head nothing is served: CorruptRecord.
        """
        ...

    async def append(
        self, key: SessionKey, rows: Sequence[bytes], delta: Delta, updated: float, write: Write
    ) -> Written:
        """Append rows and set state. Raises SessionNotFound, StaleSession, TooLarge."""
        ...

    async def begin(self, key: SessionKey, birth: Birth, first: Rows, write: Write) -> Written:
        """Append; where there is no session, create it and append. Raises as both."""
        ...

    async def update(self, key: SessionKey, change: Change, write: Write) -> Written:
        """Set fields or the lifetime. Raises SessionNotFound, StaleSession."""
        ...

    async def save(self, key: SessionKey, image: Image, write: Write) -> Written:
        """Put a session in the place of what is there, or make it; version 0 is that of none.

        Raises as `update`, and TooManySessions, TooLarge.
        """
        ...

    async def trim(self, key: SessionKey, drop: int, keep: int | None, write: Write) -> Written:
        """Drop rows at the end, then keep so many of the rest. Raises as `update`."""
        ...

    async def delete(self, key: SessionKey, write: Write) -> bool:
        """Delete a session; whether there was one."""
        ...

    async def rotate(
        self, key: SessionKey, new: SessionKey, incarnation: str, write: Write
    ) -> Renamed:
        """Give a session the id and incarnation `new`, or those that this operation gave before.

        Raises SessionNotFound, SessionExists.
        """
        ...

    async def list_sessions(
        self,
        owner: UserKey,
        after: Place | None,
        limit: int,
        label: Label | None = None,
        *,
        newest_first: bool = False,
    ) -> Listed:
        """A page of a user's sessions with state and no rows, least recently updated first.

        Or the other way round, where what is updated between two pages is not on the second.

        With a label only those that have it.
        """
        ...

    async def list_ids(self, owner: UserKey, after: Place | None, limit: int) -> Named:
        """A page of the ids of a user's sessions, least recently updated first.

        Some may have expired.
        """
        ...

    async def list_users(
        self, users: Sequence[tuple[UserKey, Place | None]], limit: int
    ) -> Sequence[Listed | CorruptRecord]:
        """Pages as of `list_sessions` of several users at once, in order, up to so many sessions.

        Of each user the sessions behind a place, or what is wrong with its index. Users may be left
        out at the end; only the last of those that are not may have more.
        """
        ...

    async def list_recent(
        self, app: AppName, after: Place | None, limit: int, label: Label | None = None
    ) -> Listed:
        """A page of an app's sessions with state and no rows, most recently updated first.

        The name of a place is user and session, both escaped, a colon between them. With a label
        only those that have it. What is as new as a minute may be missing or stand further back.
        """
        ...

    async def list_names(
        self, app: str | None, shard: int, after: Place | None, limit: int
    ) -> Named:
        """A page of the users in a shard of an app, or of the apps (`app` None)."""
        ...

    async def tidy(self, owner: UserKey) -> Tidied:
        """Make the indexes of a user say what is the case, and finish what was left undone."""
        ...

    async def tidy_recent(self, app: AppName, shard: int) -> int:
        """Take out what is gone of a shard of the index that `list_recent` reads; how many."""
        ...

    async def count(self, owner: UserKey) -> int:
        """How many sessions a user has, as far as the index knows."""
        ...

    async def shared_state(self, owner: UserKey) -> tuple[Pairs, Pairs]:
        """The state of a user and of its app. Raises CorruptRecord when the user's is foreign."""
        ...

    async def bury(self, what: Buried, fate: Fate) -> float:
        """Let no create that waits now come to life later; when that was, by the store's clock."""
        ...

    async def buried(self, key: SessionKey, age: float) -> Fate | None:
        """Whether a session, its user or its app was revoked or forgotten in the last `age` s."""
        ...

    async def was_appended(self, key: SessionKey, operation_id: str, ids: Sequence[str]) -> bool:
        """Whether an append was applied to a session that was rotated since.

        The write, or all of its events, by their ids, are in what the session has become.
        """
        ...

    async def forget(self, owner: UserKey) -> Forgotten:
        """Delete all that is kept of a user. Interrupted, it can be done again."""
        ...
