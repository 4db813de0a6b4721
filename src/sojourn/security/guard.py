"""Guarded handles: each is restricted to one user, and its calls are logged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from sojourn.artifacts import Artifacts
from sojourn.cache import Cache
from sojourn.errors import InvalidInput, SojournError
from sojourn.handles import stays_here
from sojourn.ids import SessionKey, parse_app
from sojourn.memory import LAST, Memory, remember
from sojourn.notices import Notices
from sojourn.security.audit import AccessLog
from sojourn.security.binding import Bindings
from sojourn.security.gate import Checks, Gate, Limiter
from sojourn.security.kept import UserArtifacts, UserCache, UserHistory, UserMemory, UserNotices
from sojourn.security.own import RotateCall, UserSessions
from sojourn.security.principal import Principal
from sojourn.security.store import SecurityStore
from sojourn.security.told import UserStreams
from sojourn.sessions import KEEP, AdapterSessions, Keep, Sessions
from sojourn.sessions.history import history_of
from sojourn.streams import Streams

logger = logging.getLogger("sojourn.security")


class Guarded(NamedTuple):
    """The rooms that a handle opens a part of, and what the store does over several."""

    sessions: Sessions
    adapters: AdapterSessions
    cache: Cache
    memory: Memory
    artifacts: Artifacts
    notices: Notices
    streams: Streams
    rotate: RotateCall


class SecurityStats(NamedTuple):
    """What guards have decided.

    Attributes:
        allowed: steps that were taken; None for the fleet, where nobody counts them.
        total_failed_attempts: refused, and sessions that were not there or somebody else's.
        flagged_sessions: different sessions that somebody else attempted, about.
        reasons: how often each `outcome:reason` was.
    """

    allowed: int | None
    total_failed_attempts: int
    flagged_sessions: int
    reasons: dict[str, int]


@stays_here("the store's URL and the Principal, and make it there")
class UserStore:
    """A store as one user sees it. Made by `store.as_user`. It cannot name anyone else.

    Attributes:
        principal: who it is.
        sessions: the user's sessions.
        memory: what is known of the user.
        remembered: what is remembered of the user's sessions.
        said: what was said in them.
        cache: results of expensive steps, in a tenant of the user's own.
        artifacts: files of the user and of the user's sessions.
        notices: what happens to the user's sessions.
        streams: what clients of the user were told lately.
    """

    def __init__(self, gate: Gate, rooms: Guarded, bindings: Bindings | None) -> None:
        app, user = gate.principal.owner
        self.principal = gate.principal
        self.sessions = UserSessions(gate, rooms.sessions, rooms.rotate, bindings)
        known, past, said = (
            scope(user, app=app, tenant="")
            for scope in (rooms.memory.user, rooms.memory.sessions, rooms.memory.events)
        )
        self.memory = UserMemory(gate, known, "memory")
        self.remembered = UserMemory(gate, past, "remembered")
        self.said = UserMemory(gate, said, "said")
        self.cache = UserCache(gate, rooms.cache)
        self.artifacts = UserArtifacts(gate, rooms.artifacts)
        self.notices = UserNotices(gate, rooms.notices)
        self.streams = UserStreams(gate, rooms.streams)
        self._gate = gate
        self._rooms = rooms

    def history(self, session: str, *, ttl: float | Keep | None = KEEP) -> UserHistory:
        """The messages of a session of the user, as role and content. Asks nobody.

        Args:
            session: its id.
            ttl: seconds that a session made by its first message lives after each change, instead
                of the store's; None for ever.

        Raises:
            InvalidId: it cannot name a session.
        """
        key, rooms = self._gate.key(session), self._rooms
        return UserHistory(
            self._gate,
            session,
            history_of(rooms.sessions, rooms.adapters, key, ttl=ttl),
        )

    async def remember(self, session: str, *, summary: str | None = None, end: bool = False) -> int:
        """Remember a session of the user beyond its life: see `Sojourn.remember`."""
        rooms = self._rooms

        async def remembered(key: SessionKey) -> int:
            if end:
                await rooms.sessions.update(key, status="ended")
            return await remember(
                rooms.memory, key, partial(rooms.sessions.get, last=LAST), summary
            )

        return await self._gate.on("sessions.remember", session, remembered)


@stays_here("the store's URL, and make one there")
class Guard:
    """Makes handles. Made by `store.guard(…)`.

    Args:
        rooms: what handles open.
        store: what guards of all processes know.
        log: where decisions go; counted only, if not given.
        check_id: what an id that callers bring for a new session must be: `IdPolicy.check`; raises
            `InvalidId`. Any id that can name a key, if not given.
        limiter: an `Enumeration`, which slows and refuses peers that guess ids.
        bindings: what binds sessions to their users and clients.
    """

    def __init__(
        self,
        rooms: Guarded,
        store: SecurityStore,
        *,
        log: AccessLog | None = None,
        check_id: Callable[[str], object] | None = None,
        limiter: Limiter | None = None,
        bindings: Bindings | None = None,
    ) -> None:
        self.log = AccessLog() if log is None else log
        self._rooms = rooms
        self._store = store
        self._bindings = bindings
        self._checks = Checks(self.log, store, check_id or _any, limiter)

    def as_user(self, principal: Principal) -> UserStore:
        """The store as one user sees it. Asks nobody.

        Args:
            principal: who calls, as a credential said: `Principal.of(app, user, peer=…)`.

        Raises:
            InvalidInput: it is no principal.
            InvalidId: it names nobody.
        """
        if not isinstance(principal, Principal):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput("as_user() takes a Principal: Principal.of(app, user).")
        app, user, peer = principal
        gate = Gate(Principal.of(app, user, peer=peer), self._checks)
        return UserStore(gate, self._rooms, self._bindings)

    async def refused(self, app: str, reason: str) -> None:
        """Count what a surface has refused by itself, for all processes. One round trip.

        In an outage it is not counted; the log has it.

        Args:
            app: the application, a name that the caller could not choose.
            reason: a word of the surface's code.

        Raises:
            InvalidId: no such app.
        """
        name = parse_app(app)
        try:
            await self._store.count(name, f"refused:{reason}", None)
        except SojournError as error:
            logger.warning("A refusal was not counted for other processes: %s", error)

    def stats(self) -> SecurityStats:
        """What this process has decided. Asks nobody."""
        counts = self.log.counts
        reasons = {":".join(what): number for what, number in counts.items() if what[1]}
        allowed = sum(number for what, number in counts.items() if what[0] == "allowed")
        return SecurityStats(allowed, _failed(reasons), self.log.flagged, reasons)

    async def fleet(self, app: str) -> SecurityStats:
        """What all processes have refused in an app, until 30 days after the last. One round trip.

        Raises:
            InvalidId: no such app.
            Unavailable: the server does not answer.
        """
        totals = await self._store.totals(parse_app(app))
        reasons = dict(totals.counts)
        return SecurityStats(None, _failed(reasons), totals.flagged, reasons)


def _any(_: str) -> None:
    """No policy."""


def _failed(reasons: dict[str, int]) -> int:
    return sum(
        number
        for what, number in reasons.items()
        if what.startswith(("refused:", "not_found:")) and what != "not_found:gone"
    )
