"""Messages over the cap of an event, made to fit: what was said stays, what is large does not."""

from __future__ import annotations

import logging
import sys
from collections import deque
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
_OTHER_CAPS: Final = sys.maxsize // 2
"""Bytes over the cap that say that it is over another one."""
_TOLD: Final = 10
"""Pieces that the log names."""
_CALLS: Final = ("tool_calls", "tool_call_chunks", "invalid_tool_calls")


class _Piece(NamedTuple):
    """What may be left out: its bytes, what of the message it is of, and how it is left out.

    Without it the message is smaller by `saves` bytes at most.
    """

    size: int
    saves: int
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
        left = deque(sorted(pieces, key=lambda each: each.size, reverse=True))
        gone = 0
        while left and size > room:
            for piece in _next(left, size - room, gone):
                piece.leave_out()
                gone += 1
                changed.add(piece.of)
                told.append(f"{piece.what} ({_told(piece.size)})")
            metadata[CHANGED] = sorted(changed)
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
        ", ".join(told[:_TOLD] + [f"{len(told) - _TOLD:,} more"] * (len(told) > _TOLD)),
    )
    return made


def _next(left: deque[_Piece], over: int, gone: int) -> Iterator[_Piece]:
    """Pieces that have to go before the message is measured again, which takes long.

    Of what is over other caps than that of bytes, as many as have gone, as nobody knows how many.
    """
    least = len(left) if over < _OTHER_CAPS else max(1, gone)
    while left and over > 0 and (least > 0 or left[0].size == sys.maxsize):
        piece = left.popleft()
        least -= 1
        if over < _OTHER_CAPS:
            over -= piece.saves
            if piece.saves <= 0:
                continue
        yield piece


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
            saves = size + _size(name) + 2
            yield _Piece(size, saves, name, f"its {name}", partial(fields.pop, name))


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

            saves = size - _size(mark)
            yield _Piece(size, saves, "content", f"a part of its content, {kind!r}", leave_out)


def _arguments(fields: dict[str, Any]) -> Iterator[_Piece]:
    for name in _CALLS:
        calls = [dict(each) for each in fields.get(name) or ()]
        if not calls:
            continue
        fields[name] = calls
        for call in calls:
            size = _size(call.get("args"))
            words = _mark("arguments", size)
            mark = {"not_stored": words} if isinstance(call.get("args"), dict) else words
            saves = size - _size(mark)

            def leave_out(call: dict[str, Any] = call, mark: object = mark) -> None:
                call["args"] = mark

            yield _Piece(size, saves, name, f"arguments of its {name}", leave_out)
