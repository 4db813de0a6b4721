"""The gate authorises, logs and counts every call of a guarded handle."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, TypeVar

from sojourn.errors import (
    InvalidBinding,
    InvalidInput,
    InvalidToken,
    Refused,
    SessionNotFound,
    SojournError,
    Throttled,
)
from sojourn.ids import SessionId, SessionKey
from sojourn.security.audit import AccessLog, Outcome
from sojourn.security.principal import Principal
from sojourn.security.store import SecurityStore, owner_digest

T = TypeVar("T")

log = logging.getLogger("sojourn.security")


def nothing(found: object) -> bool:
    """Whether a result says that there was nothing: None or False."""
    return found is None or found is False


class Limiter(Protocol):
    """Slows and refuses peers that ask for sessions which are not theirs."""

    async def check(self, peer: str, app: str) -> None:
        """Raise `Throttled` while this peer is refused."""
        ...

    async def failed(self, peer: str, app: str) -> None:
        """Count an unknown or foreign id of this peer."""
        ...


class Checks(NamedTuple):
    """What a guard looks at.

    Attributes:
        log: where decisions go.
        store: what all processes know.
        check_id: what an id that a caller brings must be; raises `InvalidId`.
        limiter: of who asks for what is not theirs; None for none.
    """

    log: AccessLog
    store: SecurityStore
    check_id: Callable[[str], object]
    limiter: Limiter | None


class Gate:
    """The way of one caller.

    Args:
        principal: who calls.
        checks: what is looked at.
    """

    def __init__(self, principal: Principal, checks: Checks) -> None:
        self.principal = principal
        self._checks = checks

    def key(self, session: str) -> SessionKey:
        """The caller's session of this id, whatever it looks like."""
        return SessionKey.of(*self.principal.owner, session)

    async def claim(self, key: SessionKey) -> None:
        """Remember whose session this is."""
        try:
            await self._checks.store.claim(key)
        except SojournError as error:  # then foreign is unknown, to the log
            log.warning("Whose a session is was not remembered: %s", error)

    async def claimed(self, key: SessionKey, made: Awaitable[T]) -> T:
        """Make a session, and remember at the same moment whose it is.

        So the access log tells foreign ids from unknown ones. Who owns what was not made is no
        harm.
        """
        claim = asyncio.ensure_future(self.claim(key))
        try:
            return await made
        finally:
            await claim

    def check_new(self, session: str | None) -> None:
        """Refuse an id that a caller may not bring for a new session."""
        if session is not None:
            self.key(session)
            self._checks.check_id(session)

    async def on(
        self,
        action: str,
        session: str,
        step: Callable[[SessionKey], Awaitable[T]],
        *,
        missing: Callable[[T], bool] = nothing,
        guessed: bool = True,
    ) -> T:
        """Take a step that is about a session of the caller.

        When there is none it costs two round trips more, with a limiter three, for the log and the
        counts: the same for an id of somebody else as for one that never was.

        Args:
            action: what is wanted.
            session: the id, as the caller named it.
            step: what to do.
            missing: whether a result says that there is no such session.
            guessed: whether one that is not there may be a guess. Else it has ended: nobody is
                asked whose it was, and the limiter knows nothing of it.
        """

        async def taken() -> T:
            key = self.key(session)
            if guessed:
                await self._admit()
            return await step(key)

        try:
            found = await self._decided(action, session, taken)
        except SessionNotFound as error:
            await self._missing(action, self.key(session))
            raise SessionNotFound("There is no such session.") from error
        if missing(found) and not guessed:
            self._record(action, "not_found", "gone", session)
        elif missing(found):
            await self._missing(action, self.key(session))
        else:
            self._record(action, "allowed", "", session)
        return found

    async def to(
        self,
        action: str,
        step: Callable[[], Awaitable[T]],
        *,
        of: Callable[[T], str] | None = None,
    ) -> T:
        """Take a step that asks for no session; `of` says which one it made."""
        done = await self._decided(action, None, step)
        self._record(action, "allowed", session=None if of is None else of(done))
        return done

    def began(self, action: str) -> None:
        """Record a step that goes on for long."""
        self._record(action, "allowed")

    async def _decided(
        self, action: str, session: str | None, step: Callable[[], Awaitable[T]]
    ) -> T:
        try:
            return await step()
        except SessionNotFound:
            raise
        except Refused as error:
            await self.refused(action, error, session)
            raise
        except SojournError as error:
            reason = "input" if isinstance(error, InvalidInput) else type(error).__name__
            self._record(action, "failed", reason, session if isinstance(session, str) else None)
            raise

    async def refused(self, action: str, error: Refused, session: str | None) -> None:
        """Record a refusal, and count it for all processes."""
        reason = _REASONS.get(type(error), "refused")
        self._record(action, "refused", reason, session)
        flagged = self.key(session).session if session and reason in _FLAGS else None
        await self._count(f"refused:{reason}", flagged)

    async def _missing(self, action: str, key: SessionKey) -> None:
        """Nobody else's session is told from none; the log and the counts know it."""
        try:
            owners = await self._checks.store.owners_of(key.app, key.session)
        except SojournError as error:
            log.warning("Whose session was asked for is not known: %s", error)
            owners = frozenset[bytes]()
        reason = "foreign" if owners else "unknown"
        if owner_digest(key) in owners:  # whoever else has one: the limiter must not tell it
            reason = "gone"
        self._record(action, "not_found", reason, key.session)
        await self._count(f"not_found:{reason}", key.session if reason == "foreign" else None)
        if self._checks.limiter is not None and self.principal.peer and reason != "gone":
            await self._checks.limiter.failed(self.principal.peer, self.principal.app)

    async def _admit(self) -> None:
        if self._checks.limiter is not None and self.principal.peer:
            await self._checks.limiter.check(self.principal.peer, self.principal.app)

    async def _count(self, what: str, flagged: SessionId | None) -> None:
        try:
            await self._checks.store.count(self.principal.app, what, flagged)
        except SojournError as error:  # the decision stands all the same
            log.warning("A refusal was not counted for other processes: %s", error)

    def _record(
        self, action: str, outcome: Outcome, reason: str = "", session: str | None = None
    ) -> None:
        self._checks.log.decided(
            action,
            outcome,
            reason,
            principal=self.principal,
            session=session,
            flagged=reason in _FLAGS,
        )


_FLAGS = frozenset({"foreign", "binding", "token"})
"""Reasons that say that somebody else tried a session."""

_REASONS: dict[type[Refused], str] = {
    InvalidBinding: "binding",
    InvalidToken: "token",
    Throttled: "throttled",
}
