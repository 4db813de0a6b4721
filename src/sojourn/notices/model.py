"""Notices, and their positions in the stream of a user."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, Self

import msgspec

from sojourn.codecs import shown
from sojourn.errors import InvalidInput

Kind = Literal["created", "appended", "updated", "trimmed", "deleted", "expired", "missed"]

REMEMBERED = 1000
"""About how many notices of a user are remembered."""

_CURSOR = re.compile(r"(\d{1,18})-(\d{1,18})", re.ASCII)


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """That a session has changed.

    Attributes:
        kind: what was done. `expired` comes late: when somebody comes upon the session's place in
            an index. `missed` says that there were notices which are not remembered any more, or
            cannot be read: list the sessions again.
        session: the session's id; empty for `missed`.
        version: the session's version after it, of a deleted one the last; 0 for `expired` and
            `missed`.
        id: the cursor: give it as `after` to go on behind this notice.
        time: when it was written, seconds since the epoch by the server's clock.
    """

    kind: Kind
    session: str
    version: int
    id: str
    time: float


class NoticePlace(NamedTuple):
    """Where a notice stands.

    Attributes:
        at: the server's clock in milliseconds; never less than that of the notice before.
        number: one more than that of the notice before. The first one of a user has its time in
            microseconds, so that it can be told from any other. 0 is before the first.
    """

    at: int
    number: int

    @classmethod
    def parse(cls, cursor: object) -> Self:
        """The place that a cursor names.

        Raises:
            InvalidInput: it is not a cursor.
        """
        if cursor == "0":
            return cls(0, 0)
        found = _CURSOR.fullmatch(cursor) if isinstance(cursor, str) else None
        if found is None:
            raise InvalidInput(
                "after is the id of a notice, or '0' for all that are remembered, not "
                f"{shown(cursor)}."
            )
        return cls(int(found[1]), int(found[2]))

    def text(self) -> str:
        """The cursor that names this place."""
        return f"{self.at}-{self.number}"

    def follows(self, before: NoticePlace) -> bool:
        """Whether no notice stood between that place and this one."""
        if before.at == 0:
            return True  # from the oldest that is remembered, whichever that is
        if before.number == 0:
            # The first of a stream, or behind an entry that others have added as number 0.
            return self.number == 1 or self.number // 1000 == self.at
        return self.number == before.number + 1


class NoticeEntry(NamedTuple):
    """A notice as it is stored.

    Attributes:
        place: where it stands.
        kind: what was done; None for a kind that only another version knows, which is passed over.
        session: the session's id.
        version: of the session.
    """

    place: NoticePlace
    kind: Kind | None
    session: str
    version: int

    def notice(self) -> Notice | None:
        """The notice as a caller gets it; None for one of an unknown kind."""
        if self.kind is None:
            return None
        return Notice(
            kind=self.kind,
            session=self.session,
            version=self.version,
            id=self.place.text(),
            time=self.place.at / 1000,
        )

    def is_strange(self, before: NoticePlace) -> bool:
        """Whether it is of an unknown kind, and was numbered in another way: nothing is missed."""
        return self.kind is None and self.place.number <= before.number


class Page(NamedTuple):
    """Notices behind a place, and the place of the newest that there is, or None."""

    entries: list[NoticeEntry]
    newest: NoticePlace | None

    def notices(self, after: NoticePlace) -> list[Notice]:
        """The notices, with a `missed` wherever some are missing.

        Args:
            after: the place behind which they were read.
        """
        found: list[Notice] = []
        for entry in self.entries:
            if not entry.place.follows(after) and not entry.is_strange(after):
                before = NoticePlace(entry.place.at, max(0, entry.place.number - 1))
                found.append(_missed(before))
            notice = entry.notice()
            if notice is not None:
                found.append(notice)
            after = entry.place
        if not self.entries:
            if self.newest is None and after.number > 0:  # they have expired or were evicted
                found.append(_missed(NoticePlace(after.at, 0)))
            elif self.newest is not None and self.newest < after:  # another server's memory
                found.append(_missed(self.newest))
        return found


def _missed(place: NoticePlace) -> Notice:
    return Notice(kind="missed", session="", version=0, id=place.text(), time=place.at / 1000)
