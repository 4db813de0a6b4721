"""Calls for operators of a store: what an agent never needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sojourn.artifacts.admin import ArtifactAdmin
from sojourn.cache.admin import CacheAdmin
from sojourn.calls.room import OpenRoom
from sojourn.dictionaries.admin import DictionaryAdmin
from sojourn.doctor import Doctor
from sojourn.doctor.service import usage_of
from sojourn.doctor.usage import OTHERS, NodeUsage
from sojourn.errors import InvalidInput
from sojourn.ids import UserKey, parse_app
from sojourn.jobs.job import JobReport, Tell
from sojourn.jobs.service import Jobs
from sojourn.keys.admin import KeyAdmin
from sojourn.memory.admin import MemoryAdmin
from sojourn.process_bound import stays_here
from sojourn.rooms import ROOMS
from sojourn.security.forgetting import Eraser, ErasureReceipt
from sojourn.sessions import SessionAdmin, SessionParts
from sojourn.sessions.operations.count_apps import CountApps
from sojourn.sessions.revoking import Discard


class KindUsage(NamedTuple):
    """The keys of one kind.

    Attributes:
        room: whose they are; `other` for keys that are not Sojourn's or of another deployment.
        kind: as docs/storage-format.md calls it.
        keys: how many there are.
        size: bytes that they take; None when the server does not tell.
    """

    room: str
    kind: str
    keys: int
    size: int | None


class ServerMetrics(NamedTuple):
    """Figures that the servers of a store know, those of a Cluster together.

    Attributes:
        where: the address, without secrets.
        apps: how many apps have users.
        users: how many users they have, by the indexes; some may have no session any more.
        sessions: how many sessions have not expired, by the indexes.
        keys: how many keys there are, others' too.
        looked_at: how many of them were looked at.
        exact: whether these were all; otherwise the figures of `kinds` are estimates.
        kinds: the keys by kind, in the order of rooms.
        used: bytes that the servers use for everything; None when they do not tell.
        most: their `maxmemory`; 0 for none, None when they do not tell.
    """

    where: str
    apps: int
    users: int
    sessions: int
    keys: int
    looked_at: int
    exact: bool
    kinds: list[KindUsage]
    used: int | None
    most: int | None

    def rooms(self) -> dict[str, int | None]:
        """Bytes that each room takes; None where the server does not tell."""
        found: dict[str, int | None] = {}
        for each in self.kinds:
            before = found.get(each.room, 0)
            found[each.room] = None if before is None or each.size is None else before + each.size
        return found


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
        keys: master keys and data keys.
        dictionaries: what compression uses beside the shipped dictionary.
    """

    cache: CacheAdmin
    memory: MemoryAdmin
    artifacts: ArtifactAdmin
    keys: KeyAdmin
    dictionaries: DictionaryAdmin

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

    async def metrics(self, *, keys: int = 10_000) -> ServerMetrics:
        """Count apps, users and sessions by the indexes, and keys and memory by a sample of keys.

        A round trip for each 1,000 apps and one for each 50; then, on each server, two, and two for
        each 250 keys that it looks at. It never looks at more keys than it is told to.

        Args:
            keys: how many keys of a server to look at, at most: where it has more, numbers and
                memory by kind are estimates, and rare kinds may be missing. 0 for none.

        Raises:
            InvalidInput: a negative number.
            Unavailable: a server does not answer.
            AccessDenied: it refuses the credentials, or SCAN.
        """
        if keys < 0:
            raise InvalidInput(f"keys={keys} cannot be looked at: give 0 or more.")
        apps, users, sessions = 0, 0, 0
        cursor: str | None = None
        while True:
            page = await self.apps(cursor=cursor)
            apps += len(page.names)
            for start in range(0, len(page.names), _APPS):
                names = [parse_app(name) for name in page.names[start : start + _APPS]]
                for found in await self._store.run(CountApps(names)):
                    users += found.users
                    sessions += found.sessions
            cursor = page.cursor
            if cursor is None:
                break
        nodes = await usage_of(self.doctor, keys=keys)
        return ServerMetrics(
            self.doctor.where,
            apps,
            users,
            sessions,
            sum(node.keys for node in nodes),
            sum(node.looked_at for node in nodes),
            all(node.exact for node in nodes),
            list(_by_kind(nodes)),
            _sum_of([node.used for node in nodes]),
            _sum_of([node.most for node in nodes]),
        )

    async def apps_of(self, user: str) -> list[str]:
        """The apps that keep something about a user, in order. It looks at every key three times.

        Raises:
            InvalidId: it cannot name a user.
        """
        return await self._eraser.apps_of(user)

    async def reseal(
        self,
        app: str | None = None,
        user: str | None = None,
        *,
        plain: bool = False,
        rate: float | None = None,
        progress: Tell | None = None,
    ) -> JobReport:
        """Encode the content of all records anew, as this store writes it now; or of a user's.

        After the store was opened with other `keys`, `compression` or `serializer`, what was
        written before is brought to the same form. Of one user, with keys: a new data key is made,
        all is sealed with it, and the one before is removed, as when that has leaked; it takes
        `key_cache_seconds` at least, until no process has that one cached.

        It may be stopped at any moment and run again, while others read and write, as `upgrade`.

        Args:
            app: only this app's user.
            user: only this user's.
            plain: without keys, compression and serializer, whatever the store was opened with.
            rate: records a second, at most.
            progress: told how far it is.

        Returns:
            how many records were rewritten, and which were left because they cannot be read.

        Raises:
            ConfigurationError: the store is in memory.
            InvalidInput: an app without a user, or the reverse; or the rate.
            Conflict: another run is under way.
            Erased: the user was forgotten.
            Unavailable: a server does not answer. Run it again: it goes on from there.
        """
        if (app is None) != (user is None):
            raise InvalidInput("A user is named by app and user, both.")
        owner = None if app is None or user is None else UserKey.of(app, user)
        return await self._jobs.reseal(owner, plain=plain, rate=rate, progress=progress)

    async def retire_dictionary(
        self,
        app: str,
        name: str,
        *,
        rate: float | None = None,
        progress: Tell | None = None,
    ) -> JobReport:
        """Write all that needs a dictionary anew, then delete it.

        If it is the active one, the app's new values get the shipped one; to use another,
        `dictionaries.activate` or `add` it before. It takes a minute at least, until no process
        uses it any more. It may be stopped at any moment and run again, as `reseal`, and reads
        every record once more at the end: the dictionary goes only if none needs it. Run it when
        no process has writes that wait for a server: they may have been compressed with it.

        Args:
            app: whose.
            name: the id of the dictionary.
            rate: records a second, at most.
            progress: told how far it is.

        Returns:
            how many records were rewritten. The dictionary is still there if some were left.

        Raises:
            ConfigurationError: the store does not compress, or is in memory.
            DictionaryMissing: the app has none of that id.
            InvalidInput: the rate.
            Conflict: another run is under way.
            Unavailable: a server does not answer. Run it again: it goes on from there.
        """
        return await self._jobs.retire_dictionary(app, name, rate=rate, progress=progress)

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


_APPS = 50
"""Apps whose indexes are counted in one round trip: 32 commands each."""


def _by_kind(nodes: Sequence[NodeUsage]) -> Iterator[KindUsage]:
    rooms = [(room.name, kind.name) for room in ROOMS for kind in room.keys.kinds]
    for room, kind in (*rooms, (OTHERS, OTHERS)):
        sizes = [None if node.sizes is None else node.sizes.get(kind, 0) for node in nodes]
        if count := sum(node.counts.get(kind, 0) for node in nodes):
            yield KindUsage(room, kind, count, _sum_of(sizes))


def _sum_of(values: Sequence[int | None]) -> int | None:
    """The sum, if all are known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
