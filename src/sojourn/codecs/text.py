"""Text that servers can keep."""

from __future__ import annotations

from sojourn.errors import InvalidValue


def text(value: object, what: str) -> str:
    """A string that UTF-8 can hold.

    Raises:
        InvalidValue: it is none; `what` says which.
    """
    if not isinstance(value, str):
        raise InvalidValue(f"The {what} must be a string, not {type(value).__name__}.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidValue(f"The {what} is not valid Unicode text: {error.reason}.") from error
    return value
