"""Calls for operators of a store: what an agent never needs."""

from __future__ import annotations

from collections.abc import Mapping

from sojourn.artifacts.admin import ArtifactAdmin
from sojourn.cache.admin import CacheAdmin
from sojourn.calls.room import OpenRoom
from sojourn.doctor import Doctor
from sojourn.jobs.job import JobReport, Tell
from sojourn.jobs.service import Jobs
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
        jobs: rewrites records of all rooms.
        rooms: those that have calls for operators, by name.

    Attributes:
        doctor: examines the server.
        cache: entries of tenants.
        memory: scopes of users, agents and categories.
        artifacts: owners of artifacts.
    """

    cache: CacheAdmin
    memory: MemoryAdmin
    artifacts: ArtifactAdmin

    def __init__(
        self,
        parts: SessionParts,
        *,
        discard: Discard,
        eraser: Eraser,
        doctor: Doctor,
        jobs: Jobs,
        rooms: Mapping[str, OpenRoom],
    ) -> None:
        super().__init__(parts, discard)
        self.doctor = doctor
        for name, room in rooms.items():
            if room.admin is not None:
                setattr(self, name, room.admin)
        self._eraser = eraser
        self._jobs = jobs

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

    async def upgrade(
        self, to: int, *, rate: float | None = None, progress: Tell | None = None
    ) -> JobReport:
        """Let the deployment write a newer storage format, and bring all records to it.

        Run it when all processes have a version that reads that format. It may be stopped at any
        moment and run again, while others read and write: a record is replaced only if it is as it
        was read. A round trip for each 200 keys of the server, two for each record; it goes over
        the keys until nothing is left to do.

        Args:
            to: the major format.
            rate: records a second, at most.
            progress: told how far it is.

        Returns:
            how many records were rewritten, and which were left because they cannot be read.

        Raises:
            ConfigurationError: this version does not know that format, or the store is in memory.
            InvalidInput: the deployment writes a later one; or the rate.
            Conflict: another run is under way.
            Unavailable: a server does not answer. Run it again: it goes on from there.
        """
        return await self._jobs.upgrade(to, rate=rate, progress=progress)
