"""Protocol of a notice store, as the notices room calls it."""

from __future__ import annotations

from typing import Protocol

from sojourn.ids import UserKey
from sojourn.notices.model import NoticePlace, Page

REMEMBERED = 1000
"""About how many notices of a user are remembered."""


class NoticeWatch(Protocol):
    """What wakes a subscriber."""

    async def wait(self, seconds: float) -> None:
        """Wait until there may be news, and so many seconds at most."""
        ...

    def close(self) -> None:
        """Be woken no more."""
        ...


class NoticeStore(Protocol):
    """Where notices are kept. They are written there by whoever changes a session.

    All raise `Unavailable` and its kin when no server answers in time.
    """

    async def read(self, owner: UserKey, after: NoticePlace, limit: int) -> Page:
        """Notices of a user behind a place. One round trip."""
        ...

    async def newest(self, owner: UserKey) -> NoticePlace:
        """The place of a user's newest notice; where there is none, a place at this time."""
        ...

    async def forget(self, owner: UserKey) -> int:
        """Delete all notices of a user; how many."""
        ...

    def watch(self, owner: UserKey) -> NoticeWatch:
        """What wakes a subscriber to a user's notices. Nothing is sent yet."""
        ...

    def close(self) -> None:
        """Wake all subscribers: the store is closed."""
        ...
