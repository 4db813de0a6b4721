"""LangChain's messages as JSON, and back without loss."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)

from sojourn.codecs import decode, encode
from sojourn.errors import InvalidValue
from sojourn.sessions import Message

CLASSES: dict[str, type[BaseMessage]] = {
    each.model_fields["type"].default: each
    for each in (
        AIMessage,
        AIMessageChunk,
        ChatMessage,
        ChatMessageChunk,
        FunctionMessage,
        FunctionMessageChunk,
        HumanMessage,
        HumanMessageChunk,
        RemoveMessage,
        SystemMessage,
        SystemMessageChunk,
        ToolMessage,
        ToolMessageChunk,
    )
}
"""What may come back, by LangChain's own names; nothing else is ever made of stored data."""

_MEMBER = "langchain"
"""Of the metadata of a stored message: LangChain's fields, without the content."""

_ROLES: tuple[tuple[type[BaseMessage], str], ...] = (
    (HumanMessage, "user"),
    (AIMessage, "assistant"),
    (SystemMessage, "system"),
    (ToolMessage, "tool"),
    (FunctionMessage, "function"),
)

_INVALID = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What LangChain's classes raise over fields that are none of theirs."""


def dump(message: BaseMessage) -> dict[str, Any]:
    """The fields of a message as JSON, without those that are as its class has them anyway.

    Raises:
        InvalidValue: it would not come back as it is.
    """
    kind = type(message)
    if CLASSES.get(message.type) is not kind:
        raise InvalidValue(
            f"A {kind.__qualname__} cannot be stored: only the message classes of "
            "langchain_core.messages come back as what they were."
        )
    fields = {**vars(message), **(message.model_extra or {})}
    plain = {
        name: faithful(value, f"The {name} of a {kind.__name__}")
        for name, value in fields.items()
        if name == "type" or not _is_default(kind, name, value)
    }
    try:
        same = load(plain) == message
    except ValueError as error:
        raise InvalidValue(f"This is no valid {kind.__name__}: {error}") from error
    if not same:
        raise InvalidValue(f"This {kind.__name__} would come back changed.")
    return plain


def load(fields: dict[str, Any]) -> BaseMessage:
    """The message that was dumped.

    LangChain's constructors check the fields, but they also fill in what was taken out of the
    message, as tool calls are: what is returned has the fields as they were.

    Raises:
        ValueError: it is none that can be read here.
    """
    name = fields.get("type")
    if not isinstance(name, str) or name not in CLASSES:
        raise ValueError("The type is that of no message class known here.")
    kind = CLASSES[name]
    try:
        checked = kind(**fields)
        message = kind.model_construct(**fields)
        same = type(checked.content) is type(message.content)
    except _INVALID as error:
        raise ValueError(f"LangChain refuses the fields ({type(error).__name__}).") from error
    if not same:
        raise ValueError("The content is neither text nor a list.")
    return message


def faithful(value: Any, what: str) -> Any:
    """The value, as it comes back from JSON: equal to what was given.

    Raises:
        InvalidValue: it would not be.
    """
    plain = decode(encode(value, what))
    if plain != value:
        raise InvalidValue(
            f"{what} would come back changed: JSON has no tuples, and the keys of its objects are "
            "text. Use lists, and text for keys."
        )
    return plain


def to_stored(message: BaseMessage) -> dict[str, Any]:
    """A message for `History.extend`: role and content for every reader, the rest beside them."""
    fields = dump(message)
    return {
        "role": _role_of(message),
        "content": fields.pop("content"),
        "metadata": {_MEMBER: fields},
    }


def from_stored(message: Message) -> BaseMessage:
    """The LangChain message; of one that others wrote, what its role and content make.

    Raises:
        ValueError: it is none that can be read here.
    """
    fields: Any = message.metadata.get(_MEMBER)
    if isinstance(fields, dict):
        return load({**cast("dict[str, Any]", fields), "content": message.content})
    for kind, role in _ROLES[:3]:
        if role == message.role:
            return kind(content=_content_of(message), id=message.id)
    return ChatMessage(role=message.role, content=_content_of(message), id=message.id)


def _role_of(message: BaseMessage) -> str:
    if isinstance(message, ChatMessage):
        return message.role or "chat"
    return next((role for kind, role in _ROLES if isinstance(message, kind)), message.type)


def _content_of(message: Message) -> Any:
    """Content as LangChain takes it; other JSON as its text."""
    content: Any = message.content
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = cast("list[Any]", content)  # type: ignore[redundant-cast]
        if all(isinstance(part, str | dict) for part in parts):
            return parts
    return encode(content, "The content").decode()


def _is_default(kind: type[BaseMessage], name: str, value: Any) -> bool:
    default = _defaults(kind).get(name, ...)
    return type(value) is type(default) and value == default


@cache
def _defaults(kind: type[BaseMessage]) -> dict[str, Any]:
    return {
        name: field.get_default(call_default_factory=True)
        for name, field in kind.model_fields.items()
    }
