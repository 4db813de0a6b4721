"""LangChain's messages as JSON, and back without loss."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import cache, partial
from typing import Any, cast, get_args, get_type_hints

from langchain_core import messages as theirs
from langchain_core.messages import BaseMessage, ChatMessage
from pydantic_core import to_jsonable_python
from typing_extensions import is_typeddict

from sojourn.caps import CAPS
from sojourn.codecs import check_members, decode, encode
from sojourn.errors import InvalidValue, TooLarge
from sojourn.integrations.pruning import readable
from sojourn.sessions import Message
from sojourn.telemetry.newer import NEWER

log = logging.getLogger("sojourn.langchain")

CLASSES: dict[str, type[BaseMessage]] = {
    each.model_fields["type"].default: each
    for each in (
        *(theirs.AIMessage, theirs.AIMessageChunk, theirs.ChatMessage, theirs.ChatMessageChunk),
        *(theirs.FunctionMessage, theirs.FunctionMessageChunk, theirs.RemoveMessage),
        *(theirs.HumanMessage, theirs.HumanMessageChunk),
        *(theirs.SystemMessage, theirs.SystemMessageChunk),
        *(theirs.ToolMessage, theirs.ToolMessageChunk),
    )
}
"""What may come back, by LangChain's own names; nothing else is ever made of stored data."""

MEMBER = "langchain"
"""Of the metadata of a stored message: LangChain's fields, without the content."""

CHANGED = "langchain_changed"
"""Of the metadata of a stored message: names of fields that JSON does not hold as they were."""

_WHAT = "A LangChain message"

_ROLES: tuple[tuple[type[BaseMessage], str], ...] = (
    (theirs.HumanMessage, "user"),
    (theirs.AIMessage, "assistant"),
    (theirs.SystemMessage, "system"),
    (theirs.ToolMessage, "tool"),
    (theirs.FunctionMessage, "function"),
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
    kind = _class_of(fields)
    if kind is None:
        raise ValueError("The type is that of no message class known here.")
    try:
        return _made(kind, fields)
    except _INVALID as error:
        raise ValueError(f"LangChain refuses the fields ({type(error).__name__}).") from error


def load_known(fields: dict[str, Any]) -> BaseMessage:
    """The message that was dumped, without members of its tool calls that are not known here.

    Raises:
        ValueError: it is none that can be read here.
    """
    try:
        return load(fields)
    except ValueError:
        lists, names = _trimmed(_class_of(fields), fields)
        if not names:
            raise
    message = load({**fields, **lists})
    NEWER.add(_WHAT, names)
    return message


def load_readable(fields: dict[str, Any], role: str) -> BaseMessage:
    """The message that was dumped, without what the installed langchain-core cannot read.

    A newer one may have written it. Fields that its class refuses are left out. A message of a
    class that is not known, or that lacks what its class needs, is the one of its role with the
    content and the fields that all messages have. Content that LangChain refuses is text: its JSON.

    Args:
        fields: as `dump` gave them.
        role: who said it.
    """
    try:
        return load(fields)
    except ValueError:
        pass
    kind = _class_of(fields)
    lists, names = _trimmed(kind, fields)
    content = _readable_content(fields.get("content", ""))
    if content != fields.get("content"):
        names.add("content")
    fields = {**fields, **lists, "content": content}
    if kind is not None:
        try:
            return _pruned(kind, fields, names)
        except ValueError:
            names |= {name for name in _needed(kind) if name not in fields}
    kind = next((kind for kind, name in _ROLES[:3] if name == role), ChatMessage)
    common = {name: fields[name] for name in BaseMessage.model_fields if name in fields}
    common["type"] = kind.model_fields["type"].default
    if kind is ChatMessage:
        common["role"] = role
    return _pruned(kind, common, names | {"type"})


def _class_of(fields: Mapping[str, Any]) -> type[BaseMessage] | None:
    name = fields.get("type")
    return CLASSES.get(name) if isinstance(name, str) else None


def _made(kind: type[BaseMessage], fields: dict[str, Any]) -> BaseMessage:
    checked = kind(**fields)
    message = kind.model_construct(**fields)
    if checked.content != message.content:  # of tool messages it is made text
        raise ValueError("The content is neither text nor a list of texts and objects.")
    return message


def _pruned(kind: type[BaseMessage], fields: dict[str, Any], left_out: set[str]) -> BaseMessage:
    """The message without what its class refuses.

    Raises:
        ValueError: it lacks what its class needs.
    """
    needed = _needed(kind) | {"type"}
    return readable(partial(_made, kind), fields, _WHAT, needed=needed, left_out=left_out)


def is_needed(fields: Mapping[str, Any], name: str) -> bool:
    """Whether a message of these fields is none without the field of this name."""
    kind = _class_of(fields)
    return name == "type" or (kind is not None and name in _needed(kind))


def _needed(kind: type[BaseMessage]) -> set[str]:
    return {name for name, field in kind.model_fields.items() if field.is_required()}


def _trimmed(
    kind: type[BaseMessage] | None, fields: Mapping[str, Any]
) -> tuple[dict[str, list[Any]], set[str]]:
    """Lists of tool calls and their like without members that their type does not have.

    LangChain makes each by a function of these members, which fails over another one and has no
    way to say over which.

    Returns:
        the lists, and names of what was left out.
    """
    lists: dict[str, list[Any]] = {}
    names = set[str]()
    for name, field in kind.model_fields.items() if kind else ():
        of, value = next(iter(get_args(field.annotation)), None), fields.get(name)
        if is_typeddict(of) and isinstance(value, list):
            known = {*get_type_hints(of), "extras"}  # LangChain leaves these out itself
            lists[name] = []
            for each in cast("list[Any]", value):  # type: ignore[redundant-cast]
                members = cast("dict[str, Any]", each) if isinstance(each, dict) else {}
                names |= {f"{name} … {member}" for member in members.keys() - known}
                kept = {key: members[key] for key in members if key in known}
                if kept or not members:
                    lists[name].append(kept or each)
    return lists, names


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
    """A message for `History.extend`: role and content for every reader, the rest beside them.

    What was said is stored whatever else a message carries: LangChain's runnables have given their
    answer by then, and only log what a history raises. What JSON cannot hold as it is becomes
    JSON or text; then the metadata name the fields, and so does the log.
    """
    metadata: dict[str, Any] = {}
    try:
        fields = dump(message)
    except (InvalidValue, TooLarge) as error:
        fields, changed = _dump_changed(message)
        metadata[CHANGED] = changed
        log.warning(
            "A %s is stored with changes, in %s. %s",
            type(message).__name__,
            ", ".join(changed) or "its class",
            error,
        )
    content = fields.pop("content")
    role = _mended(_role_of(message)).encode()[: CAPS.author].decode(errors="ignore")
    return {
        "role": role,
        "content": content,
        "metadata": {MEMBER: fields, **metadata},
    }


def _dump_changed(message: BaseMessage) -> tuple[dict[str, Any], list[str]]:
    """The fields of a message that JSON does not hold as they are, and the names of these."""
    given = {**vars(message), **(message.model_extra or {})}
    ours = set(CLASSES.values())
    kind: type[BaseMessage] = next(
        (each for each in type(message).__mro__ if each in ours), ChatMessage
    )
    fields = {
        name: _nearest(value)
        for name, value in given.items()
        if name in kind.model_fields or kind is type(message)
    }
    if kind is ChatMessage:
        fields["role"] = _role_of(message)
    fields["type"] = kind.model_fields["type"].default
    fields["content"] = _readable_content(fields.get("content", ""))
    try:
        load(fields)
    except ValueError:  # what was said, and who said it, is nothing that a class refuses
        needed = _needed(kind) | {"type", "content", "id", "name"}
        fields = {name: value for name, value in fields.items() if name in needed}
    changed = [name for name in given if name != "type" and not _equal(fields, name, given[name])]
    plain = {
        name: value
        for name, value in fields.items()
        if name in ("type", "content", *changed) or not _is_default(kind, name, value)
    }
    return plain, sorted(changed)


def _equal(fields: Mapping[str, Any], name: str, value: Any) -> bool:
    try:
        return bool(name in fields and fields[name] == value)
    except Exception:  # noqa: BLE001 - arrays and their like compare as they please
        return False


def _nearest(value: Any) -> Any:
    """The JSON that is nearest to a value: never an error, never without its texts."""
    try:
        plain = to_jsonable_python(value, serialize_unknown=True, bytes_mode="base64")
        text = json.dumps(plain, ensure_ascii=False)
        check_members(text.encode(errors="replace"), "A value")
    except Exception:  # noqa: BLE001 - serializers of the application's raise what they like
        if isinstance(value, dict):
            members = cast("dict[object, Any]", value)
            return {_mended(str(name)): _shallow(each) for name, each in members.items()}
        if isinstance(value, list | tuple):
            return [_shallow(each) for each in cast("list[Any]", value)]
        return _shallow(value)
    return json.loads(_mended(text), parse_constant=str)  # -inf is "-Infinity"


def _shallow(value: Any) -> Any:
    try:
        return decode(encode(value, "A value"))
    except Exception:  # noqa: BLE001 - as above
        try:
            return _mended(repr(value))
        except Exception:  # noqa: BLE001 - as above
            return f"<{type(value).__name__}>"


def _mended(text: str) -> str:
    """Text that UTF-8 can hold: halves of characters are joined or marked."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def from_stored(message: Message) -> BaseMessage:
    """The LangChain message; of one that others wrote, what its role and content make.

    Of one that a newer langchain-core wrote, what this one can read: see `load_readable`.
    """
    fields: Any = message.metadata.get(MEMBER)
    if isinstance(fields, dict):
        members = {**cast("dict[str, Any]", fields), "content": message.content}
        return load_readable(members, message.role)
    content = _as_content(message.content)
    for kind, role in _ROLES[:3]:
        if role == message.role:
            return kind(content=content, id=message.id)
    return ChatMessage(role=message.role, content=content, id=message.id)


def _role_of(message: BaseMessage) -> str:
    if isinstance(message, ChatMessage):
        return message.role or "chat"
    return next((role for kind, role in _ROLES if isinstance(message, kind)), message.type)


def _readable_content(content: Any) -> Any:
    if not isinstance(content, list):
        return _as_content(content)
    parts = cast("list[Any]", content)  # type: ignore[redundant-cast]
    return [each if isinstance(each, str | dict) else _as_text(each) for each in parts]


def _as_content(content: Any) -> Any:
    """Content as LangChain takes it; other JSON as its text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = cast("list[Any]", content)  # type: ignore[redundant-cast]
        if all(isinstance(part, str | dict) for part in parts):
            return parts
    return _as_text(content)


def _as_text(content: Any) -> str:
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
