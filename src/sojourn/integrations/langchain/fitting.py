"""Messages over the cap of an event, made to fit: what was said stays, what is large does not."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, cast

from sojourn.caps import CAPS
from sojourn.codecs import encode
from sojourn.errors import TooLarge
from sojourn.integrations.langchain.messages import CHANGED, MEMBER, is_needed

log = logging.getLogger("sojourn.langchain")

_BESIDE: Final = 1024
"""Bytes of an event beside the message: its id, time and the like."""
_CALLS: Final = ("tool_calls", "tool_call_chunks", "invalid_tool_calls")


class _Piece(NamedTuple):
    """What may be left out: its bytes, what of the message it is of, and how it is left out."""

    size: int
    of: str
    what: str
    leave_out: Callable[[], object]


def fitted(stored: dict[str, Any], cap: int) -> dict[str, Any]:
    """The message as it is, or without its largest pieces as far as it is over the cap.

    Left out are, the largest first: fields beside the content (an `artifact`, a `parsed`); then
    parts of the content that are no texts, in whose place a text says so; then arguments of tool
    calls, likewise. `langchain_changed` in the metadata and a warning in the log name the fields.
    Texts stay: a message whose texts alone are over the cap is given back as it was.

    Args:
        stored: a message for `History.extend`; what is changed is changed in a copy.
        cap: bytes of an event.
    """
    room = cap - _BESIDE
    size = _size(stored)
    if size <= room:
        return stored
    fields: dict[str, Any] = dict(stored["metadata"][MEMBER])
    metadata = {**stored["metadata"], MEMBER: fields}
    made = {**stored, "metadata": metadata}
    changed, told = set[str](metadata.get(CHANGED, ())), list[str]()
    for pieces in (_fields(fields), _parts(made), _arguments(fields)):
        for piece in sorted(pieces, key=lambda each: each.size, reverse=True):
            if size <= room:
                break
            piece.leave_out()
            changed.add(piece.of)
            metadata[CHANGED] = sorted(changed)
            told.append(f"{piece.what} ({_told(piece.size)})")
            size = _size(made)
    if size > room:
        return stored
    log.warning(
        "A message of type %r is over the cap of an event: %s bytes (max_event_bytes), %s levels, "
        "%s members. It is stored without %s.",
        fields.get("type"),
        f"{cap:,}",
        CAPS.depth,
        f"{CAPS.members:,}",
        ", ".join(told),
    )
    return made


def _size(value: object) -> int:
    try:
        return len(encode([value], "A message")) - 2  # a level, as the row that it will be in
    except TooLarge:  # of levels or members
        return sys.maxsize


def _told(size: int) -> str:
    return "levels or members over their cap" if size == sys.maxsize else f"{size:,} bytes"


def _mark(what: str, size: int) -> str:
    return f"[{what} of {_told(size)}: not stored, over the cap]"


def _fields(fields: dict[str, Any]) -> Iterator[_Piece]:
    for name in list(fields):
        if name not in _CALLS and not is_needed(fields, name):
            size = _size(fields[name])
            yield _Piece(size, name, f"its {name}", partial(fields.pop, name))


def _parts(message: dict[str, Any]) -> Iterator[_Piece]:
    if not isinstance(message["content"], list):
        return
    parts: list[Any] = list(cast("list[Any]", message["content"]))  # type: ignore[redundant-cast]
    message["content"] = parts
    for at, part in enumerate(parts):
        members = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
        if members and not isinstance(members.get("text"), str):
            kind = str(members.get("type") or "part")[:40]
            size = _size(members)
            mark = {"type": "text", "text": _mark(kind, size)}

            def leave_out(at: int = at, mark: Mapping[str, str] = mark) -> None:
                parts[at] = mark

            yield _Piece(size, "content", f"a part of its content, {kind!r}", leave_out)


def _arguments(fields: dict[str, Any]) -> Iterator[_Piece]:
    for name in _CALLS:
        calls = [dict(each) for each in fields.get(name) or ()]
        if not calls:
            continue
        fields[name] = calls
        for call in calls:
            size = _size(call.get("args"))

            def leave_out(call: dict[str, Any] = call, size: int = size) -> None:
                mark = _mark("arguments", size)
                call["args"] = {"not_stored": mark} if isinstance(call["args"], dict) else mark

            yield _Piece(size, name, f"arguments of its {name}", leave_out)
