"""Session operations restricted to one user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol, Unpack

from sojourn.errors import ConfigurationError, InvalidInput, Refused, SessionNotFound
from sojourn.handles import stays_here
from sojourn.ids import SessionKey, new_incarnation, operation_id_of, session_id_of
from sojourn.security.binding import Bindings
from sojourn.security.gate import Gate
from sojourn.sessions import (
    KEEP,
    Appended,
    Event,
    Keep,
    Rotated,
    Session,
    SessionFields,
    SessionPage,
    Sessions,
)
from sojourn.sessions.scope import split


class RotateCall(Protocol):
    """As `Sojourn.rotate`."""

    async def __call__(self, key: SessionKey, *, operation_id: str | None = None) -> Rotated:
        """Give a session a new id."""
        ...


class CreateFields(SessionFields, total=False):
    """The same with how long it lives."""

    ttl: float | Keep | None
    max_age: float | None
    until: float | None


@stays_here("the store's URL and the Principal, and make it there")
class UserSessions:
    """The sessions of one user, by their ids. Made by `store.as_user`, as its `sessions`.

    Methods are those of `Sessions`, raise the same and cost the same, with three exceptions.
    A session of somebody else is one that is not there. What is not there costs two round trips
    more, whosever it is. `create` and `ensure` take along, in the same moment, a record of whose
    the id is; it needs a connection of its own only in a Cluster.

    `app:` state belongs to all users: a caller reads it and never sets it (`Refused`).
    """

    def __init__(
        self, gate: Gate, sessions: Sessions, rotate: RotateCall, bindings: Bindings | None
    ) -> None:
        self._gate = gate
        self._sessions = sessions
        self._rotate = rotate
        self._bindings = bindings

    async def create(
        self,
        session: str | None = None,
        *,
        state: Mapping[str, Any] | None = None,
        operation_id: str | None = None,
        **fields: Unpack[CreateFields],
    ) -> Session[Event]:
        """Create a session: see `Sessions.create`.

        Args:
            session: its id, where the guard's policy lets callers bring one; made if not given.
            state: its first state.
            operation_id: repeat a create with the same id and it takes effect once.
            fields: title, status, labels, metadata, ttl, max_age, until.

        Raises:
            InvalidId: the policy refuses the id; nothing was sent.
            Refused: `app:` state.
        """

        async def made() -> Session[Event]:
            self._gate.check_new(session)
            _refuse_app(state or {})
            operation = new_incarnation() if operation_id is None else operation_id_of(operation_id)
            key = self._gate.key(session_id_of(operation) if session is None else session)
            return await self._gate.claimed(
                key,
                self._sessions.create(
                    *key,
                    state=state,
                    operation_id=operation,
                    fresh=session is None,
                    **fields,
                ),
            )

        return await self._gate.to("sessions.create", made, of=lambda born: born.key.session)

    async def ensure(
        self,
        session: str,
        *,
        last: int | None = None,
        state: Mapping[str, Any] | None = None,
        operation_id: str | None = None,
        **fields: Unpack[CreateFields],
    ) -> Session[Event]:
        """Get a session, and create it if there is none: see `Sessions.ensure`.

        Raises:
            InvalidId: the policy refuses the id, also of a session that is there.
            Refused: `app:` state.
        """

        async def made(key: SessionKey) -> Session[Event]:
            self._gate.check_new(session)
            _refuse_app(state or {})
            return await self._gate.claimed(
                key,
                self._sessions.ensure(
                    *key, last=last, state=state, operation_id=operation_id, **fields
                ),
            )

        return await self._gate.on("sessions.ensure", session, made)

    async def get(
        self,
        session: str,
        *,
        last: int | None = None,
        since: float | None = None,
        after: int | None = None,
    ) -> Session[Event] | None:
        """A session with its events: see `Sessions.get`."""
        return await self._gate.on(
            "sessions.get",
            session,
            partial(self._sessions.get, last=last, since=since, after=after),
        )

    async def append(
        self,
        session: str,
        *events: Event,
        incarnation: str = "",
        expected_version: int | None = None,
        operation_id: str | None = None,
    ) -> Appended:
        """Append events: see `Sessions.append`.

        Raises:
            Refused: a delta of `app:` state.
        """

        async def appended(key: SessionKey) -> Appended:
            for event in events:
                _refuse_app(event.state_delta)
            return await self._sessions.append(
                key,
                *events,
                incarnation=incarnation,
                expected_version=expected_version,
                operation_id=operation_id,
            )

        return await self._gate.on("sessions.append", session, appended)

    async def update(
        self,
        session: str,
        *,
        ttl: float | Keep | None = KEEP,
        until: float | Keep | None = KEEP,
        expected_version: int | None = None,
        operation_id: str | None = None,
        **fields: Unpack[SessionFields],
    ) -> int:
        """Change fields of a session: see `Sessions.update`."""
        return await self._gate.on(
            "sessions.update",
            session,
            partial(
                self._sessions.update,
                ttl=ttl,
                until=until,
                expected_version=expected_version,
                operation_id=operation_id,
                **fields,
            ),
        )

    async def save(
        self,
        session: str,
        *,
        events: Sequence[Event] = (),
        state: Mapping[str, Any] | None = None,
        ttl: float | Keep | None = KEEP,
        until: float | Keep | None = KEEP,
        expected_version: int | None = None,
        operation_id: str | None = None,
        **fields: Unpack[SessionFields],
    ) -> int:
        """Write a session as a whole: see `Sessions.save`.

        Raises:
            InvalidId: the policy refuses the id, also of a session that is there.
        """

        async def saved(key: SessionKey) -> int:
            self._gate.check_new(session)
            return await self._gate.claimed(
                key,
                self._sessions.save(
                    key,
                    events=events,
                    state=state,
                    ttl=ttl,
                    until=until,
                    expected_version=expected_version,
                    operation_id=operation_id,
                    **fields,
                ),
            )

        return await self._gate.on("sessions.save", session, saved)

    async def trim(
        self,
        session: str,
        *,
        drop: int = 0,
        keep: int | None = None,
        expected_version: int | None = None,
        operation_id: str | None = None,
    ) -> int:
        """Cut events off the log for good: see `Sessions.trim`."""
        return await self._gate.on(
            "sessions.trim",
            session,
            partial(
                self._sessions.trim,
                drop=drop,
                keep=keep,
                expected_version=expected_version,
                operation_id=operation_id,
            ),
        )

    async def touch(self, session: str) -> bool:
        """Let a session live for its TTL from now: see `Sessions.touch`."""
        return await self._gate.on("sessions.touch", session, self._sessions.touch)

    async def rotate(self, session: str, *, operation_id: str | None = None) -> Rotated:
        """Give a session a new id, and take its artifacts along: see `Sojourn.rotate`."""

        async def rotated(key: SessionKey) -> Rotated:
            done = await self._rotate(key, operation_id=operation_id)
            await self._gate.claim(done.key)
            return done

        return await self._gate.on("sessions.rotate", session, rotated)

    def bind(self, session: Session[Any], *, fingerprint: str | None = None) -> str:
        """A token that binds a session to its user, and to a client: see `Bindings.issue`.

        Raises:
            InvalidInput: it is no session of this user, or the fingerprint.
            ConfigurationError: the guard was made without `bindings`.
        """
        if session.key.owner != self._gate.principal.owner:
            raise InvalidInput("A session is bound to its own user.")
        return self._wanted().issue(session.key, session.incarnation, fingerprint=fingerprint)

    async def bound(
        self,
        session: str,
        token: object,
        *,
        fingerprint: str | None = None,
        last: int | None = 0,
    ) -> Session[Event]:
        """A session, if a token binds it to this user and client. One round trip with `last` to 64.

        Args:
            session: its id.
            token: what the client showed, whatever it is: see `Bindings.check`.
            fingerprint: of the client.
            last: read only this many events from the end; 0 for none, None for all.

        Raises:
            InvalidBinding: forged, moved or outdated.
            SessionNotFound: there is none.
            ConfigurationError: the guard was made without `bindings`.
        """
        bindings = self._wanted()

        async def checked(key: SessionKey) -> Session[Event]:
            found = await self._sessions.get(key, last=last)
            if found is None:
                raise SessionNotFound("There is no such session.")
            bindings.check(token, key, found.incarnation, fingerprint)
            return found

        return await self._gate.on("sessions.bound", session, checked)

    def _wanted(self) -> Bindings:
        if self._bindings is None:
            raise ConfigurationError(
                "Bindings need secrets: store.guard(bindings=Bindings(Keyring(…)))."
            )
        return self._bindings

    async def delete(self, session: str, *, operation_id: str | None = None) -> bool:
        """Delete a session and its events: see `Sessions.delete`."""
        return await self._gate.on(
            "sessions.delete", session, partial(self._sessions.delete, operation_id=operation_id)
        )

    async def list(
        self,
        *,
        pattern: str | None = None,
        status: str | None = None,
        labels: Mapping[str, str] | None = None,
        newest_first: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> SessionPage:
        """A page of the user's own sessions: see `Sessions.list`."""
        return await self._gate.to(
            "sessions.list",
            partial(
                self._sessions.list,
                *self._gate.principal.owner,
                pattern=pattern,
                status=status,
                labels=labels,
                newest_first=newest_first,
                limit=limit,
                cursor=cursor,
            ),
        )

    async def count(self) -> int:
        """How many sessions the user has: see `Sessions.count`."""
        return await self._gate.to(
            "sessions.count", partial(self._sessions.count, *self._gate.principal.owner)
        )

    async def user_state(self) -> dict[str, Any]:
        """The user's own state, keys without `user:`: see `Sessions.user_state`."""
        return await self._gate.to(
            "sessions.user_state", partial(self._sessions.user_state, *self._gate.principal.owner)
        )


def _refuse_app(state: Mapping[str, Any]) -> None:
    if split(state).app:
        raise Refused("State of the app belongs to all its users: a caller reads it only.")
