"""The history of a conversation: messages as a view of a session's log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from sojourn import codecs
from sojourn.access import access
from sojourn.errors import (
    CorruptRecord,
    InvalidInput,
    InvalidValue,
    SessionNotFound,
    StaleSession,
    Unavailable,
)
from sojourn.ids import SessionKey, session_of
from sojourn.message import Message
from sojourn.process_bound import stays_here
from sojourn.resilience.deadline import in_time
from sojourn.sessions import checks
from sojourn.sessions.adapters import AdapterSessions
from sojourn.sessions.model import Event, Session
from sojourn.sessions.parts import KEEP, Keep
from sojourn.sessions.service import Sessions

KIND = "message"
_PARTS = frozenset({"role", "content", "metadata"})


@stays_here("the store's URL and the SessionKey")
class History:
    """The messages of one session. Made by `store.history`; it keeps nothing itself.

    The session is made by the first message; where the store was opened with `strict_ids`, a
    message to a session that is not there raises `SessionNotFound` instead. What others write to it
    is seen by the next call. An event that was not written as a message is one all the same: its
    author is the role, its payload the content.

    Every method may raise `Unavailable` and its kin when no server answers in time.
    """

    def __init__(
        self,
        sessions: Sessions,
        adapters: AdapterSessions,
        key: SessionKey,
        ttl: float | Keep | None,
    ) -> None:
        self.key = key
        self._sessions = sessions
        self._adapters = adapters
        self._operation_timeout = adapters.limits.operation_timeout
        self._ttl: float | Keep | None = ttl

    @access(creates=True)
    async def append(
        self,
        role: str,
        content: Any,
        metadata: Mapping[str, Any] | None = None,
        *,
        operation_id: str | None = None,
    ) -> None:
        """Add a message. One round trip; the first of a session two.

        Args:
            role: the speaker.
            content: the message, as JSON.
            metadata: JSON of the application's.
            operation_id: repeat it with the same id and the message is there once.

        Raises:
            InvalidInput: the role is empty or no text, or JSON cannot hold the rest.
            TooLarge: the message is over the cap of an event.
            OutcomeUnknown: it was sent and no reply came.
        """
        await self._append([_event(role, content, metadata)], operation_id)

    @access(creates=True)
    async def extend(
        self, messages: Sequence[Mapping[str, Any]], *, operation_id: str | None = None
    ) -> None:
        """Add messages, all or none. One round trip; the first of a session two.

        Args:
            messages: each with `role`, `content`, and `metadata` if wanted, as for `append`. With
                none of them nothing is sent.
            operation_id: repeat it with the same id and the messages are there once.

        Raises:
            InvalidInput: a message is invalid, or has other members; nothing was sent.
            TooLarge: a message is over the cap of an event; nothing was sent.
            OutcomeUnknown: they were sent and no reply came.
        """
        if not isinstance(messages, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(f"messages is a list of dicts, not {type(messages).__name__}.")
        events = [_event_of(message) for message in messages]
        if events:
            await self._append(events, operation_id)

    async def all(self) -> list[Message]:
        """All messages, oldest first; none when there is no session. One round trip."""
        return _messages(await self._sessions.get(self.key))

    async def last(self, n: int) -> list[Message]:
        """The last n messages, oldest first. One round trip, whatever the length of the log."""
        return _messages(await self._sessions.get(self.key, last=n))

    @in_time
    async def pop(self) -> Message | None:
        """Take away the last message; None when there is none.

        Two round trips; two more for each time that another writer comes in between.

        Raises:
            OutcomeUnknown: it may be gone or not: look at `last(1)`.
            CorruptRecord: the last message cannot be read; nothing was taken away.
        """
        while True:
            session = await self._sessions.get(self.key, last=1)
            if session is None or (session.complete and not session.events):
                return None
            if not session.events and session.durable:
                raise CorruptRecord(
                    "The last message cannot be read, so it was not taken away. It is in the "
                    "quarantine, or the server has lost it; `clear()` removes all messages.",
                    key=str(self.key),
                    raw=b"",
                )
            if not session.durable:
                raise Unavailable("The server is out of reach: nothing was taken away.")
            try:
                await self._sessions.trim(
                    self.key,
                    drop=1,
                    incarnation=session.incarnation,
                    expected_version=session.version,
                )
            except StaleSession:
                continue
            except SessionNotFound:
                return None
            return message_of(session.events[0])

    async def clear(self) -> None:
        """Take away all messages; the session and its state stay. One round trip."""
        try:
            await self._sessions.trim(self.key, keep=0)
        except SessionNotFound:
            return

    async def _append(self, events: list[Event], operation_id: str | None) -> None:
        await self._adapters.begin(self.key, *events, ttl=self._ttl, operation_id=operation_id)


def history_of(
    sessions: Sessions,
    adapters: AdapterSessions,
    session: SessionKey | str,
    app: str = "history",
    ttl: float | Keep | None = KEEP,
) -> History:
    """The history of a session; one that names no user has a user of its own name."""
    key = session_of(app, session) if isinstance(session, str) else checks.key(session)
    return History(sessions, adapters, key, ttl)


def _event(role: str, content: Any, metadata: Mapping[str, Any] | None) -> Event:
    if not codecs.text(role, "role"):
        raise InvalidValue("The role must not be empty.")
    payload: dict[str, Any] = {"content": content}
    if metadata:
        if not isinstance(metadata, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue(f"The metadata must be a mapping, not {type(metadata).__name__}.")
        payload["metadata"] = dict(metadata)
    return Event(author=role, payload=payload, kind=KIND)


def _event_of(message: Any) -> Event:
    if not isinstance(message, Mapping):
        raise InvalidInput(f"A message is a dict, not {type(message).__name__}.")
    parts = cast("Mapping[Any, Any]", message)  # type: ignore[redundant-cast]
    metadata: Any = parts.get("metadata") or {}
    if not {"role", "content"} <= set(parts) <= _PARTS or not isinstance(metadata, Mapping):
        raise InvalidInput(
            "A message is a dict of role, content and, if wanted, a dict of metadata. What else "
            "there is belongs in the metadata."
        )
    return _event(parts["role"], parts["content"], cast("Mapping[str, Any]", metadata))


def _messages(session: Session[Event] | None) -> list[Message]:
    return [] if session is None else [message_of(event) for event in session.events]


def message_of(event: Event) -> Message:
    """An event as a message; one that was not written as one is its author's, with its payload."""
    content, metadata = event.payload, None
    if event.kind == KIND and isinstance(content, dict) and "content" in content:
        written = cast("dict[str, Any]", content)
        content, metadata = written["content"], written.get("metadata")
    return Message(
        role=event.author,
        content=content,
        metadata=cast("dict[str, Any]", metadata) if isinstance(metadata, dict) else {},
        id=event.id,
        time=event.time,
        seq=event.seq,
    )
