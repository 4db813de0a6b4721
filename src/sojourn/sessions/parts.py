"""Parts that the session calls of agents, operators and adapters share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from sojourn.calls.operation import RoomStore
from sojourn.ids import new_log_id
from sojourn.process_bound import stays_here
from sojourn.sessions import checks
from sojourn.sessions.listing import Listing
from sojourn.sessions.model import Appended
from sojourn.sessions.nearcache import NearCache
from sojourn.sessions.quarantine import Quarantine
from sojourn.sessions.reader import SessionReader
from sojourn.sessions.record import Pairs, SessionFields, encode_fields
from sojourn.sessions.states import States
from sojourn.sessions.store import Lifetime, WriteResult

Keep = Literal["keep"]
KEEP: Final[Keep] = "keep"


class SessionLimits(NamedTuple):
    """Options given to `sojourn.open`.

    Attributes:
        session_ttl: seconds a session lives after its last change; None for ever.
        max_event_bytes: the largest event, as JSON.
        shards: among how many index entries the store spreads an app's users.
        cache_bytes: the size of the near-cache.
        operation_timeout: seconds for all round trips of an operation together.
        strict_ids: whether only ids of our making name sessions.
    """

    session_ttl: float | None
    max_event_bytes: int
    shards: int
    cache_bytes: int
    operation_timeout: float
    strict_ids: bool = False

    def life(
        self, ttl: float | Keep | None, max_age: float | None, until: float | None
    ) -> Lifetime:
        """The lifetime of a new session."""
        return Lifetime(
            checks.lifetime(self.session_ttl if ttl == KEEP else ttl),
            checks.lifetime(max_age, "max_age"),
            checks.end(until),
        )


@stays_here("the store's URL, and open the store there")
class SessionParts:
    """The store of the sessions and what stands on it.

    Attributes:
        store: keeps them.
        limits: options given to `sojourn.open`.
        quarantine: takes records that cannot be read.
        cache: decoded events.
        states: decodes states.
        reader: reads sessions.
        listing: lists sessions, users and apps.
    """

    def __init__(
        self,
        store: RoomStore,
        limits: SessionLimits,
        quarantine: Quarantine,
        losses: Callable[[], int] = lambda: 0,
    ) -> None:
        self.store = store
        self.limits = limits
        self.quarantine = quarantine
        self.cache = NearCache(limits.cache_bytes)
        self.states = States(quarantine)
        self.reader = SessionReader(store, self.cache, self.states, quarantine, losses)
        self.listing = Listing(store, self.states, limits.shards)


def first_fields(given: SessionFields) -> Pairs:
    """The fields of a session that is made now, or written as a whole."""
    return {"log_id": new_log_id().encode(), **encode_fields(given)}


def appended(written: WriteResult, count: int) -> Appended:
    """The result of an append of so many events."""
    first = written.seq - count + 1
    seqs = range(0) if written.repeated else range(first, written.seq + 1)
    return Appended(written.version, seqs, written.repeated, written.durable)
