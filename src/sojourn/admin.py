"""Calls for operators of a store: what an agent never needs."""

from __future__ import annotations

from collections.abc import Mapping

from sojourn.artifacts.admin import ArtifactAdmin
from sojourn.cache.admin import CacheAdmin
from sojourn.calls.room import OpenRoom
from sojourn.doctor import Doctor
from sojourn.keys.admin import KeyAdmin
from sojourn.memory.admin import MemoryAdmin
from sojourn.process_bound import stays_here
from sojourn.security.forgetting import Eraser, ErasureReceipt
from sojourn.sessions import SessionAdmin, SessionParts
from sojourn.sessions.revoking import Discard


@stays_here("its URL, and open the store there")
class Admin(SessionAdmin):
    """The calls for operators. Made by `sojourn.open`, as `store.admin`.

    Give it only to people and programs that look after a store. Beside those of `SessionAdmin`
    there are calls about all rooms.

    Args:
        parts: of the sessions room.
        discard: deletes the artifacts of a session.
        eraser: forgets users in all rooms.
        doctor: examines the server.
        rooms: those that have calls for operators, by name.

    Attributes:
        doctor: examines the server.
        cache: entries of tenants.
        memory: scopes of users, agents and categories.
        artifacts: owners of artifacts.
        keys: master keys and data keys.
    """

    cache: CacheAdmin
    memory: MemoryAdmin
    artifacts: ArtifactAdmin
    keys: KeyAdmin

    def __init__(
        self,
        parts: SessionParts,
        discard: Discard,
        eraser: Eraser,
        doctor: Doctor,
        rooms: Mapping[str, OpenRoom],
    ) -> None:
        super().__init__(parts, discard)
        self.doctor = doctor
        for name, room in rooms.items():
            if room.admin is not None:
                setattr(self, name, room.admin)
        self._eraser = eraser

    async def forget(self, user: str, *, app: str | None = None) -> ErasureReceipt:
        """Delete everything about a user, in every room, index and journal of this process.

        Sessions with their events, state and artifacts; the user's own state, memories, artifacts,
        notices, quarantined records, and the cache entries of `ids.tenant_of(owner)`. What another
        process has buffered in an outage is refused when that is over: `Erased`. What the user
        begins from then on is kept as ever; what others write meanwhile may go, too.

        It looks at every key of the server, eight times for each app and four times more to find
        the apps, 1,000 in a round trip. For each app it waits twice for a tenth of a second, until
        names that other processes were about to enter into indexes have arrived. Interrupted, do it
        again: it finishes.

        Args:
            user: whom to forget.
            app: only in this app; None for all apps.

        Returns:
            how much of each kind is gone, and no content.

        Raises:
            InvalidId: it cannot name a user.
            Unavailable: not all is done; do it again.
        """
        return await self._eraser.forget(user, app)

    async def apps_of(self, user: str) -> list[str]:
        """The apps that keep something about a user, in order. It looks at every key three times.

        Raises:
            InvalidId: it cannot name a user.
        """
        return await self._eraser.apps_of(user)
