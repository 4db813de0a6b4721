"""Cursors of listings: the start of the next page, as opaque text."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated

import msgspec

from sojourn.caps import CAPS
from sojourn.errors import InvalidInput

_decode = msgspec.json.Decoder(tuple[Annotated[int, msgspec.Meta(ge=0)], str | None]).decode


def cursor_of(shard: int, after: str | None) -> str:
    """The cursor for a caller to hand back."""
    return urlsafe_b64encode(msgspec.json.encode((shard, after))).decode()


def place_of(cursor: str | None) -> tuple[int, str | None]:
    """The shard and the last name of a cursor; the start for None.

    Raises:
        InvalidInput: it is not a cursor.
    """
    if cursor is None:
        return 0, None
    try:
        return _decode(urlsafe_b64decode(cursor[: CAPS.cursor].encode()))
    except (AttributeError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise InvalidInput("The cursor is not one that a listing gave.") from error
