"""Values of a migration: a source's contents and the outcome of each, frozen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from sojourn.ids import SessionKey
from sojourn.sessions import Event, Keep, SessionRecord

if TYPE_CHECKING:
    from sojourn.client import Sojourn


class SourceSession(SessionRecord, frozen=True, kw_only=True):
    """A session of a source, with the fields of `SessionRecord`.

    Attributes:
        where: what the source calls it: a key, a row.
        key: what it is called here.
        events: its log, oldest first, with ids that are the same whenever it is read.
        timed: False when the source does not say when its events happened.
        state: its own state.
        created: seconds since the epoch; None when the source does not say.
        updated: when it was last changed, likewise.
        expires: when it expires at the source, by this machine's clock, at the earliest; None is
            never.
        late: seconds by which that may be later: the source was so long in saying it.
        ttl: seconds that it shall live after each change, when the source knows; `keep` for what is
            left until `expires`.
        until: when it expires at the latest, whatever is changed; None sets no such end.
    """

    where: str
    key: SessionKey
    events: Sequence[Event] = ()
    timed: bool = True
    state: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    created: float | None = None
    updated: float | None = None
    expires: float | None = None
    late: float = 0.0
    ttl: float | Keep | None = "keep"
    until: float | None = None


class SourceState(msgspec.Struct, frozen=True, kw_only=True):
    """State of a user, or of an app, at a source.

    Attributes:
        app: whose.
        user: whose; None for the app's.
        values: keys without their scope.
        at: how new it is: of two values for one key the later one counts.
    """

    app: str
    user: str | None
    values: Mapping[str, Any]
    at: float


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a memory.

    Attributes:
        where: what the source calls it.
        app: the app of the scope.
        kind: the kind of the scope.
        name: whose memory it is.
        key: of the entry.
        value: JSON.
        text: what is searched instead of the texts in the value.
        metadata: JSON; `timestamp` in it says how new it is.
        expires: as `SourceSession.expires`.
    """

    where: str
    app: str
    kind: Literal["user", "agent", "knowledge", "sessions", "events"]
    name: str
    key: str
    value: Any
    text: str | None = None
    metadata: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    expires: float | None = None


class CachedResult(msgspec.Struct, frozen=True, kw_only=True):
    """A result of an execution.

    Attributes:
        where: what the source calls it.
        name: of the entry in the cache.
        value: JSON.
        expires: as `SourceSession.expires`.
    """

    where: str
    name: str
    value: Any
    expires: float | None = None


class SourceThread(msgspec.Struct, frozen=True, kw_only=True):
    """A thread of checkpoints.

    Attributes:
        where: what the source calls it.
        app: whose app it is here.
        user: whose it is here.
        bring: brings it to a store; or only looks, if the second argument is true. Gives what
            became of it, and why if that needs a reason.
    """

    where: str
    app: str
    user: str
    bring: Callable[[Sojourn, bool], Awaitable[tuple[Outcome, str]]]


class UnreadableRecord(msgspec.Struct, frozen=True):
    """What a source holds and is not taken along.

    Attributes:
        where: what the source calls it.
        why: the reason, in a clause.
    """

    where: str
    why: str


Record: TypeAlias = (
    SourceSession | SourceState | Remembered | CachedResult | SourceThread | UnreadableRecord
)


class Outcome(StrEnum):
    """What became of a record, or would.

    Attributes:
        WRITTEN: it was not here; now it is.
        CAUGHT_UP: it was here, and what the source had more was added.
        SAME: it was here as it is there.
        AHEAD: it was here and has gone on since; it was left alone.
        DELETED: it had come here, and was deleted here within a day; it is not brought back.
        DIFFERS: it is here and differs in a way that nobody can decide; it was left alone.
        REFUSED: it cannot be kept here.
        EXPIRED: it had expired when it was its turn.
    """

    WRITTEN = "written"
    CAUGHT_UP = "caught up"
    SAME = "already here"
    AHEAD = "gone on here"
    DELETED = "deleted here"
    DIFFERS = "differs"
    REFUSED = "refused"
    EXPIRED = "expired"


class Notable(msgspec.Struct, frozen=True):
    """A record that somebody should look at.

    Attributes:
        where: what the source calls it.
        outcome: what became of it.
        why: the reason, in a clause.
    """

    where: str
    outcome: Outcome
    why: str


class AppCount(msgspec.Struct, frozen=True, kw_only=True):
    """What a source holds of one app.

    Attributes:
        app: its name; empty for what belongs to none, as cached results.
        users: users with sessions, state or memory.
        sessions: its sessions.
        events: their events.
        state: keys of the state of its users and of itself.
        memories: entries of the memory.
        results: cached results.
        threads: threads of checkpoints.
    """

    app: str
    users: int
    sessions: int
    events: int
    state: int
    memories: int
    results: int
    threads: int = 0


class MigrationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a migration has done, or with `dry_run` would do.

    Attributes:
        source: the address of the source, without secrets.
        layout: how it keeps its data.
        target: the address of the store, without secrets.
        dry_run: nothing was written.
        apps: what the source holds, by app.
        outcomes: how many records ended how.
        refused: how many records were not taken along, by reason.
        notable: the first hundred of those that were refused or differ, and of each reason one.
        unsettled: sessions that were written at the source all the while: run it again.
        verified: records that were read on both sides afterwards and are the same.
        passes: how often the source was read.
        endless: sessions that never expire at the source, and do not here.
    """

    source: str
    layout: str
    target: str
    dry_run: bool
    apps: Sequence[AppCount]
    outcomes: Mapping[Outcome, int]
    refused: Mapping[str, int]
    notable: Sequence[Notable]
    unsettled: Sequence[str]
    verified: int
    passes: int
    endless: int

    @property
    def complete(self) -> bool:
        """Whether everything is here, or would be: nothing refused, different or unsettled."""
        bad = self.outcomes.get(Outcome.DIFFERS, 0) + self.outcomes.get(Outcome.REFUSED, 0)
        return not bad and not self.unsettled

    @property
    def records(self) -> int:
        """How many records the source holds, whatever became of them."""
        return sum(self.outcomes.values())
