"""Guards make handles for callers that are not trusted: their calls are checked and logged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from sojourn.calls.room import Handles
from sojourn.errors import InvalidInput, SojournError
from sojourn.ids import UserKey, parse_app
from sojourn.process_bound import stays_here
from sojourn.security.audit import AccessLog
from sojourn.security.binding import Bindings
from sojourn.security.interceptor import AccessInterceptor, AccessPolicy, Limiter
from sojourn.security.principal import Principal
from sojourn.security.store import SecurityStore
from sojourn.security.user import User

logger = logging.getLogger("sojourn.security")


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


@stays_here("the store's URL, and make one there")
class Guard:
    """Makes handles. Made by `store.guard(…)`.

    Args:
        store: the store.
        handles: of which rooms a user has handles, and what makes the user's part of each.
        counts: what guards of all processes know.
        log: where decisions go; counted only, if not given.
        check_id: what an id that callers bring for a new session must be: `IdPolicy.check`; raises
            `InvalidId`. Any id that can name a key, if not given.
        limiter: a `GuessLimiter`: slows and refuses peers that guess ids.
        bindings: binds sessions to their users and clients.
    """

    def __init__(
        self,
        store: Any,
        handles: Handles,
        counts: SecurityStore,
        *,
        log: AccessLog | None = None,
        check_id: Callable[[str], object] | None = None,
        limiter: Limiter | None = None,
        bindings: Bindings | None = None,
    ) -> None:
        self.log = AccessLog() if log is None else log
        self._store = store
        self._handles = handles
        self._counts = counts
        self._policy = AccessPolicy(self.log, counts, check_id or _any, limiter, bindings)

    def user(self, principal: Principal) -> User:
        """The store as one user sees it. Asks nobody.

        Args:
            principal: who calls, as a credential said: `Principal.of(app, user, peer=…)`.

        Raises:
            InvalidInput: it is no principal.
            InvalidId: it names nobody.
        """
        if not isinstance(principal, Principal):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput("guard.user() takes a Principal: Principal.of(app, user).")
        app, user, peer = principal
        checked = Principal.of(app, user, peer=peer)
        access = AccessInterceptor(checked, self._policy)
        return User(self._store, self._handles, checked.owner, access)

    def operator(self, app: str, user: str, *, name: str, peer: str = "") -> User:
        """The store as one user sees it, for a caller who may act for every user. Asks nobody.

        Its calls are logged as those of the caller. They are not slowed, and may name any id that
        can name a key.

        Args:
            app: the application.
            user: the user; the empty string is a user like any other.
            name: who calls, as a credential said.
            peer: where the call comes from, for the access log.

        Raises:
            InvalidId: no such names.
        """
        owner, caller = UserKey.of(app, user), Principal.of(app, name, peer=peer)
        policy = self._policy._replace(check_id=_any, limiter=None)
        access = AccessInterceptor(Principal(*owner, caller.peer), policy, caller=caller)
        return User(self._store, self._handles, owner, access)

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
            await self._counts.count(name, f"refused:{reason}", None)
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
        totals = await self._counts.totals(parse_app(app))
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
