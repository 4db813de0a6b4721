"""Text of a store, which anyone may have written, made harmless for a terminal."""

from __future__ import annotations

import time
import unicodedata
from datetime import datetime

from sojourn.ids import SessionKey

_JOINERS = "\u200c\u200d"
"""Invisible, but emoji and several scripts are written with them."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_WEEK = 7 * _DAY
_NEARLY = 0.02
"""Part of a unit by which a span may be longer or shorter than one of it."""


def visible(identifier: str) -> str:
    r"""An id on one line, with every invisible character written out: `\n`, `\x1b`, `\u202e`.

    Two ids never look the same for want of a backslash; the empty id is `''`.
    """
    if not identifier:
        return "''"
    text = identifier.replace("\\", "\\\\")
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _written_out(each) for each in text)


def named(key: SessionKey) -> str:
    """A session in a sentence."""
    return f"session {visible(key.session)} of user {visible(key.user)} of app {visible(key.app)}"


def prose(text: str) -> str:
    """Text for reading, on one line: spaces and joiners of any script stay as they are."""
    if text.isprintable():
        return text
    return "".join(each if _is_harmless(each) else _written_out(each) for each in text)


def lines(text: str) -> list[str]:
    r"""Text for reading, line by line; only `\n` and `\r\n` end a line, tabs become spaces."""
    parts = text.replace("\r\n", "\n").split("\n")
    return [prose(part.expandtabs(4)) for part in parts]


def shortened(text: str, most: int) -> str:
    """The text, cut to so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def counted(count: int, one: str, many: str = "") -> str:
    """So many of something."""
    return f"1 {one}" if count == 1 else f"{count:,} {many or f'{one}s'}"


def one_line(message: str) -> str:
    """A message on one line."""
    return prose(" ".join(message.split()))


def moment(instant: float) -> str:
    """A time with the time zone of the reader; the number itself if no calendar has it."""
    try:
        return datetime.fromtimestamp(instant).astimezone().isoformat(" ", "seconds")
    except (OverflowError, OSError, ValueError):
        return repr(instant)


def age(instant: float) -> str:
    """How long ago, or the day if that is more than a week or in the future."""
    passed = time.time() - instant
    if -1 < passed < _WEEK:
        return f"{duration(max(0.0, passed))} ago"
    return moment(instant)[:10]


def left(expires: float) -> str:
    """What is left of a lifetime."""
    return duration(max(0.0, expires - time.time()))


def duration(seconds: float) -> str:
    """A span in whole units of one size: `119s`, `1h`, `90m`, `24h`, `9d`.

    A store sets a lifetime up to a hundredth longer than asked, so what is nearly one hour is one.
    """
    for size, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f}{name}"
        if abs(seconds - size) <= size * _NEARLY:
            return f"1{name}"
    return f"{int(seconds)}s"


def _is_harmless(character: str) -> bool:
    if character.isprintable() or character in _JOINERS:
        return True
    return unicodedata.category(character) == "Zs"


def _written_out(character: str) -> str:
    if character == "\n":
        return "\\n"
    code = ord(character)
    if code <= 0xFF:  # noqa: PLR2004 - what \x can write
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - and \u
