"""Transcript of an event: what people read of it, whichever framework wrote it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast

import msgspec

Role: TypeAlias = Literal["user", "assistant", "tool", "system"]


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    """What was said."""

    text: str


class ThoughtPart(msgspec.Struct, frozen=True, tag="thought"):
    """What a model thought before it spoke."""

    text: str


class CallPart(msgspec.Struct, frozen=True, tag="call"):
    """A call of a tool; `id` joins it with its result."""

    name: str
    arguments: Any
    id: str = ""


class ResultPart(msgspec.Struct, frozen=True, tag="result"):
    """What a tool answered."""

    name: str
    value: Any
    id: str = ""
    error: bool = False


class MediaPart(msgspec.Struct, frozen=True, tag="media"):
    """A picture, sound or file: in base64, or where it is."""

    mime: str
    data: str | None = None
    url: str | None = None
    name: str = ""


class CodePart(msgspec.Struct, frozen=True, tag="code"):
    """Code that a model wrote, or what it printed."""

    text: str
    language: str = ""


class NoticePart(msgspec.Struct, frozen=True, tag="notice"):
    """What happened to the conversation itself."""

    text: str
    level: Literal["info", "error"] = "info"


class JsonPart(msgspec.Struct, frozen=True, tag="json"):
    """What no renderer knows, as it is."""

    value: Any


Part: TypeAlias = (
    TextPart | ThoughtPart | CallPart | ResultPart | MediaPart | CodePart | NoticePart | JsonPart
)


class Usage(msgspec.Struct, frozen=True):
    """Tokens that a model read and wrote; None where nobody counted."""

    input: int | None = None
    output: int | None = None
    total: int | None = None


class Rendered(msgspec.Struct, frozen=True):
    """An event as people read it.

    Attributes:
        role: who speaks.
        parts: what, in order.
        usage: tokens that it took.
        turn: what events of one turn have in common; empty if nothing does.
        partial: more of it follows in later events.
        branch: of which agent below another it is.
        model: which model wrote it.
    """

    role: Role
    parts: Sequence[Part]
    usage: Usage | None = None
    turn: str = ""
    partial: bool = False
    branch: str = ""
    model: str = ""


def mapping(value: object) -> Mapping[str, Any]:
    """The value, if it is an object; else one without members."""
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def items(value: object) -> Sequence[Any]:
    """The value, if it is a list; else an empty one."""
    return cast("Sequence[Any]", value) if isinstance(value, list) else ()


def words(value: object) -> str:
    """The value, if it is text; else none."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int | None:
    """The value, if it is a number of something."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def usage(*counts: object) -> Usage | None:
    """Tokens read, written and both; None when none of them is known."""
    given, made, total = map(count, counts)
    if given is made is total is None:
        return None
    if total is None and given is not None and made is not None:
        total = given + made
    return Usage(given, made, total)
