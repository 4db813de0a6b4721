"""The interceptor authorises, logs and counts every call of a guarded handle."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from sojourn.access import AccessRule
from sojourn.errors import (
    InvalidBinding,
    InvalidInput,
    InvalidToken,
    Refused,
    SessionNotFound,
    SojournError,
    Throttled,
)
from sojourn.ids import SessionId, SessionKey, new_incarnation, operation_id_of, session_id_of
from sojourn.process_bound import stays_here
from sojourn.security.audit import AccessLog, Outcome
from sojourn.security.binding import Bindings
from sojourn.security.principal import Principal
from sojourn.security.store import SecurityStore, owner_digest

T = TypeVar("T")

log = logging.getLogger("sojourn.security")


class Limiter(Protocol):
    """Slows and refuses peers that ask for sessions which are not theirs."""

    async def check(self, peer: str, app: str) -> None:
        """Raise `Throttled` while this peer is refused."""
        ...

    async def failed(self, peer: str, app: str) -> None:
        """Count an unknown or foreign id of this peer."""
        ...


class AccessPolicy(NamedTuple):
    """What a guard decides by.

    Attributes:
        log: where decisions go.
        store: what all processes know.
        check_id: what an id that a caller brings must be; raises `InvalidId`.
        limiter: of peers that ask for what is not theirs; None for none.
        bindings: binds sessions to their users and clients; None for none.
    """

    log: AccessLog
    store: SecurityStore
    check_id: Callable[[str], object]
    limiter: Limiter | None
    bindings: Bindings | None


@stays_here("the store's URL and the Principal, and make it there")
class AccessInterceptor:
    """Stands around every call of one caller.

    Args:
        principal: whose calls they are.
        policy: what decides.
        caller: who makes them, for the log, when that is an operator and not the user.
    """

    def __init__(
        self, principal: Principal, policy: AccessPolicy, *, caller: Principal | None = None
    ) -> None:
        self.principal = principal
        self.policy = policy
        self._caller = principal if caller is None else caller

    async def call(
        self,
        action: str,
        rule: AccessRule,
        session: str | None,
        step: Callable[[], Awaitable[T]],
        *,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> T:
        """Make a call.

        If there is no such session it costs two round trips more, with a limiter three, for the log
        and the counts: the same for an id of somebody else as for one that never was.

        Args:
            action: what is wanted.
            rule: that of the method.
            session: the id, as the caller named it; None when the call names none.
            step: makes it.
            args: its arguments without identity.
            kwargs: those by name, which `step` reads; a create without an id gets an operation id.
        """
        if not rule.logged:
            return await step()
        try:
            found = await self._made(rule, session, step, args, {} if kwargs is None else kwargs)
        except SessionNotFound as error:
            if session is None:
                self._record(action, "failed", type(error).__name__)
                raise
            await self._missing(action, self._key(session))
            raise SessionNotFound("There is no such session.") from error
        except Refused as error:
            await self._refused(action, error, session)
            raise
        except BaseException as error:  # a cancelled call may have taken effect
            named = session if isinstance(session, str) else None
            self._record(action, "failed", _reason_of(error), named)
            raise
        if session is None or rule.miss == "answer" or not _is_missing(found):
            if session is None and rule.made is not None:
                session = rule.made(found)
            self._record(action, "allowed", session=session)
        elif rule.miss == "ended":
            self._record(action, "not_found", "gone", session)
        else:
            await self._missing(action, self._key(session))
        return found

    def start(self, action: str, step: Callable[[], T]) -> T:
        """Make a call that goes on for long, as an iteration."""
        try:
            made = step()
        except BaseException as error:
            self._record(action, "failed", _reason_of(error))
            raise
        self._record(action, "allowed")
        return made

    async def _made(
        self,
        rule: AccessRule,
        session: str | None,
        step: Callable[[], Awaitable[T]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> T:
        key = None if session is None else self._key(session)
        if key is not None and rule.miss != "ended":
            await self._admit()
        if key is not None and rule.creates:
            self.policy.check_id(key.session)
        if rule.refuse is not None:
            rule.refuse(*args, **kwargs)
        if rule.creates:
            if key is None:
                given = kwargs.get("operation_id")
                operation = new_incarnation() if given is None else operation_id_of(given)
                kwargs["operation_id"] = operation
                key = self._key(session_id_of(operation))
            return await self._claimed(key, step())
        found = await step()
        if rule.made is not None:
            await self._claim(self._key(rule.made(found)))
        return found

    def _key(self, session: str) -> SessionKey:
        return SessionKey.of(*self.principal.owner, session)

    async def _claim(self, key: SessionKey) -> None:
        """Remember whose session this is."""
        try:
            await self.policy.store.claim(key)
        except SojournError as error:  # then foreign is unknown, to the log
            log.warning("Whose a session is was not remembered: %s", error)

    async def _claimed(self, key: SessionKey, made: Awaitable[T]) -> T:
        """Create a session, and remember at the same moment whose it is.

        So the access log tells foreign ids from unknown ones. An owner of an id that was not
        created does no harm.
        """
        claim = asyncio.ensure_future(self._claim(key))
        try:
            return await made
        finally:
            await claim

    async def _refused(self, action: str, error: Refused, session: str | None) -> None:
        """Record a refusal, and count it for all processes."""
        reason = _REASONS.get(type(error), "refused")
        self._record(action, "refused", reason, session)
        flagged = self._key(session).session if session and reason in _FLAGS else None
        await self._count(f"refused:{reason}", flagged)

    async def _missing(self, action: str, key: SessionKey) -> None:
        """The caller is not told somebody else's session from none; the log and the counts are."""
        try:
            owners = await self.policy.store.owners_of(key.app, key.session)
        except SojournError as error:
            log.warning("Whose session was asked for is not known: %s", error)
            owners = frozenset[bytes]()
        except BaseException as error:
            self._record(action, "not_found", _reason_of(error), key.session)
            raise
        reason = "foreign" if owners else "unknown"
        if owner_digest(key) in owners:  # whoever else has one: the limiter must not tell it
            reason = "gone"
        self._record(action, "not_found", reason, key.session)
        await self._count(f"not_found:{reason}", key.session if reason == "foreign" else None)
        if self.policy.limiter is not None and self.principal.peer and reason != "gone":
            await self.policy.limiter.failed(self.principal.peer, self.principal.app)

    async def _admit(self) -> None:
        if self.policy.limiter is not None and self.principal.peer:
            await self.policy.limiter.check(self.principal.peer, self.principal.app)

    async def _count(self, what: str, flagged: SessionId | None) -> None:
        try:
            await self.policy.store.count(self.principal.app, what, flagged)
        except SojournError as error:  # the decision stands all the same
            log.warning("A refusal was not counted for other processes: %s", error)

    def _record(
        self, action: str, outcome: Outcome, reason: str = "", session: str | None = None
    ) -> None:
        self.policy.log.decided(
            action,
            outcome,
            reason,
            principal=self._caller,
            session=session,
            flagged=reason in _FLAGS,
        )


def _reason_of(error: BaseException) -> str:
    if isinstance(error, InvalidInput):
        return "input"
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return type(error).__name__ if isinstance(error, SojournError) else "error"


def _is_missing(found: object) -> bool:
    return found is None or found is False


_FLAGS = frozenset({"foreign", "binding", "token"})
"""Reasons that say that somebody else tried a session."""

_REASONS: Mapping[type[Refused], str] = {
    InvalidBinding: "binding",
    InvalidToken: "token",
    Throttled: "throttled",
}
