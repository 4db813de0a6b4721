"""ADK's session service over the sessions room."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.input_validation_error import InputValidationError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event as AdkEvent
from google.adk.platform import time as platform_time
from google.adk.sessions.base_session_service import (
    BaseSessionService,
    GetSessionConfig,
    ListSessionsResponse,
)
from google.adk.sessions.session import Session as AdkSession

from sojourn import client, errors
from sojourn.handles import stays_here
from sojourn.ids import SessionKey
from sojourn.integrations.adk import events
from sojourn.integrations.adk.stale import StaleSessionError
from sojourn.sessions import KEEP, Event, Keep, Session

if TYPE_CHECKING:
    import redis
    import redis.asyncio

    Where: TypeAlias = str | client.Sojourn | redis.Redis | redis.asyncio.Redis

_PAGE = 1000
_VERSION = " version "
_REMEMBERED = 4096
"""Identities that are not checked again."""


@stays_here("its URL, and make one there")
class SessionService(BaseSessionService):
    """ADK's sessions in Redis or Valkey.

    The semantics are those of ADK's `InMemorySessionService`; the differences are that data
    survives, that many processes may share it, and that an outage raises `sojourn.Unavailable`
    instead of looking like an empty session.

    Args:
        url_or_store: a URL or redis-py client as `sojourn.open` takes them, or an open store, which
            `close()` then leaves open.
        ttl: seconds that a session lives after its last event; None for ever; the store's (a day)
            if not given.
        on_stale: `merge` lets handles that are behind append, and nothing is lost; `raise` gives
            ADK's StaleSessionError instead.
        copies: `light` returns events whose content is shared within this process, as ADK's
            light-copy mode does; `deep` copies everything.
        options: further arguments of `sojourn.open`.

    Raises:
        sojourn.ConfigurationError: the URL; nothing is sent yet.
        sojourn.InvalidInput: one of the other arguments.

    Every method may raise `sojourn.Unavailable`, `sojourn.AccessDenied` and their kin.

    What of a session cannot be read (events, state, metadata) is left out, as ADK's sessions have
    no place to say so: the log warns, `store.on_corrupt(hook)` tells it, and the bytes are in the
    quarantine. Without its own fields a session raises `sojourn.CorruptRecord`. An event that a
    newer google-adk wrote can be read: it is served without what this one cannot validate.
    """

    def __init__(
        self,
        url_or_store: Where,
        *,
        ttl: float | Keep | None = KEEP,
        on_stale: Literal["merge", "raise"] = "merge",
        copies: Literal["light", "deep"] = "light",
        **options: Any,
    ) -> None:
        if on_stale not in ("merge", "raise"):
            raise errors.InvalidInput(f"on_stale is 'merge' or 'raise', not {on_stale!r}.")
        if copies not in ("light", "deep"):
            raise errors.InvalidInput(f"copies is 'light' or 'deep', not {copies!r}.")
        self._owned = not isinstance(url_or_store, client.Sojourn)
        if isinstance(url_or_store, client.Sojourn):
            if options:
                raise errors.InvalidInput("Options of the store go to sojourn.open().")
            self.store = url_or_store
        else:
            self.store = client.open(url_or_store, **options)
        self._ttl: float | Keep | None = ttl
        self._strict = on_stale == "raise"
        self._key = lru_cache(_REMEMBERED)(SessionKey.of)
        self._view = events.EVENTS if copies == "light" else events.DEEP

    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
        ttl: float | Keep | None = KEEP,
    ) -> AdkSession:
        """Create a session. One round trip; one more for a user's first, or with `app:` state.

        Args:
            app_name: the app.
            user_id: the user.
            state: the first state; `temp:` keys are not stored.
            session_id: the id, stripped; 128 random bits if empty.
            ttl: seconds, for this session only.

        Raises:
            AlreadyExistsError: the id is taken; shared state is as before.
            InputValidationError: an id is given, and the store was opened with `strict_ids`.
        """
        asked = session_id.strip() if session_id else ""
        if asked and self.store.sessions.strict_ids:
            raise InputValidationError(
                "This service takes no ids of its callers (strict_ids): leave session_id out."
            )
        try:
            session = await self.store.sessions.create(
                app_name,
                user_id,
                asked or None,
                state=events.jsonable(state or {}),
                ttl=self._ttl if ttl == KEEP else ttl,
                created=platform_time.get_time(),
            )
        except errors.SessionExists as error:
            raise AlreadyExistsError(f"Session with id {asked} already exists.") from error
        return self._handle(session, [])

    async def get_session(
        self,
        *,
        app_name: str,
        user_id: str,
        session_id: str,
        config: GetSessionConfig | None = None,
    ) -> AdkSession | None:
        """A session, or None when there is none. One round trip; only new events are decoded."""
        name = session_id.strip() if session_id else ""
        if not name:
            return None
        session = await self.store.sessions.get_as(
            self._view,
            SessionKey.of(app_name, user_id, name),
            last=config.num_recent_events if config else None,
            since=config.after_timestamp if config else None,
        )
        return None if session is None else self._handle(session, session.events)

    async def list_sessions(
        self, *, app_name: str, user_id: str | None = None
    ) -> ListSessionsResponse:
        """All sessions of a user, or of the app when `user_id` is None; without events.

        Two round trips a thousand sessions of a user.
        """
        found: list[AdkSession] = []
        cursor: str | None = None
        while True:
            page = await self.store.sessions.list(app_name, user_id, limit=_PAGE, cursor=cursor)
            found += [self._handle(session, []) for session in page.sessions]
            cursor = page.cursor
            if cursor is None:
                break
        unique = {(session.user_id, session.id): session for session in found}
        order = sorted(unique.values(), key=lambda s: (s.last_update_time, s.user_id, s.id))
        return ListSessionsResponse(sessions=order)

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Delete a session; that there is none is no error. One round trip."""
        name = session_id.strip() if session_id else ""
        if name:
            await self.store.sessions.delete(SessionKey.of(app_name, user_id, name))

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """The user's state, keys without `user:`; empty when there is none. One round trip."""
        return await self.store.sessions.user_state(app_name, user_id)

    async def append_event(self, session: AdkSession, event: AdkEvent) -> AdkEvent:
        """Store an event and apply its state delta. One round trip; two with `app:` state.

        An event delivered again with the same content is stored once; if more than a day or 1,000
        writes later, the session is read as well. The caller's session gets the event, its state
        and its time only once they are stored.

        Raises:
            AlreadyExistsError: the session has another event with this id, as with ADK's services
                on databases; nothing was stored.
            SessionNotFoundError: the session was deleted or has expired; it is not revived.
            StaleSessionError: with `on_stale="raise"`, the handle is behind.
            sojourn.InvalidInput: the event is over its cap.
        """
        if event.partial:
            return event
        incarnation, version = _mark_of(session)
        stored = events.to_event(event)
        key = self._key(session.app_name, session.user_id, session.id)
        try:
            done = await self.store.sessions.append(
                key,
                stored,
                incarnation=incarnation,
                expected_version=version if self._strict else None,
                operation_id=events.operation_id(stored),
            )
        except errors.SessionNotFound as error:
            raise SessionNotFoundError(f"Session {session.id} not found.") from error
        except errors.StaleSession as error:
            raise StaleSessionError(str(error)) from error
        except errors.EventExists as error:
            if not await self._has(key, stored):
                raise AlreadyExistsError(
                    f"Session {session.id} has another event with the id {event.id!r}; nothing was "
                    "stored. Give a new event a new id."
                ) from error
            repeated = True  # and the version is that of the handle, or it would be stale
        else:
            repeated, version = done.repeated, done.version
        if repeated and _holds(session, event):
            return event
        session.last_update_time = event.timestamp
        if self._strict:
            _mark(session, incarnation, version)
        return await super().append_event(session, event)

    async def _has(self, key: SessionKey, event: Event) -> bool:
        """Whether the log has an equal event: its operation id is forgotten after a while."""
        session = await self.store.sessions.get(key)
        return session is not None and any(
            known.id == event.id and events.is_same(known, event)
            for known in reversed(session.events)
        )

    def _handle(self, session: Session[Any], found: list[AdkEvent]) -> AdkSession:
        """What ADK gets: a session of its own, marked with where it comes from."""
        handle = AdkSession(
            id=session.key.session,
            app_name=session.key.app,
            user_id=session.key.user,
            state=session.state,
            last_update_time=session.updated,
        )
        handle.events = found  # not through the constructor, which would look at each again
        _mark(handle, session.incarnation, session.version if self._strict else None)
        return handle

    async def flush(self) -> None:
        """Nothing waits: an event is stored when `append_event` returns."""

    async def close(self) -> None:
        """Close the store, unless it was lent."""
        if self._owned:
            await self.store.close()


def _mark(session: AdkSession, incarnation: str, version: int | None) -> None:
    """Which session this handle was loaded from, in the place that ADK keeps for it."""
    mark = incarnation if version is None else f"{incarnation}{_VERSION}{version}"
    session._storage_update_marker = mark  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _mark_of(session: AdkSession) -> tuple[str, int | None]:
    """The incarnation and version of a handle; none for one that no store made."""
    private = session.__pydantic_private__ or {}  # as the attribute, and sooner
    mark: str = private.get("_storage_update_marker") or ""
    incarnation, slash, version = mark.rpartition(_VERSION)
    return (incarnation, int(version)) if slash and version.isdigit() else (mark, None)


def _holds(session: AdkSession, event: AdkEvent) -> bool:
    """Whether the caller's session has the event: delivered again, not retried after an error."""
    return any(known.id == event.id and known == event for known in reversed(session.events))
