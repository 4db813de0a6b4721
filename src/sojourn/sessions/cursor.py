"""Cursors of listings: the start of the next page, as opaque text."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from math import isnan
from typing import Annotated, NamedTuple

import msgspec

from sojourn.caps import CAPS
from sojourn.errors import InvalidInput
from sojourn.sessions.store import IndexPlace


class Cursor(NamedTuple):
    """A place in a listing.

    Attributes:
        shard: which part of an app's users.
        name: the last entry of that part that is done with, or the user at hand.
        session: the last session of the user at hand that was listed; None when that user is done.
    """

    shard: int = 0
    name: IndexPlace | None = None
    session: IndexPlace | None = None

    def text(self) -> str:
        """The cursor for a caller to hand back."""
        parts = [self.shard, *(_plain(place) for place in (self.name, self.session))]
        return urlsafe_b64encode(msgspec.json.encode(parts)).decode()

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """The cursor of a text; the start for None.

        Raises:
            InvalidInput: it is not a cursor.
        """
        if text is None:
            return cls()
        try:
            shard, name, session = _decode(urlsafe_b64decode(text[: CAPS.cursor].encode()))
            return cls(shard, _place(name), _place(session))
        except (AttributeError, TypeError, ValueError, msgspec.MsgspecError) as error:
            raise InvalidInput("The cursor is not one that a listing gave.") from error


_Plain = tuple[str, str]
_Shard = Annotated[int, msgspec.Meta(ge=0)]
_decode = msgspec.json.Decoder(tuple[_Shard, _Plain | None, _Plain | None]).decode


def _plain(place: IndexPlace | None) -> tuple[str, str] | None:
    return None if place is None else (repr(place.score), place.name)


def _place(plain: tuple[str, str] | None) -> IndexPlace | None:
    if plain is None:
        return None
    score = float(plain[0])
    if isnan(score):
        raise ValueError("a score that is no number")
    return IndexPlace(score, plain[1])
