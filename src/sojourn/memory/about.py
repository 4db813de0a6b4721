"""Memories made from a session: its messages become one entry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

from sojourn import codecs
from sojourn.errors import SessionNotFound
from sojourn.ids import SessionKey
from sojourn.memory.service import Memory

LAST = 6
"""Messages that stand for a summary where there is none."""
_LONGEST = 2000
"""Characters of each that are kept."""
_TEXTS = ("content", "parts", "text")
"""Members of a message that hold what was said."""
_SHARED = ("app:", "user:")
"""State that is not the session's own."""


class Said(Protocol):
    """An event of a session."""

    @property
    def author(self) -> str:
        """Who said it."""
        ...

    @property
    def payload(self) -> Any:
        """What was said, as JSON."""
        ...


class About(Protocol):
    """A session, as far as it is remembered."""

    @property
    def title(self) -> str:
        """A name for people."""
        ...

    @property
    def status(self) -> str:
        """A word of the application's."""
        ...

    @property
    def state(self) -> Mapping[str, Any]:
        """Its state, and that of its user and app."""
        ...

    @property
    def length(self) -> int:
        """How many events it has had."""
        ...

    @property
    def created(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def updated(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def events(self) -> Sequence[Said]:
        """The last of its events."""
        ...


async def remember(
    memory: Memory,
    key: SessionKey,
    read: Callable[[SessionKey], Awaitable[About | None]],
    summary: str | None,
) -> int:
    """Write the entry about a session; its version.

    Args:
        memory: where.
        key: of the session.
        read: gives the session, with its last events.
        summary: what it was about; None takes the last messages for it.

    Raises:
        SessionNotFound: there is none.
        InvalidInput: the summary is no text.
    """
    if summary is not None:
        codecs.text(summary, "summary")
    session = await read(key)
    if session is None:
        raise SessionNotFound(f"There is no session {key.session!r} that could be remembered.")
    value: dict[str, Any] = {
        "title": session.title,
        "status": session.status,
        "state": {
            name: each for name, each in session.state.items() if not name.startswith(_SHARED)
        },
        "events": session.length,
        "created": session.created,
        "updated": session.updated,
        "summary": summary,
    }
    words = [session.title]
    if summary is None:
        value["messages"] = [
            {"author": event.author, "text": said[:_LONGEST]}
            for event in session.events
            if (said := " ".join(texts_of(event.payload)))
        ]
        words += [message["text"] for message in value["messages"]]
    else:
        words.append(summary)
    scope = memory.sessions(key.user, app=key.app)
    return await scope.put(key.session, value, text="\n".join(word for word in words if word))


def texts_of(payload: Any) -> Iterator[str]:
    """What was said in a message: a text, or parts as the APIs of models have them."""
    if isinstance(payload, str):
        yield payload
    elif isinstance(payload, list):
        for part in cast("list[Any]", payload):  # type: ignore[redundant-cast]
            yield from texts_of(part)
    elif isinstance(payload, dict):
        for name in _TEXTS:
            yield from texts_of(cast("dict[str, Any]", payload).get(name))
