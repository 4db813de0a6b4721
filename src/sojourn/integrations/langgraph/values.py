"""LangGraph's values as content of the checkpoints room, and back.

Messages and JSON values become JSON, other values what LangGraph's serializer makes of them. The
messages of a list, and what is large in a dict, are stored by themselves, so that each is stored
once, wherever it occurs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, cast

import msgspec
import ormsgpack
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.base import SerializerProtocol

from sojourn.checkpoints import Branch, Leaf
from sojourn.checkpoints.model import Content
from sojourn.checkpoints.objects import REF
from sojourn.codecs.json import decode
from sojourn.errors import CorruptRecord
from sojourn.integrations.langchain.messages import CLASSES
from sojourn.integrations.langgraph.strict import PLAIN

_MESSAGE = "message"
"""The kind of a leaf that is a message: JSON of its fields, without those that are empty."""

_ELEMENT = 64
"""Bytes that the elements of a list have on average, if each is stored by itself."""
_MEMBER = 256
"""Bytes from which on a member of a dict is stored by itself."""

_EMPTY: Mapping[str, Any] = {
    "additional_kwargs": {},
    "response_metadata": {},
    "tool_calls": [],
    "invalid_tool_calls": [],
    "name": None,
    "usage_metadata": None,
    "artifact": None,
}
"""Fields of messages whose default is empty, and their defaults."""

_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class _Loss(Exception):
    """JSON would not hold it."""


def _refuse(_code: int, _data: bytes) -> Any:
    raise _Loss


def to_content(value: Any, serde: SerializerProtocol) -> Content:
    """A value as it is stored.

    Args:
        value: of a channel, or of a write.
        serde: what makes bytes of values that JSON cannot hold; another than LangGraph's own makes
            all of them, as it may encrypt.

    Raises:
        TypeError: nothing can hold it.
    """
    if type(serde) not in PLAIN:
        kind, body = serde.dumps_typed(value)
        return Leaf(body, kind)
    if is_just(value, list):
        return _list(value, serde)
    if is_just(value, dict):
        return _dict(value, serde)
    return _leaf(value, serde)


def _leaf(value: Any, serde: SerializerProtocol) -> Leaf:
    if isinstance(value, BaseMessage) and CLASSES.get(value.type) is type(value):
        message = _message(value)
        if message is not None:
            return message
    kind, body = serde.dumps_typed(value)
    if kind == "null":
        return Leaf(b"null")
    if kind == "msgpack":
        text = _as_json(body)
        if text is not None:
            return Leaf(text)
    return Leaf(body, kind)


def _message(message: BaseMessage) -> Leaf | None:
    """A message; None when JSON does not hold it."""
    simple = _simple(message)
    if simple is not None:
        return simple
    fields = message.model_dump()
    own = fields.pop("id", None)
    kept = {
        name: value for name, value in fields.items() if name not in _EMPTY or value != _EMPTY[name]
    }
    if own is not None and not (isinstance(own, str) and own):
        return None
    try:
        text = _as_json(ormsgpack.packb(kept, option=_AS_LANGGRAPH))
    except (TypeError, ValueError):
        return None
    return None if text is None else Leaf(text, _MESSAGE, own or "")


def _simple(message: BaseMessage) -> Leaf | None:
    """A message that is nothing but a text, as most are; None for any other."""
    content, own = message.content, message.id
    if not is_just(content, str) or message.__pydantic_extra__:
        return None
    fields = vars(message).copy()
    for name in _TEXT:
        fields.pop(name, None)
    if fields != _rest(type(message)) or (own is not None and not (is_just(own, str) and own)):
        return None
    make = _text if len(content) <= _REMEMBERED else _text.__wrapped__
    try:
        return Leaf(make(cast("str", content), message.type), _MESSAGE, own or "")
    except UnicodeEncodeError:
        return None


@cache
def _rest(kind: type[BaseMessage]) -> Mapping[str, Any]:
    """The fields of a message that has nothing but a text."""
    return {name: _EMPTY[name] for name in kind.model_fields if name in _EMPTY}


_REMEMBERED = 2_000
"""Characters of a text up to which its JSON is remembered: each put has all messages again."""


@lru_cache(maxsize=4096)
def _text(content: str, kind: str) -> bytes:
    return b'{"content":%b,"type":%b}' % (_to_text(content), _to_text(kind))


_TEXT = ("content", "type", "id")
_to_text = msgspec.json.Encoder().encode

_AS_LANGGRAPH = (
    ormsgpack.OPT_NON_STR_KEYS
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
)


def _as_json(packed: bytes) -> bytes | None:
    """JSON of what LangGraph's serializer made; None when JSON would not hold all of it."""
    try:
        return _dumps(ormsgpack.unpackb(packed, ext_hook=_refuse)).encode()
    except (_Loss, TypeError, ValueError, RecursionError):
        return None


def _list(value: list[Any], serde: SerializerProtocol) -> Content:
    if not value:
        return Leaf(b"[]")
    leaves = [_leaf(each, serde) for each in value]
    sizes = sum(len(leaf.body) for leaf in leaves)
    if sizes >= _ELEMENT * len(leaves) or any(leaf.kind == _MESSAGE for leaf in leaves):
        return Branch(leaves)
    if any(leaf.kind or leaf.id for leaf in leaves):
        return _leaf(value, serde)
    return Leaf(b"[%b]" % b",".join([leaf.body for leaf in leaves]))


def _dict(value: dict[Any, Any], serde: SerializerProtocol) -> Content:
    if not all(type(name) is str for name in value):
        return _leaf(value, serde)
    children: list[Content] = []
    members: list[bytes] = []
    for name, member in value.items():
        made = _list(member, serde) if is_just(member, list) else _leaf(member, serde)
        if _by_itself(made, member):
            text = b'{"%b":%d}' % (REF.encode(), len(children))
            children.append(made)
        else:
            text = cast("Leaf", made).body
        try:
            members.append(_dumps(name).encode() + b":" + text)
        except UnicodeEncodeError:
            return _leaf(value, serde)
    text = b"{%b}" % b",".join(members)
    return Branch(children, text) if children else Leaf(text)


def _by_itself(made: Content, member: Any) -> bool:
    """Whether a member of a dict is stored by itself."""
    if isinstance(made, Branch) or made.kind or made.id or len(made.body) >= _MEMBER:
        return True
    return _is_ref(member)


def _is_ref(member: Any) -> bool:
    """Whether it looks like a reference to a part that is stored by itself."""
    return is_just(member, dict) and member.keys() == {REF}


def is_just(value: Any, kind: type) -> bool:
    """Whether it is of a class, and of none that is derived from it."""
    return type(value) is kind


def of_content(content: Content, serde: SerializerProtocol) -> Any:
    """The value that was stored.

    Raises:
        CorruptRecord: it cannot be read.
    """
    try:
        return _value(content, serde)
    except CorruptRecord:
        raise
    except Exception as error:
        raw = content.body if isinstance(content, Leaf) else content.template or b""
        raise CorruptRecord(
            f"A value of a checkpoint cannot be read ({type(error).__name__}: {error}).",
            key="",
            raw=raw,
        ) from error


def _value(content: Content, serde: SerializerProtocol) -> Any:
    if isinstance(content, Branch):
        children = [_value(child, serde) for child in content.children]
        if content.template is None:
            return children
        members: Mapping[str, Any] = decode(content.template)
        return {
            name: children[member[REF]] if _is_ref(member) else member
            for name, member in members.items()
        }
    if not content.kind:
        return decode(content.body)
    if content.kind == _MESSAGE:
        return _made(decode(content.body), content.id)
    return serde.loads_typed((content.kind, content.body))


def _made(fields: dict[str, Any], own: str) -> BaseMessage:
    """A message of its fields: one of LangChain's own classes, whatever they say."""
    kind = CLASSES[fields["type"]]
    if own:
        fields["id"] = own
    try:
        return kind(**fields)
    except (ValueError, TypeError):  # as LangGraph does with fields of another version
        return kind.model_construct(**fields)
