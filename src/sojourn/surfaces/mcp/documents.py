"""Documents that tools return, in bounded size: each says when something was cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, Field, create_model

from sojourn.codecs import encode
from sojourn.memory import Entry
from sojourn.sessions import (
    FIELDS,
    JSON_FIELDS,
    Event,
    Message,
    Session,
    event_document,
    session_document,
)

ANSWER_BYTES = 128 * 1024
"""Of JSON in an answer. A client gets it twice: as text for the model and as an object."""

PREVIEW = 2000
"""Characters that are left of a value that is too large."""
_LEAST = 100
"""The same where there is no room left, in a list of many."""

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

CUT = "How the JSON of a value begins that is too large for an answer."


class _SessionFields(BaseModel):
    session: str = Field(description="Its id.")


if TYPE_CHECKING:
    _Recorded = _SessionFields
else:
    _Recorded = create_model(
        "_Recorded", __base__=_SessionFields, **dict.fromkeys(FIELDS, (Any, ...))
    )


class SessionDocument(_Recorded):
    """A session without its events and state."""

    length: int = Field(description="How many events it has had.")
    version: int = Field(description="Counts its changes; for `expected_version`.")
    created: float = Field(description="Seconds since the epoch; so are the others.")
    updated: float
    expires: float | None


class StateDocument(BaseModel):
    """State of a session, merged with its user's and its app's."""

    state: dict[str, Any]
    cut: list[str] = Field(description="Keys left out: they are too large. Ask with a prefix.")


class WholeSession(SessionDocument, StateDocument):
    """A session with its state and its last events."""

    last: list[EventDocument] = Field(description="Its last events; session_events has the others.")
    complete: bool = Field(description="False when something of it cannot be read.")


class EventDocument(BaseModel):
    """An event."""

    seq: int = Field(description="Its place in the session, from 1.")
    id: str
    time: float
    author: str
    kind: str
    payload: Any
    state_delta: Any
    preview: str | None = Field(default=None, description=CUT)


class MessageDocument(BaseModel):
    """A message of a conversation."""

    seq: int
    id: str
    time: float
    role: str
    content: Any
    metadata: Any
    preview: str | None = Field(default=None, description=CUT)


class EntryDocument(BaseModel):
    """An entry of the memory."""

    key: str
    value: Any
    version: int
    created: float
    updated: float
    expires: float | None
    metadata: Any
    preview: str | None = Field(default=None, description=CUT)


class Sized:
    """Room for an answer, which what is taken into it uses up."""

    def __init__(self, room: int = ANSWER_BYTES) -> None:
        self.left = room

    def takes(self, value: Any) -> bool:
        """Use up the room that a value needs; False when there is not enough."""
        size = _size(value)
        if size > self.left:
            return False
        self.left -= size
        return True

    def fill(self, items: Iterable[T], made: Callable[[T], M]) -> list[M]:
        """As many of the items as there is room for, and the first in any case, cut if need be."""
        taken: list[M] = []
        for item in items:
            document = made(item)
            if self.takes(document.model_dump()):
                taken.append(document)
                continue
            return taken or [self.one(document)]
        return taken

    def one(self, document: M) -> M:
        """A document as it is, or cut when there is not enough room for it."""
        if self.takes(document.model_dump()):
            return document
        short = _cut(document, PREVIEW if self.left > PREVIEW else _LEAST)
        self.left = max(0, self.left - _size(short.model_dump()))
        return short


def summary(session: Session[Any], room: Sized | None = None) -> SessionDocument:
    """A session without its events and state; without its JSON fields where these have no room."""
    return SessionDocument(**_fields(session, room))


def state_of(state: Mapping[str, Any], room: Sized, prefix: str = "") -> StateDocument:
    """The state whose keys begin so, the keys in order."""
    document = StateDocument(state={}, cut=[])
    for key in sorted(key for key in state if key.startswith(prefix)):
        if room.takes({key: state[key]}):
            document.state[key] = state[key]
        elif room.takes(key):
            document.cut.append(key)
    return document


def whole(session: Session[Event]) -> WholeSession:
    """A session with its state and those of its events that were read."""
    room = Sized()
    fields = _fields(session, room)
    state = state_of(session.state, Sized(room.left // 2))
    last = room.fill(reversed(session.events), happened)
    return WholeSession(
        **fields,
        state=state.state,
        cut=state.cut,
        last=list(reversed(last)),
        complete=session.complete,
    )


def happened(event: Event) -> EventDocument:
    """An event."""
    return EventDocument(**event_document(event))


def said(message: Message) -> MessageDocument:
    """A message."""
    return _document(MessageDocument, message)


def remembered(entry: Entry) -> EntryDocument:
    """An entry of the memory."""
    return _document(EntryDocument, entry)


def _document(kind: type[M], value: object) -> M:
    """What a document shows of a value: the fields of the same names."""
    names = (name for name in kind.model_fields if hasattr(value, name))
    return kind(**{name: getattr(value, name) for name in names})


def preview_of(value: Any) -> str | None:
    """How the JSON of a value begins that has no room in an answer; None when it has."""
    text = encode(value, "The value")
    return None if len(text) <= ANSWER_BYTES else text.decode()[:PREVIEW]


def _fields(session: Session[Any], room: Sized | None) -> dict[str, Any]:
    document = session_document(session)
    fields = {name: document[name] for name in SessionDocument.model_fields}
    if room is not None and not room.takes(fields):
        fields.update(dict.fromkeys(JSON_FIELDS))
    return fields


_LARGE = ("payload", "state_delta", "content", "value", "metadata")
"""What can be large in a document; what is cut off it is None."""


def _cut(document: M, characters: int) -> M:
    """The document with how its largest part begins, instead of that and its others."""
    parts = {name: getattr(document, name) for name in _LARGE if hasattr(document, name)}
    largest = max(parts.values(), key=_size)
    preview = encode(largest, "The value").decode()[:characters]
    return document.model_copy(update={**dict.fromkeys(parts), "preview": preview})


def _size(value: Any) -> int:
    return len(encode(value, "The value"))


WholeSession.model_rebuild()
