"""Notice store on a server: a stream for each user, to which the scripts of sessions add."""

from __future__ import annotations

from sojourn.engine.store import RedisStore
from sojourn.ids import UserKey
from sojourn.notices.keys import NoticeRoomKeys
from sojourn.notices.store import NoticeWatch


class RedisNotices(RedisStore[NoticeRoomKeys]):
    """A `NoticeStore` over an engine."""

    def watch(self, owner: UserKey) -> NoticeWatch:
        """Listen to the channel that has the name of the stream.

        All of an event loop share one connection to a server.
        """
        return self.engine.watch(self.keys.notices(owner))

    def close(self) -> None:
        """Do nothing: the engine wakes subscribers when it is closed."""
