"""One user's part of a store."""

from __future__ import annotations

from typing import Any, cast

from sojourn.access import AccessRule
from sojourn.calls.room import Handles
from sojourn.errors import ConfigurationError, InvalidInput, SessionNotFound
from sojourn.ids import SessionKey, UserKey
from sojourn.process_bound import stays_here
from sojourn.security.binding import Bindings
from sojourn.security.handles import UserRoom, handle_class
from sojourn.security.interceptor import AccessInterceptor
from sojourn.sessions import KEEP, Event, Keep, Session


@stays_here("the store's URL and the Principal, and make it there")
class User:
    """A store as one user sees it, who cannot name anyone else.

    Made by `store.user(app, user)` for code that is trusted, and by `guard.user(principal)` for
    callers that are not: then every call is authorised, logged and counted, a session of somebody
    else is one that is not there, what is not there costs two round trips more, whosever it is, and
    `app:` state can be read and not set (`Refused`).

    Methods are those of the rooms, raise the same and cost the same. In place of a key they take
    the id of a session; those of artifacts take `session=` and are about the user's own files
    without it. Type checkers read them in `user.pyi`, which scripts/sync_stub.py writes.

    Attributes:
        owner: who it is.
        sessions: the user's sessions.
        memory: what is known of the user.
        remembered: what is remembered of the user's sessions.
        said: what was said in them.
        cache: results of expensive steps, in a tenant of the user's own.
        artifacts: files of the user and of the user's sessions.
        notices: what happens to the user's sessions.
        threads: checkpoints of the user's graphs, to look at and to delete.
        streams: messages to the user's clients, for servers.
        rotate: gives a session a new id and takes its artifacts along: `Sojourn.rotate`.
        remember: remembers a session beyond its life: `Sojourn.remember`.
    """

    def __init__(
        self, store: Any, handles: Handles, owner: UserKey, access: AccessInterceptor | None
    ) -> None:
        self.owner = owner
        self._store = store
        self._access = access
        for name, (room, part) in handles.items():
            whole = part is not None
            of = cast("object", room if part is None else part(room, owner))
            setattr(self, name, handle_class(type(of), whole=whole)(name, of, owner, access))
        both: Any = handle_class(type(cast("object", store)))("sessions", store, owner, access)
        self.rotate = both.rotate
        self.remember = both.remember

    def history(self, session: str, *, ttl: float | Keep | None = KEEP) -> UserRoom:
        """The messages of a session of the user, as role and content. Asks nobody.

        Args:
            session: its id.
            ttl: seconds that a session made by its first message lives after each change, instead
                of the store's; None for ever.

        Raises:
            InvalidId: it cannot name a session.
        """
        of: object = self._store.history(SessionKey.of(*self.owner, session), ttl=ttl)
        kind = handle_class(type(of), whole=True)
        return kind("history", of, self.owner, self._access, session)

    def bind(self, session: Session[Any], *, fingerprint: str | None = None) -> str:
        """A token that binds a session to its user, and to a client: see `Bindings.issue`.

        Raises:
            InvalidInput: it is no session of this user, or the fingerprint.
            ConfigurationError: no guard with `bindings` has made this handle.
        """
        if session.key.owner != self.owner:
            raise InvalidInput("A session is bound to its own user.")
        return self._bindings().issue(session.key, session.incarnation, fingerprint=fingerprint)

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
            ConfigurationError: no guard with `bindings` has made this handle.
        """
        bindings = self._bindings()

        async def checked() -> Session[Event]:
            key = SessionKey.of(*self.owner, session)
            found: Session[Event] | None = await self._store.sessions.get(key, last=last)
            if found is None:
                raise SessionNotFound("There is no such session.")
            bindings.check(token, key, found.incarnation, fingerprint)
            return found

        if self._access is None:
            return await checked()
        return await self._access.call("sessions.bound", AccessRule(), session, checked)

    def _bindings(self) -> Bindings:
        if self._access is None or self._access.policy.bindings is None:
            raise ConfigurationError(
                "Bindings need secrets: store.guard(bindings=Bindings(Keyring(…)))."
            )
        return self._access.policy.bindings
