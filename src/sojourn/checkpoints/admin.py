"""Thread operations for operators: threads of an app, and erasure."""

from __future__ import annotations

from sojourn.calls.operation import RoomStore
from sojourn.checkpoints.model import ThreadKey
from sojourn.checkpoints.operations.delete import ForgetThreads
from sojourn.checkpoints.operations.lists import ListApp
from sojourn.ids import parse_app, user_key
from sojourn.process_bound import stays_here


@stays_here("its URL, and open the store there")
class ThreadAdmin:
    """The calls of `store.admin.threads`.

    Args:
        store: where threads are kept.
    """

    def __init__(self, store: RoomStore) -> None:
        self._store = store

    async def of_app(self, app: str) -> list[ThreadKey]:
        """All threads of an app, some of them gone perhaps. One round trip to each node."""
        return await self._store.run(ListApp(parse_app(app)))

    async def forget(self, app: str, user: str) -> int:
        """Delete all that this room keeps of a user; how many threads.

        `store.admin.forget` does it in all rooms. A round trip for each 1,000 keys of the server.
        """
        return await self._store.run(ForgetThreads(user_key(app, user)))
