"""Artifact operations for operators: owners of artifacts, and erasure."""

from __future__ import annotations

from sojourn.artifacts.operations.delete import ForgetArtifacts
from sojourn.artifacts.operations.lists import ListOwners
from sojourn.calls.operation import RoomStore
from sojourn.ids import SessionKey, UserKey, user_key
from sojourn.process_bound import stays_here


@stays_here("its URL, and open the store there")
class ArtifactAdmin:
    """The calls of `store.admin.artifacts`.

    Args:
        store: where artifacts are kept.
    """

    def __init__(self, store: RoomStore) -> None:
        self._store = store

    async def owners(self, app: str, user: str) -> list[SessionKey | UserKey]:
        """The user, and those of the user's sessions, that have artifacts, in order.

        Also sessions that have ended. No index knows that: a round trip for each 1,000 keys of the
        server.
        """
        return await self._store.run(ListOwners(user_key(app, user)))

    async def forget(self, app: str, user: str) -> int:
        """Delete all that this room keeps of a user and of the user's sessions; how many artifacts.

        `store.admin.forget` does it in all rooms. A round trip for each 1,000 keys of the server.
        """
        return await self._store.run(ForgetArtifacts(user_key(app, user)))
