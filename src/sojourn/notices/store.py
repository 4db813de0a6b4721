"""Protocol of a notice store: its operations, and subscriptions."""

from __future__ import annotations

from typing import Protocol

from sojourn.calls.operation import RoomStore
from sojourn.ids import UserKey


class NoticeWatch(Protocol):
    """Wakes a subscriber."""

    async def wait(self, seconds: float) -> None:
        """Wait until there may be news, and so many seconds at most."""
        ...

    def close(self) -> None:
        """End the subscription."""
        ...


class NoticeStore(RoomStore, Protocol):
    """Where notices are kept. They are written by the operations that change sessions."""

    # A subscription is not an operation: it waits, and has many results until it is closed.
    def watch(self, owner: UserKey) -> NoticeWatch:
        """Subscribe to a user's notices. Nothing is sent yet."""
        ...

    def close(self) -> None:
        """Wake all subscribers: the store is closed."""
        ...
