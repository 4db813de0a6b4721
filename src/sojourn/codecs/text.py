"""Text that servers can keep."""

from __future__ import annotations

from typing import TypeGuard

from sojourn.caps import check
from sojourn.errors import InvalidValue


def text(value: object, what: str, most: int | None = None) -> str:
    """A string that UTF-8 can hold.

    Args:
        value: what should be one.
        what: names it in an error.
        most: bytes that it may have; None for any number.

    Raises:
        InvalidValue: it is none.
        TooLarge: it has more bytes.
    """
    if not isinstance(value, str):
        raise InvalidValue(f"The {what} must be a string, not {type(value).__name__}.")
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidValue(f"The {what} is not valid Unicode text: {error.reason}.") from error
    if most is not None and size > most:
        check(f"The {what}", size, most)
    return value


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is a whole number; True and False are none, and servers do not take them."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
