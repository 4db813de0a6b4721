"""ADK's session service over the sessions room."""

from __future__ import annotations

from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

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

from sojourn import errors
from sojourn.ids import SessionKey
from sojourn.integrations.adk import events
from sojourn.integrations.adk.answers import answers
from sojourn.integrations.adk.opening import open_store, split_uri
from sojourn.integrations.adk.stale import StaleSessionError
from sojourn.integrations.opened import StoreUser
from sojourn.process_bound import stays_here
from sojourn.sessions import KEEP, Event, Keep, Session
from sojourn.sessions.operations.archive import ReadLogSlice

if TYPE_CHECKING:
    from sojourn.integrations.opened import Where

_PAGE = 1000
_VERSION = " version "
_REMEMBERED = 4096
"""Identities that are not checked again."""


@stays_here("its URL, and make one there")
class SessionService(StoreUser, BaseSessionService):
    """ADK's sessions in Redis or Valkey.

    The semantics are those of ADK's `InMemorySessionService`; the differences are that data
    survives, that many processes may share it, and that an outage raises `sojourn.Unavailable`
    instead of looking like an empty session.

    Args:
        url_or_store: a URL or redis-py client as `sojourn.open` takes them, or an open store, which
            `close()` then leaves open. Objects of this process with the same URL and options share
            one store.
        uri: the same by the name that ADK's `services.yaml` has for it.
        ttl: seconds that a session lives after its last event; None for ever; the store's (a day)
            if not given.
        on_stale: `merge` lets handles that are behind append, and nothing is lost; `raise` gives
            ADK's StaleSessionError instead.
        copies: `deep` gives every caller events of its own, whatever it edits in them; `light`
            shares their content within this process, as ADK's light-copy mode does, and is for
            callers that edit nothing.
        options: further arguments of `sojourn.open`. `copies` and `on_stale` may stand in the URL,
            too, and then win.

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
        url_or_store: Where | None = None,
        *,
        uri: str | None = None,
        ttl: float | Keep | None = KEEP,
        on_stale: Literal["merge", "raise"] = "merge",
        copies: Literal["deep", "light"] = "deep",
        **options: Any,
    ) -> None:
        place = uri if url_or_store is None else url_or_store
        if isinstance(place, str):
            place, own = split_uri(place)
            on_stale, copies = own.get("on_stale", on_stale), own.get("copies", copies)  # type: ignore[assignment]  # checked below
        if on_stale not in ("merge", "raise"):
            raise errors.InvalidInput(f"on_stale is 'merge' or 'raise', not {on_stale!r}.")
        if copies not in ("light", "deep"):
            raise errors.InvalidInput(f"copies is 'deep' or 'light', not {copies!r}.")
        if url_or_store is not None and uri is not None:
            raise errors.InvalidInput("Give the place first, or as uri=…, not both.")
        self._opened = open_store("SessionService", place, None, options)
        self._ttl: float | Keep | None = ttl
        self._strict = on_stale == "raise"
        self._key = lru_cache(_REMEMBERED)(SessionKey.of)
        self._view = events.LIGHT if copies == "light" else events.EVENTS

    @answers
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

        Get, and create if there is none: ADK's `auto_create_session`, its A2A executor and many
        apps do so, and of several first messages at once all but one would fail. A task that asked
        `get_session` for this session last, and was told None, is given the one that another has
        made meanwhile, unless it brings a first state.

        Args:
            app_name: the app.
            user_id: the user.
            state: the first state; `temp:` keys are not stored.
            session_id: the id, stripped; 128 random bits if empty.
            ttl: seconds, for this session only.

        Raises:
            AlreadyExistsError: the id is taken; shared state is as before.
            InputValidationError: an id is given, and the store was opened with `strict_ids`.
            sojourn.InvalidId: no key can carry one of the ids (over 512 bytes, no app). Reading and
                deleting do not raise it: there is no such session.
        """
        asked = session_id.strip() if session_id else ""
        sought = _sought.get() == (id(self), app_name, user_id, asked)
        _sought.set(None)
        if asked and self.store.adapters.limits.strict_ids:
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
            if sought and not state:
                other = await self.get_session(app_name=app_name, user_id=user_id, session_id=asked)
                if other is not None:
                    return other
            raise AlreadyExistsError(f"Session with id {asked} already exists.") from error
        return self._handle(session, [])

    @answers
    async def get_session(
        self,
        *,
        app_name: str,
        user_id: str,
        session_id: str,
        config: GetSessionConfig | None = None,
    ) -> AdkSession | None:
        """A session, or None when there is none. One round trip; only new events are decoded."""
        _sought.set(None)
        name = session_id.strip() if session_id else ""
        key = _key_of(app_name, user_id, name)
        if key is None:
            return None
        session = await self.store.adapters.get_as(
            self._view,
            key,
            last=config.num_recent_events if config else None,
            since=config.after_timestamp if config else None,
        )
        if session is None:
            _sought.set((id(self), app_name, user_id, name))
            return None
        return self._handle(session, session.events)

    @answers
    async def list_sessions(
        self, *, app_name: str, user_id: str | None = None
    ) -> ListSessionsResponse:
        """All sessions of a user, or of the app when `user_id` is None; without events.

        Two round trips a thousand sessions of a user.
        """
        found: list[AdkSession] = []
        cursor: str | None = None
        while _key_of(app_name, user_id or "", "any") is not None:
            page = await self.store.sessions.list(app_name, user_id, limit=_PAGE, cursor=cursor)
            found += [self._handle(session, []) for session in page.sessions]
            cursor = page.cursor
            if cursor is None:
                break
        unique = {(session.user_id, session.id): session for session in found}
        order = sorted(unique.values(), key=lambda s: (s.last_update_time, s.user_id, s.id))
        return ListSessionsResponse(sessions=order)

    @answers
    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Delete a session; that there is none is no error. One round trip."""
        key = _key_of(app_name, user_id, session_id.strip() if session_id else "")
        if key is not None:
            await self.store.sessions.delete(key)

    @answers
    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """The user's state, keys without `user:`; empty when there is none. One round trip."""
        if _key_of(app_name, user_id, "any") is None:
            return {}
        return await self.store.sessions.user_state(app_name, user_id)

    @answers
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
            sojourn.InvalidInput: the event is over its cap; or it is a rewind that would remove
                state which events that are not there any more may have set.
        """
        if event.partial:
            return event
        incarnation, version = _mark_of(session)
        stored = events.to_event(event)
        key = self._key_in(session)
        if event.actions and event.actions.rewind_before_invocation_id:
            await self._check_rewind(key, event)
        try:
            done = await self.store.sessions.append(
                key,
                stored,
                incarnation=incarnation,
                expected_version=version if self._strict else None,
                operation_id=events.operation_id(stored),
            )
        except (errors.SessionNotFound, errors.StaleSession) as error:
            raise _as_adks(error, session) from error
        except errors.TooLarge as error:
            events.tell_raw_bytes(error, event)
            raise
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

    def _key_in(self, session: AdkSession) -> SessionKey:
        try:
            return self._key(session.app_name, session.user_id, session.id)
        except errors.InvalidId as error:
            raise SessionNotFoundError(f"Session {session.id} not found.") from error

    async def _check_rewind(self, key: SessionKey, event: AdkEvent) -> None:
        """Refuse a rewind that takes what was cut off for what never was. Two round trips.

        ADK makes the earlier state of the events that it has, and removes all others.
        """
        removed = sorted(name for name, value in event.actions.state_delta.items() if value is None)
        session = await self.store.adapters.get_as(self._view, key) if removed else None
        if session is None:
            return
        why = ""
        if len(session.events) < session.length:
            why = (
                f"only {len(session.events):,} of the session's {session.length:,} events are "
                "there: others were trimmed, are beyond max_events, or cannot be read"
            )
        else:
            log = await self.store.stores.sessions.run(ReadLogSlice(key, 1, 0, 0))
            if log is not None and log.epoch:
                why = "the session's log was rewritten (save, or trim at its end)"
        if why:
            raise errors.InvalidInput(
                f"The rewind would remove the state {', '.join(removed)}, but {why}. What the "
                "state was before is not known. Nothing was written: set it yourself, or start a "
                "session."
            )

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
        """Close the store, unless it was lent or other objects use it."""
        await self._opened.close()


_sought: ContextVar[tuple[int, str, str, str] | None] = ContextVar(
    "sojourn_adk_sought", default=None
)
"""The session that this task asked for last, in which service, and was told that there is none."""


def _key_of(app: str, user: str, session: str) -> SessionKey | None:
    """The key of a session, or None for ids that no session can have."""
    try:
        return SessionKey.of(app, user, session)
    except errors.InvalidId:
        return None


def _as_adks(error: errors.SojournError, session: AdkSession) -> Exception:
    if isinstance(error, errors.StaleSession):
        return StaleSessionError(str(error))
    return SessionNotFoundError(f"Session {session.id} not found.")


def _mark(session: AdkSession, incarnation: str, version: int | None) -> None:
    """Which session this handle was loaded from, in the place that ADK keeps for it."""
    mark = incarnation if version is None else f"{incarnation}{_VERSION}{version}"
    session._storage_update_marker = mark  # noqa: SLF001 - ADK keeps it for stores  # pyright: ignore[reportPrivateUsage]


def _mark_of(session: AdkSession) -> tuple[str, int | None]:
    """The incarnation and version of a handle; none for one that no store made."""
    private = session.__pydantic_private__ or {}  # as the attribute, and sooner
    mark: str = private.get("_storage_update_marker") or ""
    incarnation, slash, version = mark.rpartition(_VERSION)
    return (incarnation, int(version)) if slash and version.isdigit() else (mark, None)


def _holds(session: AdkSession, event: AdkEvent) -> bool:
    """Whether the caller's session has the event: delivered again, not retried after an error."""
    return any(known.id == event.id and known == event for known in reversed(session.events))
