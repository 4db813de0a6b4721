"""Notice store on a server: a stream for each user, to which the scripts of sessions add."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from sojourn.calls.operation import Operation, R
from sojourn.engine.engine import Engine
from sojourn.ids import UserKey
from sojourn.notices.keys import NoticeRoomKeys
from sojourn.notices.store import NoticeWatch


class RedisNotices:
    """The notices of one deployment, over an engine. Public attributes are for operations.

    Args:
        engine: where calls go.
        keys: builds the keys.
    """

    def __init__(self, engine: Engine, keys: NoticeRoomKeys) -> None:
        self.engine = engine
        self.keys = keys

    def run(self, operation: Operation[R]) -> Coroutine[Any, Any, R]:
        """As `NoticeStore`."""
        return operation.on_server(self)

    def watch(self, owner: UserKey) -> NoticeWatch:
        """Listen to the channel that has the name of the stream.

        All of an event loop share one connection to a server.
        """
        return self.engine.watch(self.keys.notices(owner))

    def close(self) -> None:
        """Do nothing: the engine wakes them when it is closed."""
