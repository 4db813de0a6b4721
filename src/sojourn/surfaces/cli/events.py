"""Events as people read them: a head line, and below it, always indented, what happened.

Only heads start in the first column, also when lines wrap, so no text of an event can pose as
another event.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from rich.console import Console, ConsoleOptions, Group
from rich.highlighter import JSONHighlighter
from rich.text import Text

from sojourn.sessions import Event
from sojourn.surfaces.cli.plain import lines, moment, visible

_ADK = "adk"
_SHORT = 72
"""JSON up to this length stays on one line."""

_INDENT = 4

_highlight = JSONHighlighter()


class Hanging:
    """Text that wraps to the width of the console with every line but the first indented.

    Args:
        text: what to show.
        first: the indentation of the first line.
    """

    def __init__(self, text: Text, *, first: int = 0) -> None:
        self._text = text
        self._first = first

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Called by rich."""
        width = max(1, options.max_width - _INDENT)
        indent = self._first
        for line in self._text.wrap(console, width, overflow="fold"):
            yield Text(" " * indent).append_text(line)
            indent = _INDENT


def event_block(event: Event) -> Group:
    """An event: number, time, author and kind; its text, or its JSON; what it did to the state."""
    head = Text.assemble(
        (f"#{event.seq}", "bold"),
        ("  " + moment(event.time), "dim"),
        ("  " + visible(event.author), "bold cyan"),
        ("  " + visible(event.kind), "dim"),
    )
    body = list(_adk_lines(event.payload)) if event.kind == _ADK else []
    parts = body or [pretty_json(event.payload)]
    if event.state_delta:
        parts.append(Text.assemble(("state ", "dim"), pretty_json(dict(event.state_delta))))
    return Group(Hanging(head), *(Hanging(part, first=_INDENT) for part in parts))


def pretty_json(value: object) -> Text:
    """JSON in colours, on one line if it is short."""
    short = json.dumps(value, ensure_ascii=False)
    text = short if len(short) <= _SHORT else json.dumps(value, ensure_ascii=False, indent=2)
    return _highlight(Text("\n".join(lines(text))))


def _adk_lines(payload: object) -> Iterator[Text]:
    """The parts of an ADK event's content, and its error if it has one; nothing for other JSON."""
    event = _mapping(payload)
    content = _mapping(event.get("content"))
    parts = content.get("parts")
    for part in cast("list[object]", parts) if isinstance(parts, list) else []:
        yield from _part(_mapping(part))
    for name in ("error_code", "error_message"):
        if isinstance(event.get(name), str):
            yield _labelled(name.replace("_", " "), event[name], "red")


def _part(part: dict[str, Any]) -> Iterator[Text]:
    call, reply = _mapping(part.get("function_call")), _mapping(part.get("function_response"))
    data = _mapping(part.get("inline_data"))
    if isinstance(part.get("text"), str):
        text = "\n".join(lines(part["text"]))
        yield Text(f"(thought) {text}", "dim italic") if part.get("thought") else Text(text)
    elif call:
        yield _function("→", call, call.get("args", {}))
    elif reply:
        yield _function("←", reply, reply.get("response"))
    elif isinstance(data.get("data"), str):
        size = len(data["data"]) * 3 // 4 - data["data"][-2:].count("=")
        yield _labelled(str(data.get("mime_type", "data")), f"{size:,} bytes", "magenta")
    else:
        yield pretty_json(part)


def _function(arrow: str, function: dict[str, Any], value: object) -> Text:
    name = visible(str(function.get("name", "")))
    return Text.assemble((f"{arrow} {name} ", "bold yellow"), pretty_json(value))


def _labelled(label: str, text: str, style: str) -> Text:
    return Text.assemble((visible(label) + " ", style), "\n".join(lines(text)))


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
