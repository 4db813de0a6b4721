"""LangChain's chat history over the sessions room."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

from sojourn.errors import TooLarge
from sojourn.ids import SessionKey
from sojourn.integrations.langchain.fitting import fitted
from sojourn.integrations.langchain.messages import from_stored, to_stored
from sojourn.integrations.opened import BlockingStoreUser
from sojourn.process import Opened
from sojourn.process_bound import stays_here
from sojourn.sessions import EVENTS, KEEP, History, Keep, View
from sojourn.sessions.history import message_of

if TYPE_CHECKING:
    from sojourn.integrations.opened import Where


def _message(kept: Any) -> BaseMessage:
    """Made for each caller: messages can be changed."""
    return from_stored(message_of(EVENTS.copy(kept)))


MESSAGES: Final[View[Any, BaseMessage]] = View("langchain", EVENTS.decode, _message, EVENTS.time_of)


@stays_here("its URL and the ids, and make one there")
class ChatMessageHistory(BlockingStoreUser, BaseChatMessageHistory):
    """The messages of one session as LangChain's message objects, in Redis or Valkey.

    It is a view of the session: `store.history(session)` shows the same messages as role and
    content, and messages that others wrote there are seen here. Every message class of
    langchain-core comes back equal to what was added. What of a message JSON cannot hold (an
    `artifact` or `parsed` that is an object, -inf, bytes, a class of one's own) comes back as the
    JSON or text that is nearest; `langchain_changed` in its metadata and a warning in the log name
    the fields. So it is with what makes a message larger than an event may be. What was said is
    stored whatever else a message carries.

    Every method has one for event loops, with an `a` before its name, and all may raise
    `sojourn.Unavailable`, `sojourn.AccessDenied` and their kin: an outage never looks like an empty
    history. A message that cannot be read is left out, as LangChain has no place to say so: the log
    warns, `store.on_corrupt(hook)` tells it, and its bytes are in the quarantine. One that a newer
    langchain-core wrote is served without what this one cannot read.

    Args:
        session: a session's id, or its key.
        url_or_store: a URL or redis-py client as `sojourn.open` takes them, or an open store, which
            `close()` then leaves open. Objects of this process with the same URL and options share
            one store, so that making one for each request costs nothing.
        app: the application, when only an id is given.
        ttl: seconds that a session made by its first message lives after each change; None for
            ever; the store's (a day) if not given.
        last: read only so many messages, the newest; None for all.
        options: further arguments of `sojourn.open`.

    Raises:
        sojourn.ConfigurationError: the URL; nothing is sent yet.
        sojourn.InvalidInput: one of the other arguments.

    Attributes:
        key: the session.
    """

    def __init__(
        self,
        session: SessionKey | str,
        url_or_store: Where,
        *,
        app: str = "history",
        ttl: float | Keep | None = KEEP,
        last: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._opened = Opened(url_or_store, options)
        self.key = self.store.history(session, app=app).key
        self._ttl: float | Keep | None = ttl
        self._last = last

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """The messages, oldest first. One round trip."""
        return self._run(self._get)

    async def aget_messages(self) -> list[BaseMessage]:
        """The messages, oldest first. One round trip."""
        return await self._wait(self._get)

    def add_messages(
        self, messages: Sequence[BaseMessage], *, operation_id: str | None = None
    ) -> None:
        """As `aadd_messages`."""
        self._run(self._adding(messages, operation_id))

    async def aadd_messages(
        self, messages: Sequence[BaseMessage], *, operation_id: str | None = None
    ) -> None:
        """Add messages, all or none. One round trip; the first of a session two.

        Args:
            messages: of the classes of langchain-core.
            operation_id: repeat it with the same id and the messages are there once.

        Raises:
            sojourn.TooLarge: the texts of a message alone are over the cap of an event; nothing was
                sent. Whatever else of one is over it is left out.
            sojourn.OutcomeUnknown: they were sent and no reply came; repeat it with its
                `operation_id`.
        """
        await self._wait(self._adding(messages, operation_id))

    def clear(self) -> None:
        """Take away all messages; the session and its state stay. One round trip."""
        self._run(self._history().clear)

    async def aclear(self) -> None:
        """Take away all messages; the session and its state stay. One round trip."""
        await self._wait(self._history().clear)

    def _history(self) -> History:
        return self.store.history(self.key, ttl=self._ttl)

    async def _get(self) -> list[BaseMessage]:
        session = await self.store.adapters.get_as(MESSAGES, self.key, last=self._last)
        return [] if session is None else session.events

    def _adding(
        self, messages: Sequence[BaseMessage], operation_id: str | None
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        stored = [to_stored(message) for message in messages]
        return partial(self._add, stored, operation_id)

    async def _add(self, stored: list[dict[str, Any]], operation_id: str | None) -> None:
        history = self._history()
        try:
            await history.extend(stored, operation_id=operation_id)
        except TooLarge:  # nothing was sent
            cap = self.store.adapters.limits.max_event_bytes
            smaller = [fitted(message, cap) for message in stored]
            if smaller == stored:
                raise
            await history.extend(smaller, operation_id=operation_id)
