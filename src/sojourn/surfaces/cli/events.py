"""Events as people read them: a head line, and below it, always indented, what happened.

Only heads start in the first column, also when lines wrap, so no text of an event can pose as
another event.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, Group
from rich.highlighter import JSONHighlighter
from rich.text import Text

from sojourn.sessions import Event
from sojourn.surfaces.cli.plain import lines, moment, visible
from sojourn.surfaces.renderers import Part, render
from sojourn.surfaces.renderers.model import (
    CallPart,
    CodePart,
    JsonPart,
    MediaPart,
    NoticePart,
    ResultPart,
    TextPart,
    ThoughtPart,
)

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
    parts = [_shown(part) for part in render(event).parts] or [pretty_json(event.payload)]
    if event.state_delta:
        parts.append(Text.assemble(("state ", "dim"), pretty_json(dict(event.state_delta))))
    return Group(Hanging(head), *(Hanging(part, first=_INDENT) for part in parts))


def pretty_json(value: object) -> Text:
    """JSON in colours, on one line if it is short."""
    short = json.dumps(value, ensure_ascii=False)
    text = short if len(short) <= _SHORT else json.dumps(value, ensure_ascii=False, indent=2)
    return _highlight(Text("\n".join(lines(text))))


def _shown(part: Part) -> Text:
    """A part in a terminal: text as it is, anything else with a mark before it."""
    match part:
        case TextPart():
            shown = _text(part.text)
        case ThoughtPart():
            shown = _text(f"(thought) {part.text}", "dim italic")
        case CallPart():
            shown = _marked(_arrow("→", part.name), pretty_json(part.arguments))
        case ResultPart():
            shown = _marked(_arrow("←", part.name), pretty_json(part.value))
        case MediaPart():
            shown = _marked(visible(part.mime), _media(part), "magenta")
        case CodePart():
            shown = _marked(visible(part.language or "code"), _text(part.text), "magenta")
        case NoticePart():
            shown = _text(part.text, "red" if part.level == "error" else "yellow")
        case JsonPart():
            shown = pretty_json(part.value)
    return shown


def _text(text: str, style: str = "") -> Text:
    return Text("\n".join(lines(text)), style)


def _arrow(arrow: str, name: str) -> str:
    return f"{arrow} {visible(name)}" if name else arrow


def _media(media: MediaPart) -> Text:
    data = media.data
    size = "" if data is None else f"{len(data) * 3 // 4 - data[-2:].count('='):,} bytes"
    where = [visible(each) for each in (media.name, media.url) if each]
    return Text(" ".join(filter(None, (size, *where))))


def _marked(mark: str, text: Text, style: str = "bold yellow") -> Text:
    return Text.assemble((f"{mark} ", style), text)
